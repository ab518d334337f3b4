"""The words of contact-load: its answer, its table of errors, and what a company may set for it.

It is the sister of conversation-files, and refuses with the same statuses: what is wrong with the request itself is
400, a missing permission 401; only a table that is not there, the sizes, the rate and our own troubles have statuses of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import settings
from loadingdock.core.errors import DockError, InvalidInput
from loadingdock.core.model.imports import Import
from loadingdock.dialects.contact_load.fields import WIRE_NAMES
from loadingdock.web.answers import answer_json
from loadingdock.web.context import context
from loadingdock.web.problems import narrowed

API = "contact-load"
PREFIX = "/api/contacts/rest/webdb/table"
CHALLENGE = 'Basic realm="Loadingdock", charset="UTF-8"'  # RFC 7617 2.1: logins and passwords are UTF-8

RETENTION = settings.retention(API, timedelta(days=30))


def accepted(request: Request, begun: Import, company: str) -> Response:
    """The source's answer with its keys in their order, then ours. `separator` is the character itself; JSON writes a
    tab as `\\t`."""
    body: dict[str, Any] = {
        "fields": list(begun.columns),
        "fileName": begun.file_name,
        "idCompany": company,
        "includeHeaders": begun.asked.header,
        "separator": begun.asked.separator,
        "status": True,
        "tableCode": begun.table_code,
        "logID": begun.number,
    }
    if begun.warnings:
        body["warnings"] = list(begun.warnings)
    return _answer(request, 200, body)


def render(error: DockError, request: Request) -> Response:
    """Every error in one shape: what was wrong, with which field of the form, and the table as the path has it."""
    status, headers = narrowed(error, challenge=CHALLENGE)
    field = error.field if isinstance(error, InvalidInput) else None
    body = {
        "status": False,
        "tableCode": _table_of_path(request),
        "error": {
            "code": error.code,
            "message": str(error),
            "field": None if field is None else WIRE_NAMES.get(field, field),
        },
    }
    return _answer(request, status, body, headers)


def _table_of_path(request: Request) -> str | None:
    """None where the path is none of a table's."""
    code = request.scope["path"].removeprefix(f"{PREFIX}/")
    return None if not code or "/" in code else code


def _answer(
    request: Request, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Response:
    return answer_json(body, status, {"x-request-id": context(request).request_id, **(headers or {})})
