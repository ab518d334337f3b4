"""One tree of errors. They state facts; every wire decides for itself which status and words to use.

DockError
├── InvalidInput            something the caller sent is wrong: which field, what was seen, what would be right
│   ├── DigestMismatch      a claimed digest differs from the bytes received
│   ├── LengthMismatch      more or fewer bytes arrived than were declared
│   └── NameRefused         a file name that cannot be kept safely
├── LimitExceeded           a limit, and what was received against it
│   ├── TooLarge            bytes
│   ├── TooMany             parts, headers, fields
│   └── TooSlow             a deadline or a minimum rate
├── TypeRefused             extension, declared type or detected type is not allowed, or they disagree
├── Unauthenticated         no credentials, or wrong ones; one answer for every cause
├── Forbidden               a permission is missing
├── NotFound                unknown, or another company's: the two are never told apart
├── Conflict                the thing is in a state that does not allow the deed
│   ├── StillProcessing     not scanned yet
│   ├── AlreadyUploaded     an upload that has had its one success
│   ├── OffsetMismatch      an append at an offset that is not the current one
│   ├── AlreadyExists       a name that is taken
│   └── RequestInProgress   the same idempotency key is being worked on
├── Infected                the scanner found something
├── Rejected                the file broke a rule and was never published
├── Gone                    expired or deleted
│   └── LinkExpired         a signed link past its time
├── KeyReused               an idempotency key came again with another request
├── QuotaExceeded           the company's bytes or files
├── RateLimited             try again after some seconds
├── Unavailable             a dependency is down; try again after some seconds
│   └── Sealed              the installation is being moved: reads go on, changes wait
├── StorageFull             no room for the bytes
└── ClientGone              the client went away before the end of its body
"""

from __future__ import annotations


class DockError(Exception):
    """The root. `code` is a stable word for machines; `str(error)` is a sentence for people."""

    code = "error"

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidInput(DockError):
    """`field` names the parameter, header, part or JSON pointer that is wrong."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str | None = None, **facts: object) -> None:
        super().__init__(message, field=field, **facts)
        self.field = field


class DigestMismatch(InvalidInput):
    code = "digest_mismatch"

    def __init__(self, algorithm: str, *, claimed: str, received: str) -> None:
        super().__init__(
            f"The {algorithm} digest of the bytes received is {received}, but {claimed} was claimed.",
            field="digest",
            algorithm=algorithm,
        )


class LengthMismatch(InvalidInput):
    code = "length_mismatch"

    def __init__(self, *, declared: int, received: int) -> None:
        super().__init__(
            f"{declared} bytes were declared, but {received} arrived.",
            field="size",
            declared=declared,
            received=received,
        )


class NameRefused(InvalidInput):
    code = "name_refused"

    def __init__(self, message: str) -> None:
        super().__init__(message, field="name")


class LimitExceeded(DockError):
    code = "limit_exceeded"

    def __init__(self, what: str, *, limit: int, received: int | None = None, unit: str = "") -> None:
        seen = "" if received is None else f"; {received} received"
        super().__init__(
            f"{what}: at most {limit} {unit}".rstrip() + f" allowed{seen}.", limit=limit, received=received
        )
        self.limit = limit
        self.received = received


class TooLarge(LimitExceeded):
    code = "too_large"

    def __init__(self, what: str = "File size", *, limit: int, received: int | None = None) -> None:
        super().__init__(what, limit=limit, received=received, unit="bytes")


class TooMany(LimitExceeded):
    code = "too_many"


class TooSlow(DockError):
    code = "too_slow"


class TypeRefused(DockError):
    """`declared`, `detected` and `allowed` say what was seen; any of them may be unknown (None)."""

    code = "type_refused"

    def __init__(
        self,
        message: str,
        *,
        declared: str | None = None,
        detected: str | None = None,
        allowed: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(message, declared=declared, detected=detected, allowed=allowed)
        self.declared = declared
        self.detected = detected
        self.allowed = allowed


class Unauthenticated(DockError):
    code = "unauthenticated"

    def __init__(self, message: str = "The credentials are missing or wrong.") -> None:
        super().__init__(message)


class Forbidden(DockError):
    code = "forbidden"

    def __init__(self, permission: str) -> None:
        super().__init__(f"The permission {permission} is needed.", permission=permission)
        self.permission = permission


class NotFound(DockError):
    code = "not_found"

    def __init__(self, what: str = "file") -> None:
        super().__init__(f"There is no such {what}.", what=what)
        self.what = what


class Conflict(DockError):
    code = "conflict"


class StillProcessing(Conflict):
    code = "still_processing"

    def __init__(self, message: str = "The file has not been scanned yet; ask again in a moment.") -> None:
        super().__init__(message)


class AlreadyUploaded(Conflict):
    code = "already_uploaded"

    def __init__(self) -> None:
        super().__init__("This upload has had its bytes already; request a new upload for other bytes.")


class OffsetMismatch(Conflict):
    code = "offset_mismatch"

    def __init__(self, *, current: int, claimed: int) -> None:
        super().__init__(
            f"The upload stands at offset {current}, but the request continues at {claimed}.",
            current=current,
            claimed=claimed,
        )
        self.current = current


class AlreadyExists(Conflict):
    code = "already_exists"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} exists already.", what=what)


class RequestInProgress(Conflict):
    code = "request_in_progress"

    def __init__(self) -> None:
        super().__init__("A request with this idempotency key is being worked on; repeat it in a moment.")


class Infected(DockError):
    code = "infected"

    def __init__(self, message: str = "The file is infected and cannot be read.") -> None:
        super().__init__(message)


class Rejected(DockError):
    """`reason` is the version's stored reason: a sentence for people."""

    code = "rejected"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class Gone(DockError):
    code = "gone"

    def __init__(self, message: str = "The file has expired and its bytes are gone.") -> None:
        super().__init__(message)


