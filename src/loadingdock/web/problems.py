"""Errors as problem documents (RFC 9457), and the usual HTTP status of every error.

A wire of its own shape takes `status_of` as the base of its table and overrides what its contract says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import errors
from loadingdock.core.errors import DockError
from loadingdock.web.answers import answer_json
from loadingdock.web.context import context
from loadingdock.web.errors import InternalError, MethodNotAllowed, UnsupportedMediaType

MEDIA_TYPE = "application/problem+json"
TYPES = "/docs/errors"  # where a problem's type leads: the page that explains every code

# Subclasses have their parent's status unless they are named here themselves.
_STATUSES: Mapping[type[DockError], int] = MappingProxyType(
    {
        DockError: 500,
        InternalError: 500,
        errors.InvalidInput: 400,
        errors.ClientGone: 400,  # nobody is there to read it
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        errors.Infected: 403,
        errors.Rejected: 403,
        errors.NotFound: 404,
        MethodNotAllowed: 405,
        errors.TooSlow: 408,
        errors.Conflict: 409,
        errors.Gone: 410,
        errors.LimitExceeded: 413,
        # Not 507: the limit is the company's own and no fault of ours, and clients repeat a 5xx by themselves.
        errors.QuotaExceeded: 413,
        errors.TypeRefused: 415,
        errors.KeyReused: 422,
        errors.RateLimited: 429,
        errors.Unavailable: 503,
        errors.StorageFull: 507,
    }
)


def status_of(error: DockError | type[DockError]) -> int:
    """The status of the nearest class up the tree that has one, so that a new error has its parent's."""
    kind = error if isinstance(error, type) else type(error)
    return next(_STATUSES[parent] for parent in kind.__mro__ if parent in _STATUSES)


def headers_of(error: DockError, *, challenge: str = "") -> dict[str, str]:
    """What HTTP wants said beside the status: Allow with a 405 (RFC 9110 15.5.6), Retry-After, the close of a
    connection that was too slow (15.5.9), and `challenge` as WWW-Authenticate with a 401 (15.5.2)."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allow
    elif isinstance(error, errors.RateLimited | errors.Unavailable):
        headers["retry-after"] = str(error.retry_after)
    elif isinstance(error, errors.TooSlow):
        headers["connection"] = "close"
    elif isinstance(error, errors.Unauthenticated) and challenge:
        headers["www-authenticate"] = challenge
    return headers


def narrowed(error: DockError, *, challenge: str) -> tuple[int, dict[str, str]]:
    """(status, headers) on wires whose published documents know of errors 400 and 401 alone. What is wrong with the
    request is 400, a missing permission 401; the sizes, the media type, the rate, what is not there and our own
    troubles keep their statuses."""
    headers = headers_of(error, challenge=challenge)
    match error:
        case errors.Forbidden():
            return 401, {**headers, "www-authenticate": challenge}  # RFC 9110 15.5.2: a 401 says how one authenticates
        case errors.TooLarge() | UnsupportedMediaType():
            return status_of(error), headers
        case errors.LimitExceeded() | errors.TypeRefused():
            return 400, headers
        case _:
            return status_of(error), headers


def title_of(error: DockError | type[DockError]) -> str:
    """The same for every occurrence of the code, as RFC 9457 3.1.3 asks: `too_large` is "Too large"."""
    return error.code.replace("_", " ").capitalize()


def document(error: DockError, *, status: int | None = None) -> dict[str, Any]:
    """The standard members of a problem document, in their order. `type` is a path on this service, which RFC 9457
    3.1.1 lets be relative to the request's URI; the page behind it explains the code."""
    return {
        "type": f"{TYPES}#{error.code}",
        "title": title_of(error),
        "status": status_of(error) if status is None else status,
        "detail": str(error),
    }


def respond(
    members: Mapping[str, Any], error: DockError, *, challenge: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """The document as an answer with its status, and with `headers` besides those that the error itself needs."""
    sent = {**headers_of(error, challenge=challenge), **(headers or {})}
    return answer_json(members, members["status"], sent, media_type=MEDIA_TYPE)


def problem(error: DockError, request: Request, *, challenge: str = "") -> Response:
    """The whole answer for wires without a shape of their own: the standard members, then `code` for machines, the
    facts (field, limit, received, permission, ...) and the trace id under which our log has the request."""
    members = {**document(error), "code": error.code}
    facts = {name: fact for name, fact in error.facts.items() if fact is not None and name not in members}
    return respond({**members, **facts, "trace_id": context(request).trace_id}, error, challenge=challenge)


# One of every kind: what the reference pages show and what every wire must be able to render.
SAMPLES: tuple[DockError, ...] = (
    errors.InvalidInput("limit: a whole number from 1 to 100, not 'ten'.", field="limit"),
    errors.InvalidInput("The body must be a JSON object."),
    errors.DigestMismatch("sha256", claimed="47DEQpj8HBSa+/TImW+5JA==", received="LPJNul+wow4m6Dsqxbning=="),
    errors.LengthMismatch(declared=1024, received=1000),
    errors.NameRefused("The file name contains a path separator; send the name alone, without folders."),
    errors.LimitExceeded("Extracted text", limit=1_000_000, received=1_000_001, unit="characters"),
    errors.TooLarge(limit=10_485_760, received=10_485_761),
    errors.TooMany("Parts", limit=1000),
    errors.TooSlow("The body came slower than 1024 bytes a second."),
    errors.TypeRefused(
        "The file's bytes are image/png; allowed are application/pdf.",
        declared="application/pdf",
        detected="image/png",
        allowed=("application/pdf",),
    ),
    UnsupportedMediaType("This path reads multipart/form-data, not text/plain."),
    errors.Unauthenticated(),
    errors.Forbidden("files:write"),
    errors.NotFound(),
    MethodNotAllowed("GET, HEAD"),
    errors.Conflict("The file's latest version is attached; detach it first."),
    errors.StillProcessing(),
    errors.AlreadyUploaded(),
    errors.OffsetMismatch(current=1_048_576, claimed=0),
    errors.AlreadyExists("The user anna"),
    errors.RequestInProgress(),
    errors.Infected(),
    errors.Rejected("The file's bytes are image/png; allowed are application/pdf."),
    errors.Gone(),
    errors.LinkExpired("The link's time is over; request a new one."),
    errors.KeyReused(),
    errors.QuotaExceeded("bytes", limit=1_073_741_824, used=1_073_741_000, wanted=1_024),
    errors.RateLimited(retry_after=30),
    errors.Unavailable("store"),
    errors.Sealed(),
    errors.StorageFull(),
    errors.ClientGone(),
    InternalError(),
)
