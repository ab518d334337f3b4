"""Files that are there: found, described, kept, renamed, removed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from loadingdock.core.errors import InvalidInput, NotFound
from loadingdock.core.model.files import File, State, Version
from loadingdock.core.ports.files import FileFilter
from loadingdock.dialects.management.call import Caller, PageQuery, Parameters, Read, body, paged, reads, router, shows
from loadingdock.dialects.management.shapes import FileShape, Metadata, VersionShape
from loadingdock.dialects.management.wire import Changes, Extension, Label, Listing, answer

routes = router("files")

READ, WRITE = "files:read", "files:write"


class VersionQuery(Parameters):
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="One version, by its number.")] = None


OneVersion = Annotated[VersionQuery, Query()]


class FileQuery(PageQuery):
    owner: Annotated[Label | None, Field(description="The end user that the files belong to.")] = None
    namespace: Label | None = None
    api: Annotated[Label | None, Field(description="The API that they came by.", examples=["signed-url"])] = None
    state: State | None = None
    search: Annotated[Label | None, Field(description="A part of the name, whatever its case.")] = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    alias: Annotated[Label | None, Field(description="The id that their API gave them: one file, or none.")] = None


@routes.get("/files", summary="List files", responses=shows(Listing[FileShape], "A page of files, newest first."))
async def list_files(caller: Caller, query: Annotated[FileQuery, Query()]) -> Response:
    """Without a namespace all files are listed, which needs `files:read` for all of them. Deleted files are left out
    unless `state` asks for them."""
    caller.permit(READ, query.namespace or "")
    owner = caller.owner_of(query.owner)
    if query.alias is not None:
        found = await _by_alias(caller, query.alias)
        return answer(Listing(items=[FileShape.of(f) for f in found if owner in (None, f.owner)], next_cursor=None))
    wanted = FileFilter(
        owner=owner,
        namespace=query.namespace,
        api=query.api,
        state=query.state,
        search=query.search,
        sha256=query.sha256,
    )
    page = await caller.services.files.list(caller.principal, wanted, limit=query.limit, cursor=query.cursor)
    return answer(Listing(items=[FileShape.of(file) for file in page.items], next_cursor=page.cursor))


async def _by_alias(caller: Caller, alias: str) -> list[File]:
    try:
        return [await caller.services.files.by_alias(caller.principal, alias)]
    except NotFound:
        return []


@routes.get("/files/{id}", summary="Get a file", responses=shows(FileShape))
async def get_file(caller: Caller, id: str) -> Response:
    return answer(FileShape.of(await caller.file(id, READ)))


@routes.get("/files/{id}/metadata", summary="Get what was found in a file", responses=shows(Metadata))
async def get_metadata(caller: Caller, id: str, query: OneVersion) -> Response:
    """The types that were declared and detected, the steps of processing and their warnings."""
    file = await caller.file(id, READ)
    return answer(Metadata.of(await caller.services.files.version(file, query.version)))


@routes.get(
    "/files/{id}/versions", summary="List versions", responses=shows(Listing[VersionShape], "A page, newest first.")
)
async def list_versions(caller: Caller, id: str, query: Annotated[PageQuery, Query()]) -> Response:
    file = await caller.file(id, READ)
    page, cursor = paged(await caller.services.files.versions(file), _newest_first, query)
    return answer(Listing(items=[VersionShape.of(version) for version in page], next_cursor=cursor))


def _newest_first(version: Version) -> str:
    return f"{2**31 - version.number:010d}"


@routes.patch(
    "/files/{id}",
    summary="Rename a file",
    responses=shows(FileShape),
    openapi_extra=body(Changes, {"name": "report-2026.pdf"}),
)
async def rename(caller: Caller, id: str, changes: Annotated[Read[Changes], reads(Changes)]) -> Response:
    """A file in a namespace is found by its name and keeps it."""
    file = await caller.file(id, WRITE)
    return answer(FileShape.of(await caller.services.files.rename(caller.principal, file, changes.says.name)))


@routes.post(
    "/files/{id}/extend",
    summary="Set a file's end of life",
    responses={**shows(FileShape), 410: {"description": "It has expired already."}},
    openapi_extra=body(Extension, {"expires_at": "2030-01-01T00:00:00Z"}),
)
async def extend(caller: Caller, id: str, asked: Annotated[Read[Extension], reads(Extension)]) -> Response:
    """Later, or for good; also sooner than now planned."""
    file = await caller.file(id, WRITE)
    until, keep = asked.says.expires_at, asked.says.keep
    if (until is None) == (keep is None):
        raise InvalidInput("Give either expires_at or keep.", field="expires_at")

    async def act() -> Response:
        return answer(FileShape.of(await caller.services.files.extend(caller.principal, file, until)))

    return await caller.once(asked.text, act)


@routes.delete(
    "/files/{id}",
    summary="Delete a file",
    status_code=204,
    responses={409: {"description": "The version is the latest of an attached file."}},
)
async def delete(caller: Caller, id: str, query: OneVersion) -> Response:
    """The file, or with `version` that version of it. What is attached stays readable for those who attached it."""
    file = await caller.file(id, WRITE)
    await caller.services.files.delete(caller.principal, file, query.version)
    return Response(status_code=204)
