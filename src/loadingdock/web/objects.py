"""Signed links' own routes: the PUT of promised bytes, at once or resumably, the GET of one version, and what
browsers ask before. And the stable addresses of public files, which need no signature.

A request is verified as it came, raw path and raw query, before anything else: an address without a right signature
does not even say whether it exists. What is used afterwards is what was verified.

    PUT     /objects/{company}/{upload}                          all of the bytes, or the first of them
    PATCH   /objects/{company}/{upload}/{attempt}                more of them; HEAD how many, DELETE drops them
    GET     /objects/{company}/{file}/{version}/{name}           exactly this version; HEAD
    GET     /public/{company}/{namespace}/{name}                 a file whose ACL is PUBLIC_READ; HEAD
    OPTIONS on all of them                                       the browser's preflight

The ETag is the SHA-256 of the bytes in quotes, the same on upload and download. S3's is the MD5 for some uploads and
something else for others, and its documentation asks nobody to rely on it.
"""

from __future__ import annotations

import re

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import Gone, Infected, NotFound, Rejected, StillProcessing
from loadingdock.core.links import PREFIX, PUBLIC_PREFIX, Link
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import Acl
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.ports.records import Unit
from loadingdock.web import cors, resumable, s3
from loadingdock.web.context import context
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.promised import Promised
from loadingdock.web.ranges import content_response
from loadingdock.web.services import Services

_SIGNED = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "POST"]  # all are asked for a signature that they cannot have
_READING = ["GET", "HEAD"]
# What may be done at an address, by the segments behind its prefix: for preflights and Allow.
_METHODS = {2: "PUT", 3: "PATCH, HEAD, DELETE", 4: "GET, HEAD"}
_REQUEST_HEADERS = (
    "Content-Type, Content-MD5, Content-Digest, Repr-Digest, Range, If-Range, If-Match, If-None-Match,"
    " If-Modified-Since, If-Unmodified-Since, Upload-Complete, Upload-Offset, Upload-Length,"
    " Upload-Draft-Interop-Version, traceparent"
)
_PUBLIC_CACHE = "public, no-cache"  # whoever keeps it asks each time: the file may be replaced, or closed
_NUMBER = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class _Objects:
    """The routes behind a signature."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._promised = Promised(services)

    async def serve(self, request: Request) -> Response:
        known = context(request)
        scope = request.scope
        link = await self._services.links.verify(
            request.method,
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            address=known.address,
            trace_id=known.trace_id,
        )
        await self._services.access.limit(link.principal)
        match request.method, link.path:
            case "PUT", (upload_id,):
                return await self._promised.put(request, link, upload_id)
            case "PATCH", (upload_id, attempt):
                return await self._promised.append(request, link, upload_id, attempt)
            case "HEAD", (upload_id, attempt):
                return await self._promised.progress(request, link, upload_id, attempt)
            case "DELETE", (upload_id, attempt):
                return await self._promised.cancel(request, link, upload_id, attempt)
            case "GET" | "HEAD", (file_id, number, _):
                return await self._download(request, link, file_id, int(number))
        raise NotFound("path")

    async def _download(self, request: Request, link: Link, file_id: str, number: int) -> Response:
        files = self._services.files
        file = await files.get(link.principal, file_id)
        content = await files.open(link.principal, file, number)
        response = await content_response(request, self._services.blobs, content)
        response.headers.update(s3.common(request))
        return response


class _Public:
    """Files that everybody may read, at an address that stays."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def serve(self, request: Request) -> Response:
        """Nobody is told of what is not there for everybody: it is as if it never was."""
        known = context(request)
        number, namespace, name = (request.path_params[part] for part in ("number", "namespace", "name"))
        company = await self._company(number)
        principal = Principal(company, PrincipalKind.LINK, "public", frozenset(), known.address, known.trace_id)
        files = self._services.files
        try:
            file = await files.by_name(principal, namespace, name)
            if file.acl is not Acl.PUBLIC_READ:
                raise NotFound
            content = await files.open(principal, file)
        except (StillProcessing, Infected, Rejected, Gone):
            raise NotFound from None
        response = await content_response(request, self._services.blobs, content, cache=_PUBLIC_CACHE)
        response.headers.update(s3.common(request))
        return response

    async def _company(self, number: str) -> Company:
        async def work(unit: Unit) -> Company | None:
            return await unit.companies.by_number(int(number)) if _NUMBER.fullmatch(number) else None

        company = await self._services.records.read(None, work)
        if company is None or company.disabled_at is not None:
            raise NotFound
        return company


async def _preflight(request: Request) -> Response:
    """What a browser asks before it sends, without credentials and by a method that nobody signs. The link is
    verified when it is used; here it only says which methods its address has."""
    methods = _METHODS.get(request.url.path.count("/") - 1, "") if request.url.path.startswith(f"{PREFIX}/") else ""
    methods = methods or "GET, HEAD"
    headers = {**cors.preflight(methods, _REQUEST_HEADERS), "allow": f"{methods}, OPTIONS"}
    if "GET" not in methods:
        headers["accept-patch"] = resumable.MEDIA_TYPE
        most = request.query_params.get("X-Dock-Max-Size", "")
        if re.fullmatch("[0-9]{1,18}", most, re.ASCII):
            headers["upload-limit"] = f"max-size={most}"
    return s3.answer(request, 204, headers)


def _build(services: Services) -> FastAPI:
    app = application(dialect, "Signed links.")
    origins = cors.Origins(services.records, services.clock, services.public_url)

    async def whose(path: str, asking: str | None) -> tuple[str, ...]:
        number = path.split("/")[2] if path.count("/") > 1 else ""
        return await origins.of_number(int(number), asking) if _NUMBER.fullmatch(number) else origins.of(None)

    app.add_middleware(cors.Cors, whose=whose)
    app.add_route(f"{PREFIX}/{{rest:path}}", _preflight, ["OPTIONS"], include_in_schema=False)
    app.add_route(f"{PREFIX}/{{rest:path}}", _Objects(services).serve, _SIGNED, include_in_schema=False)
    public = f"{PUBLIC_PREFIX}/{{number}}/{{namespace}}/{{name}}"
    app.add_route(public, _preflight, ["OPTIONS"], include_in_schema=False)
    app.add_route(public, _Public(services).serve, _READING, include_in_schema=False)
    return app


dialect = Dialect(
    name="objects",
    title="Signed links",
    summary="Upload and download by presigned URLs, and public files.",
    prefixes=(PREFIX, PUBLIC_PREFIX),
    build=_build,
    render=s3.render,
)
