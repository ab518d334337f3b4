"""The one route of contact-load: a form with a CSV file comes in, and the import of it is begun."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.importnotes import REPOSITORY
from loadingdock.core.model.identity import Principal
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import life
from loadingdock.dialects.contact_load import document, fields, wire
from loadingdock.web import formfile
from loadingdock.web.callers import authorise
from loadingdock.web.credentials import login
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.formfile import receive_form_file
from loadingdock.web.multipart import FilePart
from loadingdock.web.services import Services

PERMISSION = "contacts:load"


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)

    async def load(request: Request) -> Response:
        principal = await authorise(services.access, request, login(request.scope["headers"]), PERMISSION)
        table = await services.imports.table(principal, request.path_params["tableCode"])

        def declare(part: FilePart) -> Declaration:
            fields.wanted(part.form, complete=False)
            return _declaration(services, principal, part)

        received = await receive_form_file(services, principal, request, declare, check=fields.wanted)
        wanted = fields.wanted(received.form)
        begun = await services.imports.submit(
            principal, table, wanted.asked, received.declaration, received.blob, callback_url=wanted.callback_url
        )
        return wire.accepted(request, begun, principal.company.code)

    app.add_api_route(wire.PREFIX + "/{tableCode}", load, methods=["POST"], **document.LOAD)
    return app


def _declaration(services: Services, principal: Principal, part: FilePart) -> Declaration:
    """Not strict about types: every CSV is a text to a detector, and many a text is something else to it."""
    return Declaration(
        api=wire.API,
        name=part.name,
        max_size=services.limits.max_body,
        content_type=part.content_type,
        strict_type=False,
        keep=life(principal.company, wire.RETENTION),
    )


dialect = Dialect(
    name=wire.API,
    title="Contact load",
    summary="A file of contacts into a table that is there already.",
    prefixes=(wire.PREFIX,),
    build=build,
    render=wire.render,
    settings=(REPOSITORY, wire.RETENTION),
    errors=formfile.ERRORS,
)
