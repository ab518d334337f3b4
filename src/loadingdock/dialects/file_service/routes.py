"""The routes of file-service: who asks, for which name, and what is done about it."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.model.files import Acl, File, Version
from loadingdock.core.model.identity import Principal
from loadingdock.core.permissions import holds
from loadingdock.core.ports.files import FileFilter
from loadingdock.dialects.file_service import document, wire
from loadingdock.dialects.file_service.namespaces import NAMESPACES, check_extension, namespace_of
from loadingdock.dialects.file_service.receiving import receive
from loadingdock.web.body import Body
from loadingdock.web.callers import authorise
from loadingdock.web.context import context
from loadingdock.web.credentials import Bearer, authorization, header_token
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.formfile import FileMissing, FileRepeated
from loadingdock.web.forms import receive_json
from loadingdock.web.ranges import content_response
from loadingdock.web.services import Services

READ, WRITE = "files:read", "files:write"
LINK_LIFE = timedelta(seconds=3600)  # X-Amz-Expires of the source document's sample

_SMALL = 64 << 10  # bytes of a JSON body


class FileService:
    """One installation's routes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pace = services.limits.pace

    # --- files ---

    async def upload(self, request: Request) -> Response:
        principal = await self._authorised(request, WRITE)
        namespace = namespace_of(principal.company, request.path_params["namespace"])
        name = request.path_params["filename"]
        check_extension(namespace, name)
        file = await receive(self._services, principal, namespace, name, request)
        return await self._one(principal, "Successfully uploaded file", file, file.version)

    async def metadata(self, request: Request) -> Response:
        principal = await self._authorised(request, READ)
        file, version = await self._version(request, principal)
        return await self._one(principal, "Successfully found file", file, version)

    async def content(self, request: Request) -> Response:
        principal = await self._authorised(request, READ)
        file, version = await self._version(request, principal)
        content = await self._services.files.open(principal, file, version.number)
        return await content_response(request, self._services.blobs, content)

    async def listing(self, request: Request) -> Response:
        principal = await self._authorised(request, READ)
        namespace = namespace_of(principal.company, request.path_params["namespace"])
        page = await self._services.files.list(
            principal,
            FileFilter(namespace=namespace.name),
            limit=wire.page_limit(request),
            cursor=request.query_params.get("cursor"),
        )
        return wire.listed([wire.file_json(principal.company, f, f.version) for f in page.items], page.cursor)

    async def versions(self, request: Request) -> Response:
        principal = await self._authorised(request, READ)
        file = await self._file(request, principal)
        found = await self._services.files.versions(file)
        return wire.versions([wire.file_json(principal.company, file, version) for version in found])

    async def delete(self, request: Request) -> Response:
        principal = await self._authorised(request, WRITE)
        number = wire.version_number(request)
        file = await self._file(request, principal)
        await self._services.files.delete(principal, file, number)
        return wire.deleted(number)

    async def set_acl(self, request: Request) -> Response:
        principal = await self._authorised(request, WRITE)
        acl = wire.acl_of(await receive_json(Body(request, max_size=_SMALL, pace=self._pace), _SMALL))
        file = await self._services.files.set_acl(principal, await self._file(request, principal), acl)
        return await self._one(principal, "Successfully updated file", file, file.version)

    # --- tokens ---

    async def generate_token(self, request: Request) -> Response:
        known = context(request)
        body = await receive_json(Body(request, max_size=_SMALL, pace=self._pace), _SMALL)
        grant = await self._services.access.grant(
            wire.text_of(body, "key"),
            wire.text_of(body, "secret"),
            None if body.get("organization") is None else wire.text_of(body, "organization"),
            None,
            address=known.address,
            trace_id=known.trace_id,
        )
        return wire.token(grant.token, int(grant.ttl.total_seconds()))

    # --- what they share ---

    async def _authorised(self, request: Request, permission: str) -> Principal:
        """Who asks, if they may do it in the namespace of the path. No body has been asked for when it raises."""
        headers = request.scope["headers"]
        token = header_token(headers, b"x-cap-api-oauth-token")
        credentials = authorization(headers) if token is None else Bearer(token)
        return await authorise(
            self._services.access, request, credentials, permission, request.path_params["namespace"]
        )

    async def _file(self, request: Request, principal: Principal) -> File:
        namespace = namespace_of(principal.company, request.path_params["namespace"])
        return await self._services.files.by_name(principal, namespace.name, request.path_params["filename"])

    async def _version(self, request: Request, principal: Principal) -> tuple[File, Version]:
        number = wire.version_number(request)
        file = await self._file(request, principal)
        return file, await self._services.files.version(file, number)

    async def _one(self, principal: Principal, message: str, file: File, version: Version) -> Response:
        links = self._services.links
        # A link can do no more than who signed it: one who may only write gets a link by that right.
        right = READ if holds(principal.permissions, READ, file.namespace) else WRITE
        secure = await links.download_url(
            principal, file, version, permission=f"{right}/{file.namespace}", expires_in=LINK_LIFE
        )
        public = links.public_read_url(principal, file) if file.acl is Acl.PUBLIC_READ else None
        return wire.one(message, wire.file_json(principal.company, file, version), secure=secure, public=public)


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)
    routes = FileService(services)
    namespace = wire.PREFIX + "/{namespace}"
    file = namespace + "/{filename}"
    app.add_api_route(file, routes.upload, methods=["POST"], **document.UPLOAD)
    app.add_api_route(file, routes.metadata, methods=["GET"], **document.METADATA)
    app.add_api_route(file, routes.delete, methods=["DELETE"], **document.DELETE)
    app.add_api_route(f"{file}/content", routes.content, methods=["GET"], **document.CONTENT)
    app.add_api_route(f"{file}/content", routes.content, methods=["HEAD"], **document.CONTENT_HEAD)
    app.add_api_route(f"{file}/versions", routes.versions, methods=["GET"], **document.VERSIONS)
    app.add_api_route(f"{file}/acl", routes.set_acl, methods=["PUT"], **document.ACL)
    app.add_api_route(namespace, routes.listing, methods=["GET"], **document.LISTING)
    app.add_api_route(f"{wire.TOKEN_PREFIX}/token/generate", routes.generate_token, methods=["POST"], **document.TOKEN)
    return app


dialect = Dialect(
    name=wire.API,
    title="File service",
    summary="Images, and other files, under names in namespaces; each upload of a name is a new version.",
    prefixes=(wire.PREFIX, wire.TOKEN_PREFIX),
    build=build,
    render=wire.render,
    settings=(NAMESPACES, wire.BUCKET),
    errors=(FileMissing("The form has no file."), FileRepeated(wire.SEVERAL)),
)
