"""The words of file-upload: its request and answer, its errors, and what a company may set for it.

The source document knows the statuses 200, 400, 401 and 403 and says of errors only which headers they have. Their
body is a problem document (RFC 9457) with `traceId`, and with `errors` where members of the request are wrong.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import settings, types
from loadingdock.core.errors import DockError, Forbidden, InvalidInput
from loadingdock.core.model.blobs import Digest
from loadingdock.core.model.companies import CompanySetting
from loadingdock.web import cors, problems
from loadingdock.web.answers import answer_json
from loadingdock.web.context import context

API = "file-upload"
PREFIX = "/v1/fileUpload"
CHALLENGE = 'Bearer error="invalid_token"'

_SAFE_INTEGERS = 2**53  # every whole number below is exact in JSON (RFC 8259 6)
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*"  # RFC 6838 4.2
    r'(?:[ \t]*;[ \t]*[A-Za-z0-9!#$&^_.+-]+=(?:[A-Za-z0-9!#$&^_.+-]+|"[^"\\\x00-\x1f\x7f-\uffff]*"))*',
    re.ASCII,
)
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
# The extension of a file that was given no name; of several for one type, the usual one.
_EXTENSIONS = (
    *("pdf", "csv", "txt", "json", "xml", "html", "md", "rtf", "eml", "docx", "xlsx", "pptx", "doc", "xls", "ppt"),
    *("odt", "ods", "odp", "png", "jpg", "gif", "webp", "tiff", "bmp", "svg", "heic", "avif", "zip", "gz", "tar"),
)


FILE_ID_TYPE: CompanySetting[str] = CompanySetting(
    f"{API}.file-id-type",
    "number",
    "the JSON type of fileId in file-upload: number or string",
    settings.choice("number", "string"),
)
EXPIRES_IN = settings.url_life(API, timedelta(hours=1))
SETTINGS: tuple[CompanySetting[Any], ...] = (FILE_ID_TYPE, EXPIRES_IN)


class Invalid(InvalidInput):
    """Members of the request that are wrong: each by its name ("" for the whole), with what would be right."""

    def __init__(self, causes: Sequence[tuple[str, str]]) -> None:
        super().__init__(" ".join(dict.fromkeys(sentence for _, sentence in causes)), field=causes[0][0])
        self.causes = tuple(causes)


@dataclass(frozen=True, slots=True)
class Asked:
    """The request's body. What is not in it is None."""

    content_type: str
    name: str | None
    size: int | None
    sha256: Digest | None

    def name_for(self, file_id: int) -> str:
        """The name given, else the id with the type's extension, so that name and type agree."""
        if self.name is not None:
            return self.name
        wanted = types.canonical(self.content_type)
        extension = next((one for one in _EXTENSIONS if types.type_of_name(f"x.{one}") == wanted), None)
        return str(file_id) if extension is None else f"{file_id}.{extension}"


def read(body: Mapping[str, Any]) -> Asked:
    """Raises Invalid, naming everything that is wrong. Members that mean nothing here are ignored."""
    causes: list[tuple[str, str]] = []
    content_type, name, size, sha256 = (body.get(key) for key in ("contentType", "fileName", "size", "sha256"))
    if content_type is None:
        causes.append(("contentType", "contentType is missing; send the MIME type of the file."))
    elif not isinstance(content_type, str) or len(content_type) > 255 or not _MEDIA_TYPE.fullmatch(content_type):
        causes.append(("contentType", "contentType must be a MIME type such as application/pdf."))
    if name is not None and not (isinstance(name, str) and name):
        causes.append(("fileName", "fileName must be a string that is not empty."))
    if size is not None and (type(size) is not int or not 0 <= size < _SAFE_INTEGERS):
        causes.append(("size", "size must be a whole number of bytes, 0 or more."))
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        causes.append(("sha256", "sha256 must be the 64 hexadecimal digits of the file's SHA-256."))
    if causes:
        raise Invalid(causes)
    digest = None if sha256 is None else Digest("sha256", bytes.fromhex(sha256))
    return Asked(content_type=str(content_type), name=name, size=size, sha256=digest)


def new_file_id() -> int:
    """Random, so that it tells nothing of other files, and exact in every JSON reader."""
    return secrets.randbelow(_SAFE_INTEGERS - 1) + 1


# --- answers -------------------------------------------------------------------------------------


def headers(request: Request) -> dict[str, str]:
    """What the source document wants on every response."""
    trace_id = context(request).trace_id
    return {**cors.headers(request, "X-Trace-Id"), "x-trace-id": trace_id, "cache-control": "no-store"}


def initiated(request: Request, url: str, file_id: int, *, as_string: bool) -> Response:
    body = {"uploadMethod": "PUT", "uploadUrl": url, "fileId": str(file_id) if as_string else file_id}
    return answer_json(body, headers=headers(request))


def preflight(request: Request) -> Response:
    allowed = cors.preflight("POST, OPTIONS", "Authorization, Content-Type, traceparent")
    return Response(status_code=204, headers={**headers(request), **allowed, "allow": "POST, OPTIONS"})


def render(error: DockError, request: Request) -> Response:
    members = problems.document(error)
    if isinstance(error, Forbidden):
        members["detail"] = f"User does not have access to post transactions. {error}"
    members["traceId"] = context(request).trace_id
    if isinstance(error, Invalid):
        members["errors"] = [_cause(name, sentence) for name, sentence in error.causes]
    elif isinstance(error, InvalidInput):
        members["errors"] = [{"detail": str(error), "pointer": "#"}]
    return problems.respond(members, error, challenge=CHALLENGE, headers=headers(request))


def _cause(name: str, sentence: str) -> dict[str, str]:
    """As in RFC 9457's own example: a JSON Pointer in its fragment form (RFC 6901 6)."""
    return {"detail": sentence, "pointer": f"#/{name}" if name else "#"}
