"""The one route of conversation-files: a form with one file comes in, the file's id goes out."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.model.identity import Principal
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import TYPE_POLICY, life
from loadingdock.dialects.conversation_files import document, wire
from loadingdock.web import formfile
from loadingdock.web.callers import authorise
from loadingdock.web.credentials import login
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.formfile import receive_form_file
from loadingdock.web.multipart import FilePart
from loadingdock.web.services import Services

PERMISSION = "files:upload"


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)

    async def upload(request: Request) -> Response:
        principal = await authorise(services.access, request, login(request.scope["headers"]), PERMISSION)
        debug = wire.wants_request_id(request)
        received = await receive_form_file(
            services, principal, request, lambda part: _declaration(services, principal, part)
        )
        file = await services.uploads.publish(principal, received.declaration, received.blob)
        assert file.alias is not None  # every declaration of this wire has one
        return wire.uploaded(request, file_id=file.alias, name=file.name, company=principal.company.code, debug=debug)

    app.add_direct_route(f"{wire.PREFIX}/upload", upload, method="POST", **document.UPLOAD)
    return app


def _declaration(services: Services, principal: Principal, part: FilePart) -> Declaration:
    company = principal.company
    return Declaration(
        api=wire.API,
        name=part.name,
        max_size=services.limits.max_body,
        content_type=part.content_type,
        strict_type=company.get(TYPE_POLICY) == "strict",
        alias=wire.new_file_id(company.get(wire.REPOSITORY), services.clock.now()),
        keep=life(company, wire.RETENTION),
    )


dialect = Dialect(
    name=wire.API,
    title="Conversation files",
    summary="One file ahead of a conversation, to be attached to the e-mail of one contact.",
    prefixes=(wire.PREFIX,),
    build=build,
    render=wire.render,
    settings=(wire.REPOSITORY, wire.RETENTION),
    errors=formfile.ERRORS,
)
