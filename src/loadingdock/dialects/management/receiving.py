"""Files sent at once, as a form or as they are."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import types
from loadingdock.core.errors import InvalidInput, KeyReused
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import MAX_SIZE
from loadingdock.dialects.management.call import Call, call, router, shows
from loadingdock.dialects.management.files import WRITE
from loadingdock.dialects.management.shapes import FileShape
from loadingdock.dialects.management.uploads import declaration
from loadingdock.dialects.management.wire import PREFIX, answer
from loadingdock.web import idempotency
from loadingdock.web.body import Body
from loadingdock.web.digests import claimed_digests
from loadingdock.web.multipart import DEFAULT_LIMITS, FilePart, Form, receive_form

routes = router("files")

_MULTIPART = "multipart/form-data"
_PARAMETERS = ("name", "owner")


def _parameter(name: str, meaning: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 255}
    return {"name": name, "in": "query", "required": False, "description": meaning, "schema": schema}


@routes.post(
    "/files",
    summary="Upload a file",
    status_code=201,
    responses=shows(FileShape, "The file is durable, and readable once it has been scanned.", 201),
    openapi_extra={
        "parameters": [
            _parameter("name", "The file's name, where the body is the file itself."),
            _parameter("owner", "The end user that the file belongs to, likewise."),
        ],
        "requestBody": {
            "required": True,
            "content": {
                _MULTIPART: {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "string", "format": "binary", "description": "With its file name."},
                            "owner": {"type": "string", "description": "The end user that the file belongs to."},
                        },
                        "additionalProperties": False,
                    }
                },
                types.UNKNOWN: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
)
async def upload(request: Request) -> Response:
    """One file: as the part `file` of a form, or as the body itself, of any Content-Type and with its name in the
    query."""
    caller = await call(request)
    caller.permit(WRITE)
    services, principal = caller.services, caller.principal
    async with idempotency.attempt(services, principal, request) as attempted:
        declared, blob = await _receive(caller)
        content = (declared.name, declared.content_type or "", declared.owner or "", blob.sha256)
        try:
            answered = attempted.replay(*(part.encode() for part in content))
        except KeyReused:
            await services.uploads.discard(blob)
            raise
        if answered is not None:
            await services.uploads.discard(blob)
            return answered
        file = await services.uploads.publish(principal, declared, blob)
        response = answer(FileShape.of(file), 201, {"location": f"{PREFIX}/files/{file.id}"})
        return await attempted.keep(response)


async def _receive(caller: Call) -> tuple[Declaration, BlobRef]:
    request, limits = caller.request, caller.services.limits
    content_type = request.headers.get("content-type", "")
    form = types.canonical(content_type) == _MULTIPART
    given = request.query_params
    for name in given:
        if form:
            raise InvalidInput("Where the file comes as a form, that says all there is to say of it.", field=name)
        if name not in _PARAMETERS or len(given.getlist(name)) > 1:
            raise InvalidInput(f"The query takes {' and '.join(_PARAMETERS)}, each once.", field=name)
    largest = min(limits.max_body, caller.principal.company.get(MAX_SIZE))
    body = Body(
        request,
        max_size=largest + (DEFAULT_LIMITS.room if form else 0),
        pace=limits.pace,
    )
    incoming = _Incoming(caller, claimed_digests(request.headers, of_content=not form))
    return await (incoming.form(body, content_type) if form else incoming.raw(body, content_type))


class _Incoming:
    """The one file of a request."""

    def __init__(self, caller: Call, digests: tuple[Digest, ...]) -> None:
        self._caller = caller
        self._digests = digests
        self._uploads = caller.services.uploads
        self._received: tuple[Declaration, BlobRef] | None = None

    async def raw(self, body: Body, content_type: str) -> tuple[Declaration, BlobRef]:
        query = self._caller.request.query_params
        if "name" not in query:
            raise InvalidInput("Give the file's name in the query, or send the file as a form.", field="name")
        declared = self._declared(query["name"], content_type, query.get("owner"), body.declared)
        async with self._uploads.receiving(declared) as receiver:
            async for batch in body.batches():
                await receiver.write(batch)
            return declared, await receiver.finish()

    async def form(self, body: Body, content_type: str) -> tuple[Declaration, BlobRef]:
        form = await receive_form(body, content_type, self._take)
        if self._received is None:
            field = "is a field without a file name" if form.all("file") else "is missing"
            raise InvalidInput(f"The part file {field}; send the file as one.", field="file")
        return self._received

    async def _take(self, part: FilePart) -> None:
        if part.field != "file":
            raise InvalidInput(f"The file came as part {part.field[:80]!r}; name the part file.", field="file")
        # What is wrong with the name or the type is known before the bytes; whose the file is, behind them.
        declared = self._declared(part.name, part.content_type or "", None, None)
        async with self._uploads.receiving(declared) as receiver:
            async for batch in part.batches():
                await receiver.write(batch)
            declared = self._declared(part.name, part.content_type or "", _owner(part.form), None)
            self._received = declared, await receiver.finish()

    def _declared(self, name: str, content_type: str, owner: str | None, size: int | None) -> Declaration:
        caller = self._caller
        if owner is not None and not (0 < len(owner) <= 255 and owner.isprintable()):
            raise InvalidInput("owner must have 1 to 255 printable characters.", field="owner")
        return self._uploads.declare(
            caller.principal,
            declaration(
                caller.principal,
                name,
                caller.services.limits.max_body,
                content_type=types.told(content_type),
                size=size,
                digests=self._digests,
                owner=caller.owner_of(owner),
            ),
        )


def _owner(form: Form) -> str | None:
    for name, _ in form.fields:
        if name != "owner":
            raise InvalidInput(f"The form takes the parts file and owner, not {name[:80]!r}.", field=name[:80])
    return form.get("owner")