class LinkExpired(Gone):
    code = "link_expired"


class KeyReused(DockError):
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This idempotency key was used with another request; use a fresh key.")


class QuotaExceeded(DockError):
    code = "quota_exceeded"

    def __init__(self, what: str, *, limit: int, used: int, wanted: int) -> None:
        super().__init__(
            f"The company's quota of {limit} {what} would be exceeded: {used} used, {wanted} more wanted.",
            what=what,
            limit=limit,
            used=used,
            wanted=wanted,
        )


class RateLimited(DockError):
    code = "rate_limited"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Too many requests; try again in {retry_after} s.", retry_after=retry_after)
        self.retry_after = retry_after


class Unavailable(DockError):
    """`what` names the dependency by its role (database, store, scanner); `retry_after` is in seconds. `why` is for
    the operator alone: what was seen, and what to change."""

    code = "unavailable"

    def __init__(self, what: str, *, retry_after: int = 5, why: str = "") -> None:
        super().__init__(
            f"The {what} is not available; try again in {retry_after} s.", what=what, retry_after=retry_after
        )
        self.what = what
        self.retry_after = retry_after
        self.why = why


class Sealed(Unavailable):
    """No process may change a record, because all of them are on their way elsewhere."""

    code = "sealed"

    def __init__(self) -> None:
        super().__init__("database", retry_after=30)
        self.message = (
            f"The service is being moved: it can be read, and takes changes again later; try again in"
            f" {self.retry_after} s."
        )
        self.args = (self.message,)


class StorageFull(DockError):
    """`why` is for the operator alone: where the room is that is missing."""

    code = "storage_full"

    def __init__(self, why: str = "") -> None:
        super().__init__("There is no room left to keep the file; nothing of it was kept.")
        self.why = why


def seen(error: DockError) -> str:
    """For the log: what is not available or full, and why, where that is known; else what everybody is told."""
    match error:
        case Unavailable() if error.why:
            return f"{error.what}: {error.why}"
        case StorageFull() if error.why:
            return f"{error} {error.why}"
        case _:
            return str(error)


class ClientGone(DockError):
    code = "client_gone"

    def __init__(self) -> None:
        super().__init__("The client closed the connection before the end of its body.")
