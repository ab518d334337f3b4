"""The bytes of files, and the text found in them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from loadingdock.dialects.management.attachments import Reference
from loadingdock.dialects.management.call import NOT_READY, Caller, router
from loadingdock.dialects.management.files import READ, OneVersion
from loadingdock.web.ranges import content_response

routes = router("contents")

_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _header(name: str, meaning: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": meaning,
        "schema": {"type": "string"},
        "example": example,
    }


ASKED: dict[str, Any] = {
    "parameters": [
        _header("Range", "Only these bytes (RFC 9110 14.2).", "bytes=0-1023"),
        _header("If-None-Match", "Not the bytes if they are these: their ETag.", '"*"'),
    ]
}
ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes, of the file's own type.", "content": {"*/*": _BINARY}},
    206: {"description": "The bytes asked for.", "content": {"*/*": _BINARY}},
    307: {"description": "The store has them, for who follows within a minute (company setting `downloads`)."},
    304: {"description": "They are those that the client has."},
    412: {"description": "They are not those that If-Match or If-Unmodified-Since want."},
    **NOT_READY,
    416: {"description": "The range is not in the file."},
}


@routes.get("/files/{id}/content", summary="Download a file", responses=ANSWERED, openapi_extra=ASKED)
async def get_content(caller: Caller, id: str, query: OneVersion) -> Response:
    """The bytes that were scanned, and only once they were found clean."""
    file = await caller.file(id, READ)
    content = await caller.services.files.open(caller.principal, file, query.version)
    return await content_response(caller.request, caller.services.blobs, content)


routes.head("/files/{id}/content", summary="Ask about a file's bytes", responses=ANSWERED, openapi_extra=ASKED)(
    get_content
)


@routes.get(
    "/files/{id}/attachments/{reference}/content",
    summary="Download through an attachment",
    responses=ANSWERED,
    openapi_extra=ASKED,
)
async def get_attached_content(caller: Caller, id: str, reference: Reference) -> Response:
    """The latest version, also after the file was deleted: it stays for those who attached it."""
    file = await caller.file(id, READ, deleted=True)
    content = await caller.services.files.open_attached(caller.principal, file, reference)
    return await content_response(caller.request, caller.services.blobs, content)


@routes.get(
    "/files/{id}/text",
    summary="Get the text found in a file",
    responses={
        200: {
            "description": "UTF-8; empty where there is none.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "Invoice 4711"}},
        },
        **NOT_READY,
    },
)
async def get_text(caller: Caller, id: str) -> Response:
    """Of PDF, DOCX, XLSX, CSV and plain text; cut at the installation's limit, as the metadata's warnings say."""
    file = await caller.file(id, READ)
    text = await caller.services.files.text(caller.principal, file)
    headers = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}
    return Response(text, headers=headers, media_type="text/plain")
