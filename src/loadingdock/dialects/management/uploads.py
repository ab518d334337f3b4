"""Files on their way in: promised and sent to a signed URL, or sent here at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from starlette.responses import Response

from loadingdock.core import settings
from loadingdock.core.errors import NotFound
from loadingdock.core.model.blobs import Digest
from loadingdock.core.model.files import File, Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.names import is_id
from loadingdock.core.receiving import Declaration
from loadingdock.dialects.management.call import Caller, Read, body, reads, router, shows
from loadingdock.dialects.management.files import WRITE
from loadingdock.dialects.management.shapes import CreatedUpload, Send, UploadShape
from loadingdock.dialects.management.wire import API, PREFIX, NewUpload, answer

routes = router("uploads")


def declaration(
    principal: Principal,
    name: str,
    max_size: int,
    *,
    content_type: str | None,
    size: int | None = None,
    digests: tuple[Digest, ...] = (),
    owner: str | None = None,
) -> Declaration:
    """What this wire asks of every file: the company's policy on types, its time to keep files, no namespace."""
    company = principal.company
    return Declaration(
        api=API,
        name=name,
        max_size=max_size,
        content_type=content_type,
        size=size,
        digests=digests,
        strict_type=company.get(settings.TYPE_POLICY) == "strict",
        owner=owner,
        keep=settings.life(company, settings.RETENTION),
    )


@routes.post(
    "/uploads",
    summary="Create an upload",
    status_code=201,
    responses=shows(CreatedUpload, "Where and how to send the bytes.", 201),
    openapi_extra=body(NewUpload, {"name": "report.pdf", "content_type": "application/pdf", "size": 51200}),
)
async def create(caller: Caller, asked: Annotated[Read[NewUpload], reads(NewUpload)]) -> Response:
    """A file in the state `awaiting_upload` and a signed URL for its bytes. What is promised of them is signed with
    it and enforced."""
    caller.permit(WRITE)
    services, principal, new = caller.services, caller.principal, asked.says
    digests = () if new.sha256 is None else (Digest("sha256", bytes.fromhex(new.sha256)),)
    promised = declaration(
        principal,
        new.name,
        services.limits.max_body,
        content_type=new.content_type,
        size=new.size,
        digests=digests,
        owner=caller.owner_of(new.owner),
    )

    async def act() -> Response:
        _, upload = await services.promises.initiate(principal, promised, expires_in=timedelta(seconds=new.expires_in))
        url = await services.links.upload_url(principal, upload, permission=WRITE)
        headers = {}
        if upload.content_type is not None:
            headers["content-type"] = upload.content_type
        if upload.size is not None:
            headers["content-length"] = str(upload.size)
        shape = CreatedUpload(
            upload=UploadShape.of(upload, services.clock.now()), send=Send(method="PUT", url=url, headers=headers)
        )
        return answer(shape, 201, {"location": f"{PREFIX}/uploads/{upload.id}"})

    return await caller.once(asked.text, act)


@routes.get("/uploads/{id}", summary="Get an upload", responses=shows(UploadShape))
async def get_upload(caller: Caller, id: str) -> Response:
    upload, _ = await _look(caller, id)
    return answer(UploadShape.of(upload, caller.services.clock.now()))


@routes.delete(
    "/uploads/{id}",
    summary="Abort an upload",
    status_code=204,
    responses={409: {"description": "It was completed already."}},
)
async def abort(caller: Caller, id: str) -> Response:
    """The promise is taken back, with the bytes that came. One that was completed is a file: delete that."""
    upload, _ = await _look(caller, id)
    await caller.services.promises.abort(caller.principal, upload)
    return Response(status_code=204)


async def _look(caller: Caller, id: str) -> tuple[Upload, File]:
    caller.permit(WRITE)
    if not is_id(id):
        raise NotFound("upload")
    upload, file = await caller.services.promises.look(caller.principal.company.id, id)
    if caller.owner is not None and file.owner != caller.owner:
        raise NotFound("upload")
    return upload, file
