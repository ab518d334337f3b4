"""The words of conversation-files: its answer, its table of errors, its ids and what a company may set for it.

The source document knows the statuses 200, 400 and 401. What is wrong with the request itself is therefore 400 here,
a missing permission 401; only the sizes, the rate and our own troubles have statuses of their own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import settings
from loadingdock.core.errors import DockError, InvalidInput, Unauthenticated
from loadingdock.core.model.companies import CompanySetting
from loadingdock.web.answers import answer_json
from loadingdock.web.context import context
from loadingdock.web.credentials import login
from loadingdock.web.problems import narrowed

API = "conversation-files"
PREFIX = "/dana/conversation/http/rest/file"
CHALLENGE = 'Basic realm="Loadingdock", charset="UTF-8"'  # RFC 7617 2.1: logins and passwords are UTF-8

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)  # of a company

REPOSITORY: CompanySetting[str] = CompanySetting(
    f"{API}.repository", "WS", "the repository that stands in the fileID of conversation-files", settings.repository
)
RETENTION = settings.retention(API, timedelta(days=7))


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
    status, headers = narrowed(error, challenge=CHALLENGE)
    body = {"error": {"code": error.code, "message": str(error)}, "idCompany": _company_of_login(request)}
    debug = request.headers.getlist("x-debug") == ["1"]
    return _answer(request, status, body, headers, debug=debug)


def _company_of_login(request: Request) -> str | None:
    try:
        credentials = login(request.scope["headers"])
    except Unauthenticated:
        return None
    if credentials is None:
        return None
    code = credentials.login.rpartition("@")[2]
    return code.lower() if _CODE.fullmatch(code) else None


def _answer(
    request: Request, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None, *, debug: bool
) -> Response:
    request_id = context(request).request_id
    if debug:
        body["requestID"] = request_id
    return answer_json(body, status, {"x-request-id": request_id, **(headers or {})})
