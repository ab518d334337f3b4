"""How a file comes to its name: as a part of a form, as the raw body, or not yet."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from loadingdock.core import types
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.files import File, Namespace
from loadingdock.core.model.identity import Principal
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import RETENTION, life
from loadingdock.dialects.file_service import wire
from loadingdock.web.body import Body
from loadingdock.web.digests import claimed_digests
from loadingdock.web.formfile import FileMissing, FileRepeated
from loadingdock.web.multipart import FilePart, FormLimits, receive_form
from loadingdock.web.services import Services

_LIMITS = FormLimits(files=10)


async def receive(services: Services, principal: Principal, namespace: Namespace, name: str, request: Request) -> File:
    """The next version of the name, or a placeholder where no file was sent."""
    company = principal.company
    declared = request.headers.get("content-type", "")
    multipart = declared.strip().lower().startswith("multipart/form-data")
    declaration = services.uploads.declare(
        principal,
        Declaration(
            api=wire.API,
            name=name,
            max_size=services.limits.max_body if namespace.max_size is None else namespace.max_size,
            content_type=services.detector.of_name(name),
            digests=claimed_digests(request.headers, of_content=not multipart),
            allowed_types=namespace.allowed_types,
            strict_type=True,
            namespace=namespace.name,
            acl=namespace.acl,
            keep=life(company, RETENTION),
            version_attributes=wire.new_attributes(company, namespace.name, name, None),
        ),
    )
    incoming = _Incoming(services, principal, declaration)
    largest = min(services.limits.max_body, declaration.max_size)
    body = Body(request, max_size=largest + (_LIMITS.room if multipart else 0), pace=services.limits.pace)
    received = await (incoming.form(body, declared) if multipart else incoming.raw(body, declared))
    if received is None:
        return await services.uploads.placeholder(principal, declaration)
    now = services.clock.now()
    attributes = wire.new_attributes(company, namespace.name, declaration.name, now)
    declaration = replace(declaration, content_type=received[0], version_attributes=attributes)
    return await services.uploads.publish(principal, declaration, received[1])


_Received = tuple[str | None, BlobRef]  # (declared type, bytes)


class _Incoming:
    def __init__(self, services: Services, principal: Principal, declaration: Declaration) -> None:
        self._services = services
        self._declaration = declaration
        self._received: _Received | None = None
        self._field = ""

    async def raw(self, body: Body, content_type: str) -> _Received | None:
        batches = body.batches()
        first = await anext(batches, None)
        if first is None:
            return None
        declaration = replace(self._declared(content_type), size=body.declared)
        async with self._services.uploads.receiving(declaration) as receiver:
            await receiver.write(first)
            async for batch in batches:
                await receiver.write(batch)
            return declaration.content_type, await receiver.finish()

    async def form(self, body: Body, content_type: str) -> _Received | None:
        try:
            form = await receive_form(body, content_type, self._take, _LIMITS)
            if self._received is None and form.all("file"):
                raise FileMissing(
                    "The part file has no file name, so it is a field and no file; send no body for a placeholder."
                )
        except BaseException:
            await self._discard()
            raise
        return self._received

    async def _take(self, part: FilePart) -> None:
        """The part named `file` counts; without one, the only file there is."""
        if self._received is not None:
            if part.field == self._field or "file" not in (part.field, self._field):
                raise FileRepeated(wire.SEVERAL)
            if self._field == "file":
                return
            await self._discard()
        declaration = self._declared(part.content_type or "")
        async with self._services.uploads.receiving(declaration) as receiver:
            async for batch in part.batches():
                await receiver.write(batch)
            if not part.name and not receiver.received:
                return  # a browser's file field in which nothing was chosen
            self._field = part.field
            self._received = declaration.content_type, await receiver.finish()

    async def _discard(self) -> None:
        if self._received is not None:
            await self._services.uploads.discard(self._received[1])
            self._received = None

    def _declared(self, content_type: str) -> Declaration:
        """What the client says of the bytes; what it leaves open, the name says."""
        told = types.told(content_type)
        return self._declaration if told is None else replace(self._declaration, content_type=told)
