"""The one route of contact-load: a form with a CSV file comes in, and the import of it is begun."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.access import permit
from loadingdock.core.errors import Forbidden, Unauthenticated
from loadingdock.core.importnotes import REPOSITORY
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.model.identity import Principal
from loadingdock.core.settings import MAX_SIZE
from loadingdock.core.uploads import Declaration
from loadingdock.dialects.contact_load import document, fields, wire
from loadingdock.web.body import Body, Pace
from loadingdock.web.context import context
from loadingdock.web.credentials import Basic, authorization
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.digests import claimed_digests
from loadingdock.web.multipart import DEFAULT_LIMITS, FilePart, Form, receive_form
from loadingdock.web.services import Services

PERMISSION = "contacts:load"


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)
    pace = Pace(rate=services.limits.min_rate, deadline=services.limits.deadline.total_seconds())

    async def load(request: Request) -> Response:
        principal = await _authorised(services, request)
        table = await services.imports.table(principal, request.path_params["tableCode"])
        largest = min(services.limits.max_body, principal.company.get(MAX_SIZE))
        body = Body(request, max_size=largest + DEFAULT_LIMITS.room, pace=pace)
        incoming = _Incoming(services, principal, claimed_digests(request.headers, of_content=False))
        form = await receive_form(body, request.headers.get("content-type"), incoming.take)
        wanted, declaration, blob = incoming.outcome(form)
        begun = await services.imports.submit(
            principal, table, wanted.asked, declaration, blob, callback_url=wanted.callback_url
        )
        return wire.accepted(request, begun, principal.company.code)

    app.add_api_route(wire.PREFIX + "/{tableCode}", load, methods=["POST"], **document.LOAD)
    return app


async def _authorised(services: Services, request: Request) -> Principal:
    """Whoever may load contacts. Nothing of the body has been asked for when it raises."""
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
        self._received: tuple[fields.Wanted, Declaration, BlobRef] | None = None

    async def take(self, part: FilePart) -> None:
        if part.field != "file":
            raise wire.FileMissing(f"The file came as part {part.field[:80]!r}; name the part file.")
        fields.wanted(part.form, complete=False)
        uploads = self._services.uploads
        declaration = uploads.declare(self._principal, self._declaration(part))
        async with uploads.receiving(declaration) as receiver:
            async for batch in part.batches():
                await receiver.write(batch)
            # The form has ended here, and nothing is durable yet.
            if part.form.all("file"):
                raise wire.FileRepeated
            wanted = fields.wanted(part.form)
            self._received = wanted, declaration, await receiver.finish()

    def outcome(self, form: Form) -> tuple[fields.Wanted, Declaration, BlobRef]:
        if self._received is None:
            if form.all("file"):
                raise wire.FileMissing("The part file has no file name, so it is a field and no file.")
            raise wire.FileMissing("The form has no part named file; send the file as one.")
        return self._received

    def _declaration(self, part: FilePart) -> Declaration:
        """Not strict about types: every CSV is a text to a detector, and many a text is something else to it."""
        keep = self._principal.company.get(wire.RETENTION)
        return Declaration(
            api=wire.API,
            name=part.name,
            max_size=self._services.limits.max_body,
            content_type=part.content_type,
            digests=self._digests,
            strict_type=False,
            keep=None if keep is None else timedelta(seconds=keep),
        )


dialect = Dialect(
    name=wire.API,
    title="Contact load",
    summary="A file of contacts into a table that is there already.",
    prefixes=(wire.PREFIX,),
    build=build,
    render=wire.render,
    settings=(REPOSITORY, wire.RETENTION),
    errors=(wire.FileMissing("The form has no part named file; send the file as one."), wire.FileRepeated()),
)
