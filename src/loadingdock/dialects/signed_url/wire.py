"""The words of signed-url: its answers, its table of errors, and what a company may set for it.

`error_code` is always one of the source document's, and so is `detail` for 401, 403, 404, 409, 429, 500 and 503. Where
the caller can do something about it (400, and 405 and 422 besides), `detail` says what, and `errors` lists it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import errors, settings, types
from loadingdock.core.errors import DockError, InvalidInput
from loadingdock.core.model.companies import CompanySetting
from loadingdock.core.model.files import File, State, Step, StepName, Upload
from loadingdock.web.answers import answer_json
from loadingdock.web.errors import MethodNotAllowed
from loadingdock.web.problems import headers_of

API = "signed-url"
PREFIX = "/v1/files"
CHALLENGE = 'ApiKey realm="Loadingdock"'  # RFC 9110 11.6.1 wants one with a 401; no registered scheme has this header

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.ASCII)


def _types(text: str) -> list[str]:
    words = text.replace(",", " ").lower().split()
    for word in words:
        if not _TYPE.fullmatch(word):
            raise ValueError(f"{word!r} is no MIME type; write text/csv,application/pdf.")
    if not words:
        raise ValueError("Name at least one MIME type, such as application/pdf.")
    return list(dict.fromkeys(words))


MAX_SIZE: CompanySetting[int] = CompanySetting(
    f"{API}.max-size",
    10 * 2**20,
    "the largest file of signed-url, such as 10MiB",
    settings.size,
    settings.spelled_size,
)
ALLOWED_TYPES: CompanySetting[list[str]] = CompanySetting(
    f"{API}.allowed-types",
    ["text/csv", "text/plain", "application/pdf", types.DOCX, types.XLSX],
    "the MIME types of signed-url, divided by commas",
    _types,
    settings.spelled_words,
)
EXPIRES_IN = settings.url_life(API, timedelta(minutes=10))
SETTINGS: tuple[CompanySetting[Any], ...] = (MAX_SIZE, ALLOWED_TYPES, EXPIRES_IN)


class UrlInvalid(InvalidInput):
    """The request's own URL cannot be read."""

    code = "url_invalid"


# --- answers -------------------------------------------------------------------------------------

_STATUSES: Mapping[State, str] = MappingProxyType(
    {
        State.AWAITING_UPLOAD: "AWAITING_UPLOAD",
        State.RECEIVED: "PROCESSING",
        State.PROCESSING: "PROCESSING",
        State.READY: "PROCESSED",
        State.INFECTED: "FAILED",
        State.REJECTED: "FAILED",
        State.EXPIRED: "EXPIRED",
        State.DELETED: "EXPIRED",
    }
)
_STEPS: Mapping[StepName, str] = MappingProxyType(
    {
        StepName.SCAN: "ANTIVIRUS_SCANNING",
        StepName.TYPE: "TYPE_DETECTION",
        StepName.TEXT: "TEXT_EXTRACTION",
    }
)
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def initiated(file: File, upload: Upload, url: str, seconds: int) -> Response:
    limits = {"allowed_types": list(upload.allowed_types), "max_size": upload.max_size}
    return _json({"expires_in": seconds, "file_id": file.id, "file_limits": limits, "file_url": url})


def status(file: File, headers: Mapping[str, str] | None = None) -> Response:
    version = file.version
    warnings = version.warnings
    return _json(
        {
            "processing_status": _STATUSES[version.state],
            "processing_steps": [_step(step) for step in version.steps],
            "warnings": {"empty": warnings.empty, "infected": warnings.infected, "length": warnings.length},
        },
        headers=headers,
    )


@lru_cache(4096)  # a step that has ended never changes, and clients ask often
def _step(step: Step) -> Mapping[str, str]:
    shown = {"createdAt": _time(step.started_at)}
    if step.ended_at is not None:
        shown["endedAt"] = _time(step.ended_at)
    return shown | {"status": _STEPS[step.name]}


