"""The one route of file-upload, and the preflight that browsers send before it."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import AlreadyExists, NameRefused, TooLarge, TypeRefused
from loadingdock.core.model.files import Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import RETENTION, life
from loadingdock.dialects.file_upload import document, wire
from loadingdock.web import cors
from loadingdock.web.body import Body
from loadingdock.web.callers import recognise
from loadingdock.web.credentials import bearer
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.errors import UnsupportedMediaType
from loadingdock.web.forms import receive_json
from loadingdock.web.parameters import parameters
from loadingdock.web.services import Services

PERMISSION = "transactions:post"

_BODY_LIMIT = 64 * 1024
_TRIES = 4  # of an id that is random among 2^53; more than one is rare enough to be a fault


class Routes:
    def __init__(self, services: Services, origins: cors.Origins) -> None:
        self._services = services
        self._origins = origins
        self._pace = services.limits.pace

    async def initiate(self, request: Request) -> Response:
        principal = await self._authorised(request)
        asked = wire.read(await self._body(request))
        company = principal.company
        file_id, upload = await self._promise(principal, asked)
        url = await self._services.links.upload_url(principal, upload, permission=PERMISSION)
        as_string = company.get(wire.FILE_ID_TYPE) == "string"
        return wire.initiated(request, url, file_id, as_string=as_string)

    async def preflight(self, request: Request) -> Response:
        return wire.preflight(request)

    async def _authorised(self, request: Request) -> Principal:
        """Whoever may post transactions. Nothing of the body has been asked for when it raises."""
        access = self._services.access
        principal = await recognise(access, request, bearer(request.scope["headers"], bare=True))
        cors.allow(request.scope, self._origins.of(principal.company))
        await access.admit(principal, PERMISSION)
        return principal

    async def _body(self, request: Request) -> dict[str, object]:
        media_type, _ = parameters("Content-Type", request.headers.get("content-type", ""))
        if media_type != "application/json":
            raise UnsupportedMediaType("The request's Content-Type must be application/json.")
        return await receive_json(Body(request, max_size=_BODY_LIMIT, pace=self._pace))

    async def _promise(self, principal: Principal, asked: wire.Asked) -> tuple[int, Upload]:
        for _ in range(_TRIES - 1):
            file_id = wire.new_file_id()
            try:
                return file_id, await self._initiate(principal, asked, file_id)
            except AlreadyExists:
                continue
        file_id = wire.new_file_id()
        return file_id, await self._initiate(principal, asked, file_id)

    async def _initiate(self, principal: Principal, asked: wire.Asked, file_id: int) -> Upload:
        company = principal.company
        declaration = Declaration(
            api=wire.API,
            name=asked.name_for(file_id),
            max_size=self._services.limits.max_body,
            content_type=asked.content_type,
            size=asked.size,
            digests=() if asked.sha256 is None else (asked.sha256,),
            strict_type=True,
            alias=str(file_id),
            keep=life(company, RETENTION),
        )
        try:
            _, upload = await self._services.promises.initiate(
                principal, declaration, expires_in=timedelta(seconds=company.get(wire.EXPIRES_IN))
            )
        except NameRefused as error:
            raise wire.Invalid([("fileName", str(error))]) from None
        except TooLarge as error:
            raise wire.Invalid([("size", str(error))]) from None
        except TypeRefused as error:
            raise wire.Invalid([("contentType" if asked.name is None else "fileName", str(error))]) from None
        return upload


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)
    origins = cors.Origins(services.records, services.clock, services.public_url)
    routes = Routes(services, origins)

    async def whose(path: str, asking: str | None) -> tuple[str, ...]:
        return await origins.of_anybody(asking)  # nobody has said yet for which company they come

    app.add_middleware(cors.Cors, whose=whose)
    app.add_api_route(wire.PREFIX, routes.initiate, methods=["POST"], **document.INITIATE)
    app.add_api_route(wire.PREFIX, routes.preflight, methods=["OPTIONS"], include_in_schema=False)
    return app


dialect = Dialect(
    name=wire.API,
    title="File upload",
    summary="An upload is initiated with its type; the answer says where the bytes go and which id they have.",
    prefixes=(wire.PREFIX,),
    build=build,
    render=wire.render,
    settings=wire.SETTINGS,
    errors=(wire.Invalid([("contentType", "contentType is missing; give the MIME type of the file.")]),),
)
