"""What is remembered in the bucket of a blob that may be taken up again, by this process or another one.

    staging/<key>/state     how far it is: the multipart upload, the ETags of its parts, the tails
    staging/<key>/tail-<n>  the bytes behind the last whole part, which S3 would not take as a part
    staging/<key>/lock      who is sending now

The offset in the record is that of the last suspension, or of the one before it where its commit failed: the tails of
both are kept. A third name is where the next one is written before the state points at it. Everything here blocks
and belongs in a thread.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadingdock.adapters.blobs.keys import KEY
from loadingdock.adapters.blobs.s3.wire import Wire
from loadingdock.core.errors import Conflict, NotFound

FOLDER = "staging/"
LEASE = 30.0  # seconds after which a lock that nobody renewed is nobody's

_STATE, _LOCK = "state", "lock"
_TAILS = ("tail-0", "tail-1", "tail-2")
_ABSENT = frozenset({404})
# 409: another conditional write of the same object was under way.
_TAKEN = frozenset({409, 412})


@dataclass(frozen=True, slots=True)
class Tail:
    """`size` bytes of the blob from `start`, under `name`."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class State:
    """`size` bytes are durable. `tails`: the newest first. `mark` is another one whenever the bytes are."""

    mark: str
    size: int
    upload: str | None
    etags: tuple[str, ...]
    tails: tuple[Tail, ...]

    def tail_at(self, offset: int) -> Tail | None:
        """The tail in which the blob ends, cut at `offset`."""
        return next((tail for tail in self.tails if tail.start <= offset <= tail.start + tail.size), None)


def folder_of(key: str) -> str:
    return f"{FOLDER}{key.replace('/', '-')}/"


def key_of(name: str) -> str | None:
    """The blob that an object in the staging folder belongs to."""
    key = name.removeprefix(FOLDER).partition("/")[0].replace("-", "/")
    return key if KEY.fullmatch(key) else None


def names_of(key: str) -> list[str]:
    """Every object there may be."""
    return [folder_of(key) + name for name in (_STATE, _LOCK, *_TAILS)]


class Staging:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def load(self, key: str) -> State:
        """Raises NotFound for a blob that is not suspended."""
        answer = self._get(key, _STATE)
        if answer is None:
            raise NotFound("blob")
        known = json.loads(answer)
        tails = tuple(Tail(**tail) for tail in known["tails"])
        return State(known["mark"], known["size"], known["upload"], tuple(known["etags"]), tails)

    def save(self, key: str, state: State) -> None:
        self._put(key, _STATE, json.dumps(asdict(state)).encode())

    def keep_tail(self, key: str, start: int, data: bytes, used: Sequence[Tail]) -> Tail:
        """Under a name that none of those `used` has."""
        name = next(name for name in _TAILS if name not in {tail.name for tail in used})
        self._put(key, name, data)
        return Tail(name, start, len(data))

    def tail(self, key: str, tail: Tail) -> bytes:
        found = self._get(key, tail.name)
        if found is None or len(found) < tail.size:
            raise NotFound("blob")
        return found

    # --- the lock ------------------------------------------------------------

    def lock(self, key: str) -> str:
        """The token of whoever holds it now. Raises Conflict while another does."""
        token = secrets.token_hex(16)
        name = folder_of(key) + _LOCK
        for _ in range(3):
            made = self._wire.request(
                "PUT",
                name,
                headers={**self._wire.place.encrypted(), "if-none-match": "*"},
                body=token.encode(),
                doing="s3:PutObject",
                passed=_TAKEN,
            )
            if made.status not in _TAKEN:
                return token
            held = self._wire.request("GET", name, doing="s3:GetObject", passed=_ABSENT)
            if held.status == 404:
                continue
            if held.body == token.encode():  # made by an attempt whose answer was lost
                return token
            if held.age() < LEASE:
                break
            self._wire.request("DELETE", name, doing="s3:DeleteObject", passed=_ABSENT)
        raise Conflict("Another request is sending bytes of this upload; wait until it has ended.")

    def check(self, key: str, token: str) -> None:
        """Raises Conflict if the lock was taken over meanwhile."""
        if self._get(key, _LOCK) != token.encode():
            raise Conflict("Another request took this upload over.")

    def renew(self, key: str, token: str) -> None:
        self.check(key, token)
        self._put(key, _LOCK, token.encode())

    def unlock(self, key: str, token: str) -> None:
        if self._get(key, _LOCK) == token.encode():
            self._wire.request("DELETE", folder_of(key) + _LOCK, doing="s3:DeleteObject", passed=_ABSENT)

    # --- objects -------------------------------------------------------------

    def _get(self, key: str, name: str) -> bytes | None:
        answer = self._wire.request("GET", folder_of(key) + name, doing="s3:GetObject", passed=_ABSENT)
        return None if answer.status == 404 else answer.body

    def _put(self, key: str, name: str, data: bytes) -> None:
        headers = self._wire.place.encrypted()
        self._wire.request("PUT", folder_of(key) + name, headers=headers, body=data, doing="s3:PutObject")
