"""The routes of signed-url: ask for an upload URL, then for what became of the file; list, read and delete files.

Everything belongs to the end user whom `user-id` names: another user's file is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import InvalidInput, NotFound
from loadingdock.core.files import settled
from loadingdock.core.model.files import File
from loadingdock.core.model.identity import Principal
from loadingdock.core.names import is_id
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.receiving import Declaration
from loadingdock.core.settings import RETENTION, TYPE_POLICY, life
from loadingdock.dialects.signed_url import document, preferences, wire
from loadingdock.web.callers import authorise
from loadingdock.web.credentials import api_key
from loadingdock.web.dialect import Dialect, application, not_here
from loadingdock.web.ranges import content_response
from loadingdock.web.services import Services

READ, WRITE = "files:read", "files:write"
UNKEPT = timedelta(hours=24)  # the life of a file with persist=false
LARGEST_PAGE = 100

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SWITCH = {"true": True, "1": True, "false": False, "0": False}
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an end user of the company."""

    principal: Principal
    user: str
    query: dict[str, str]


class Routes:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def initiate(self, request: Request) -> Response:
        call = await self._call(request, WRITE)
        name = call.query.get("filename")
        if not name:
            raise InvalidInput("The parameter filename is missing; send the name with its extension.", field="filename")
        company = call.principal.company
        allowed = company.get(wire.ALLOWED_TYPES)
        declaration = Declaration(
            api=wire.API,
            name=name,
            max_size=company.get(wire.MAX_SIZE),
            allowed_types=tuple(allowed),
            strict_type=company.get(TYPE_POLICY) == "strict",
            owner=call.user,
            keep=_life(call.principal, persist=_switch(call.query, "persist", default=True)),
        )
        seconds = company.get(wire.EXPIRES_IN)
        file, upload = await self._services.promises.initiate(
            call.principal, declaration, expires_in=timedelta(seconds=seconds)
        )
        url = await self._services.links.upload_url(call.principal, upload, permission=WRITE)
        return wire.initiated(file, upload, url, seconds)

    async def status(self, request: Request) -> Response:
        file = await self._file(request, await self._call(request, READ))
        patience = preferences.wait(request.headers.getlist("prefer"))
        if patience is None:
            return wire.status(file)
        if not settled(file.version):
            file = await self._services.files.wait(file, timedelta(seconds=patience))
            if file.deleted_at is not None:
                raise NotFound
        return wire.status(file, {"preference-applied": f"wait={patience}"})

    async def list(self, request: Request) -> Response:
        call = await self._call(request, READ)
        page = _number(call.query, "page", default=1)
        limit = _number(call.query, "limit", default=30, most=LARGEST_PAGE)
        found = await self._services.files.list_page(
            call.principal, FileFilter(owner=call.user, expired=False), page=page, limit=limit
        )
        return wire.listed(found.items, limit=limit, page=page, total=found.total or 0)

    async def text(self, request: Request) -> Response:
        call = await self._call(request, READ)
        file = await self._file(request, call)
        return wire.text(await self._services.files.text(call.principal, file))

    async def content(self, request: Request) -> Response:
        call = await self._call(request, READ)
        file = await self._file(request, call)
        content = await self._services.files.open(call.principal, file)
        return await content_response(request, self._services.blobs, content)

    async def delete(self, request: Request) -> Response:
        call = await self._call(request, WRITE)
        await self._services.files.delete(call.principal, await self._file(request, call))
        return wire.deleted()

    async def _call(self, request: Request, permission: str) -> Call:
        """Whoever asks, once it is clear that they may."""
        principal = await authorise(self._services.access, request, api_key(request.scope["headers"]), permission)
        return Call(principal, _user(request), _query(request.scope["query_string"]))

    async def _file(self, request: Request, call: Call) -> File:
        """Raises NotFound for an id that is none, is unknown, or belongs to someone else."""
        id = request.path_params["file_id"]
        if not is_id(id):
            raise NotFound
        file = await self._services.files.get(call.principal, id)
        if file.owner != call.user:
            raise NotFound
        return file


def _life(principal: Principal, *, persist: bool) -> timedelta | None:
    kept = life(principal.company, RETENTION)
    if persist:
        return kept
    return UNKEPT if kept is None else min(UNKEPT, kept)


def _user(request: Request) -> str:
    values = request.headers.getlist("user-id")
    if len(values) != 1 or not (0 < len(values[0]) <= 255 and values[0].isprintable()):
        raise InvalidInput(
            "The header user-id must be there once, with 1 to 255 printable characters: the end user whose file it is.",
            field="user-id",
        )
    return values[0]


def _query(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        if _BROKEN_ESCAPE.search(raw):
            raise wire.UrlInvalid("A percent sign in the query stands before no two hexadecimal digits.")
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except UnicodeDecodeError:
        raise wire.UrlInvalid("The query is not percent-encoded UTF-8.") from None
    except ValueError:
        raise wire.UrlInvalid("The query has more than 20 parameters.") from None
    query = dict(pairs)
    for name in query:
        if sum(name == other for other, _ in pairs) > 1:
            raise InvalidInput(f"The parameter {name[:80]} comes twice.", field=name[:80])
    return query


def _switch(query: dict[str, str], name: str, *, default: bool) -> bool:
    if (value := query.get(name)) is None:
        return default
    if (found := _SWITCH.get(value.lower())) is None:
        raise InvalidInput(f"The parameter {name} is {value[:80]!r}; send true or false.", field=name)
    return found


def _number(query: dict[str, str], name: str, *, default: int, most: int = 10**9) -> int:
    if (value := query.get(name)) is None:
        return default
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
        raise InvalidInput(f"The parameter {name} is {value[:80]!r}; send a number from 1 to {most}.", field=name)
    return int(value)


def build(services: Services) -> FastAPI:
    app = application(dialect, document.DESCRIPTION)
    routes = Routes(services)
    table: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]], document.Operation], ...] = (
        ("GET", "", routes.list, document.LIST),
        ("GET", "/signed-url", routes.initiate, document.INITIATE),
        ("GET", "/{file_id}/status", routes.status, document.STATUS),
        ("GET", "/{file_id}/content", routes.content, document.CONTENT),
        ("HEAD", "/{file_id}/content", routes.content, document.CONTENT_HEAD),
        ("GET", "/{file_id}", routes.text, document.TEXT),
        ("DELETE", "/{file_id}", routes.delete, document.DELETE),
    )
    # Clients poll the status. The same route once more in front, without FastAPI's machinery, which would take a third
    # of its time; the one in the table is there for the document.
    app.add_route(f"{wire.PREFIX}/{{file_id}}/status", routes.status, ["GET"], include_in_schema=False)
    app.add_route(f"{wire.PREFIX}/signed-url", not_here, ["DELETE"], include_in_schema=False)  # it is no id
    for method, path, handle, described in table:
        app.add_api_route(wire.PREFIX + path, handle, methods=[method], **described)
    return app


dialect = Dialect(
    name=wire.API,
    title="Signed URL",
    summary="A presigned upload URL, the status of the file, and the files of one end user.",
    prefixes=(wire.PREFIX,),
    build=build,
    render=wire.render,
    settings=wire.SETTINGS,
    errors=(wire.UrlInvalid("The path holds broken percent-encoding."),),
)
