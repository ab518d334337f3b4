"""The one route of conversation-files: a form with one file comes in, the file's id goes out."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.access import permit
from loadingdock.core.errors import Forbidden, Unauthenticated
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.model.identity import Principal
from loadingdock.core.settings import MAX_SIZE, TYPE_POLICY
from loadingdock.core.uploads import Declaration
from loadingdock.dialects.conversation_files import document, wire
from loadingdock.web.body import Body, Pace
from loadingdock.web.context import context
from loadingdock.web.credentials import Basic, authorization
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.digests import claimed_digests
from loadingdock.web.multipart import DEFAULT_LIMITS, FilePart, Form, receive_form
from loadingdock.web.services import Services

PERMISSION = "files:upload"


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)
    pace = Pace(rate=services.limits.min_rate, deadline=services.limits.deadline.total_seconds())

    async def upload(request: Request) -> Response:
        principal = await _authorised(services, request)
        debug = wire.wants_request_id(request)
        largest = min(services.limits.max_body, principal.company.get(MAX_SIZE))
        body = Body(request, max_size=largest + DEFAULT_LIMITS.room, pace=pace)
        incoming = _Incoming(services, principal, claimed_digests(request.headers, of_content=False))
        form = await receive_form(body, request.headers.get("content-type"), incoming.take)
        declaration, blob = incoming.outcome(form)
        file = await services.uploads.publish(principal, declaration, blob)
        assert file.alias is not None  # every declaration of this wire has one
        return wire.uploaded(request, file_id=file.alias, name=file.name, company=principal.company.code, debug=debug)

    app.add_direct_route(f"{wire.PREFIX}/upload", upload, method="POST", **document.UPLOAD)
    return app


async def _authorised(services: Services, request: Request) -> Principal:
    """Whoever may upload. Nothing of the body has been asked for when it raises."""
    credentials = authorization(request.scope["headers"])
    if not isinstance(credentials, Basic):
        raise Unauthenticated
    known = context(request)
    principal = await services.access.basic(
        credentials.login, credentials.password, address=known.address, trace_id=known.trace_id
    )
    try:
        permit(principal, PERMISSION)
    except Forbidden as error:
        services.access.denied(principal, error)
        raise
    await services.access.limit(principal)
    return principal


class _Incoming:
    """The file of one form: received when its part comes, kept when the whole form is there."""

    def __init__(self, services: Services, principal: Principal, digests: tuple[Digest, ...]) -> None:
        self._services = services
        self._principal = principal
        self._digests = digests
        self._received: tuple[Declaration, BlobRef] | None = None

    async def take(self, part: FilePart) -> None:
        if part.field != "file":
            raise wire.FileMissing(f"The file came as part {part.field[:80]!r}; name the part file.")
        uploads = self._services.uploads
        declaration = uploads.declare(self._principal, self._declaration(part))
        async with uploads.receiving(declaration) as receiver:
            async for batch in part.batches():
                await receiver.write(batch)
            # The form has ended here, and nothing is durable yet.
            if part.form.all("file"):
                raise wire.FileRepeated
            self._received = declaration, await receiver.finish()

    def outcome(self, form: Form) -> tuple[Declaration, BlobRef]:
        if self._received is None:
            if form.all("file"):
                raise wire.FileMissing("The part file has no file name, so it is a field and no file.")
            raise wire.FileMissing("The form has no part named file; send the file as one.")
        return self._received

    def _declaration(self, part: FilePart) -> Declaration:
        company = self._principal.company
        keep = company.get(wire.RETENTION)
        return Declaration(
            api=wire.API,
            name=part.name,
            max_size=self._services.limits.max_body,
            content_type=part.content_type,
            digests=self._digests,
            strict_type=company.get(TYPE_POLICY) == "strict",
            alias=wire.new_file_id(company.get(wire.REPOSITORY), self._services.clock.now()),
            keep=None if keep is None else timedelta(seconds=keep),
        )


dialect = Dialect(
    name=wire.API,
    title="Conversation files",
    summary="One file ahead of a conversation, to be attached to the e-mail of one contact.",
    prefixes=(wire.PREFIX,),
    build=build,
    render=wire.render,
    settings=(wire.REPOSITORY, wire.RETENTION),
    errors=(wire.FileMissing("The form has no part named file; send the file as one."), wire.FileRepeated()),
)
