"""The words of conversation-files: its answer, its table of errors, its ids and what a company may set for it.

The source document knows the statuses 200, 400 and 401. What is wrong with the request itself is therefore 400 here,
a missing permission 401; only the sizes, the rate and our own troubles have statuses of their own.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import settings
from loadingdock.core.errors import (
    DockError,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    TooLarge,
    TypeRefused,
    Unauthenticated,
)
from loadingdock.core.model.companies import CompanySetting
from loadingdock.web.context import context
from loadingdock.web.credentials import Basic, authorization
from loadingdock.web.errors import UnsupportedMediaType
from loadingdock.web.problems import headers_of, status_of

API = "conversation-files"
PREFIX = "/dana/conversation/http/rest/file"
CHALLENGE = 'Basic realm="Loadingdock", charset="UTF-8"'  # RFC 7617 2.1: logins and passwords are UTF-8

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)  # of a company

REPOSITORY: CompanySetting[str] = CompanySetting(
    f"{API}.repository", "WS", "the repository that stands in the fileID of conversation-files", settings.repository
)
RETENTION = settings.retention(API, timedelta(days=7))


class FileMissing(InvalidInput):
    """The form has no part `file` with a file in it, or it is no form at all."""

    code = "file_missing"

    def __init__(self, message: str) -> None:
        super().__init__(message, field="file")


class FileRepeated(InvalidInput):
    code = "file_repeated"

    def __init__(self) -> None:
        super().__init__(
            "The form has more than one part named file; send each file in a request of its own.", field="file"
        )


def new_file_id(repository: str, now: datetime) -> str:
    """`s3://WS/2021/6/fc205897b3001fef760d1ac1965ecc64`: 128 random bits, never a hash of the content, so that an id
    tells nothing and cannot be guessed."""
    return f"s3://{repository}/{now.year}/{now.month}/{secrets.token_hex(16)}"


def wants_request_id(request: Request) -> bool:
    """X-DEBUG: 1 asks for `requestID` in every response. Raises InvalidInput for anything but 0 and 1."""
    values = request.headers.getlist("x-debug")
    if values and (len(values) > 1 or values[0] not in ("0", "1")):
        raise InvalidInput(f"X-DEBUG is 0 or 1, not {', '.join(values)[:40]!r}.", field="X-DEBUG")
    return values == ["1"]


def uploaded(request: Request, *, file_id: str, name: str, company: str, debug: bool) -> Response:
    body = {"fileID": file_id, "fileName": name, "idCompany": company}
    return _answer(request, 200, body, debug=debug)


def render(error: DockError, request: Request) -> Response:
    """Every error in the shape of the success: what was wrong, the company of the login as far as it can be read."""
    headers = headers_of(error, challenge=CHALLENGE)
    if isinstance(error, Forbidden):
        headers["www-authenticate"] = CHALLENGE  # RFC 9110 15.5.2: a 401 says how one authenticates
    body = {"error": {"code": error.code, "message": str(error)}, "idCompany": _company_of_login(request)}
    debug = request.headers.getlist("x-debug") == ["1"]
    return _answer(request, _status(error), body, headers, debug=debug)


def _status(error: DockError) -> int:
    match error:
        case Forbidden():
            return 401
        case TooLarge() | UnsupportedMediaType():
            return status_of(error)
        case LimitExceeded() | TypeRefused():
            return 400
        case _:
            return status_of(error)


def _company_of_login(request: Request) -> str | None:
    try:
        credentials = authorization(request.scope["headers"])
    except Unauthenticated:
        return None
    if not isinstance(credentials, Basic):
        return None
    code = credentials.login.rpartition("@")[2]
    return code.lower() if _CODE.fullmatch(code) else None


def _answer(
    request: Request, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None, *, debug: bool
) -> Response:
    request_id = context(request).request_id
    if debug:
        body["requestID"] = request_id
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(content, status, {"x-request-id": request_id, **(headers or {})}, media_type="application/json")
