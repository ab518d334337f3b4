"""References from elsewhere that keep a file alive, and readable after its owner deleted it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from loadingdock.core.errors import NotFound
from loadingdock.core.model.files import Attachment, File
from loadingdock.dialects.management.call import NOT_READY, Caller, PageQuery, paged, router, shows
from loadingdock.dialects.management.files import READ, WRITE
from loadingdock.dialects.management.shapes import AttachmentShape
from loadingdock.dialects.management.wire import Listing, answer

routes = router("attachments")

Reference = Annotated[
    str,
    Path(max_length=255, description="A name of the caller's own choice, such as the id of a message."),
]


@routes.get(
    "/files/{id}/attachments",
    summary="List attachments",
    responses=shows(Listing[AttachmentShape], "A page, by reference."),
)
async def list_attachments(caller: Caller, id: str, query: Annotated[PageQuery, Query()]) -> Response:
    """Also those of a deleted file, as long as it has any."""
    file = await _attached(caller, id, READ)
    page, cursor = paged(await caller.services.files.attachments(file), _by_reference, query)
    return answer(Listing(items=[AttachmentShape.of(one) for one in page], next_cursor=cursor))


def _by_reference(attachment: Attachment) -> str:
    return attachment.reference


@routes.put(
    "/files/{id}/attachments/{reference}",
    summary="Attach a file",
    responses={**shows(AttachmentShape, "It is attached."), **NOT_READY},
)
async def attach(caller: Caller, id: str, reference: Reference) -> Response:
    """Keeps the file from expiring, and its bytes from going when it is deleted. Only a file that is ready can be
    attached. Attaching it again under the same reference changes nothing."""
    file = await caller.file(id, WRITE)
    return answer(AttachmentShape.of(await caller.services.files.attach(caller.principal, file, reference)))


@routes.delete("/files/{id}/attachments/{reference}", summary="Detach a file", status_code=204)
async def detach(caller: Caller, id: str, reference: Reference) -> Response:
    """The last one of a deleted file takes its bytes."""
    file = await _attached(caller, id, WRITE)
    await caller.services.files.detach(caller.principal, file, reference)
    return Response(status_code=204)


async def _attached(caller: Caller, id: str, permission: str) -> File:
    """The file, be it deleted as long as something holds on to it."""
    file = await caller.file(id, permission, deleted=True)
    if file.deleted_at is not None and not file.attached:
        raise NotFound
    return file