def _time(at: datetime) -> str:
    """`2026-04-15T09:43:13.247Z`; all of our times are UTC."""
    return at.isoformat(timespec="milliseconds")[:-6] + "Z"


def listed(files: Iterable[File], *, limit: int, page: int, total: int) -> Response:
    rows = [{"file_id": file.id, "file_name": file.name} for file in files]
    return _json({"files": rows, "limit": limit, "page": page, "total": total})


def text(data: bytes) -> Response:
    return Response(
        data, headers={**_HEADERS, "content-security-policy": "sandbox; default-src 'none'"}, media_type="text/plain"
    )


def deleted() -> Response:
    return Response(status_code=204, headers=_HEADERS)


# --- errors --------------------------------------------------------------------------------------

_RAISED = "attachment_document_raised_an_error"
_FORBIDDEN = "You do not have permission to access this attachment."
_ABSENT = "Document with `file_id` is not available for the user with `user_id` on the document server."
_CONFLICT = "Conflict - File is infected with a virus or it's still being processed"
_UNREACHABLE = "The file attachment service does not respond as expected. Please try again later."
_RATE = {"message": "Rate limit exceeded!"}

# (status, error_code, detail): without a detail it is the error's own sentence, which `errors` then repeats with its
# facts. Subclasses have their parent's row unless they have their own.
_TABLE: Mapping[type[DockError], tuple[int, str, str | None]] = MappingProxyType(
    {
        DockError: (500, "internal_server_error", "Internal Server Error"),
        InvalidInput: (400, _RAISED, None),
        UrlInvalid: (422, "attachment_url_invalid", "The provided base_url is not valid."),
        errors.ClientGone: (400, _RAISED, None),
        errors.LimitExceeded: (400, _RAISED, None),
        errors.TypeRefused: (400, _RAISED, None),
        errors.QuotaExceeded: (400, _RAISED, None),
        errors.KeyReused: (400, _RAISED, None),
        errors.TooSlow: (400, _RAISED, None),
        # Not 409, which would tell the client to wait: this file will never be readable.
        errors.Rejected: (400, _RAISED, None),
        errors.Unauthenticated: (401, "unauthorized", "Missing or invalid API key"),
        errors.Forbidden: (403, "attachment_access_forbidden", _FORBIDDEN),
        errors.NotFound: (404, "attachment_document_does_not_exist", _ABSENT),
        errors.Gone: (404, "attachment_document_does_not_exist", _ABSENT),
        MethodNotAllowed: (405, _RAISED, None),
        errors.Conflict: (409, "conflict", _CONFLICT),
        errors.Infected: (409, "conflict", _CONFLICT),
        errors.Unavailable: (503, "attachment_document_not_reachable", _UNREACHABLE),
        errors.StorageFull: (503, "attachment_document_not_reachable", _UNREACHABLE),
    }
)
_PARAMETERS = MappingProxyType({"name": "filename", "path": "file_id"})  # the core's words for what is here called so


def render(error: DockError, request: Request) -> Response:
    headers = headers_of(error, challenge=CHALLENGE)
    if isinstance(error, errors.RateLimited):
        return _json(_RATE, 429, headers)
    status, code, detail = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    if status == 503:
        headers.setdefault("retry-after", "5")
    body: dict[str, Any] = {"error_code": code, "detail": detail or str(error)}
    if status in (400, 405, 422):
        body["errors"] = [_cause(error)]
    return _json(body, status, headers)


def _cause(error: DockError) -> dict[str, Any]:
    """What exactly is wrong: the parameter where one is, the sentence, and the facts (limit, received, allowed)."""
    facts = {name: fact for name, fact in error.facts.items() if fact is not None}
    field = facts.pop("field", "filename" if isinstance(error, errors.TypeRefused) else None)
    parameter = {} if field is None else {"parameter": _PARAMETERS.get(str(field), field)}
    return {**parameter, "code": error.code, "message": str(error), **facts}


def _json(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return answer_json(body, status, {**_HEADERS, **(headers or {})})
