"""Imports: asked for, watched, cancelled, undone, and their files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from loadingdock.core.errors import NotFound
from loadingdock.core.importqueue import LOAD, subject
from loadingdock.core.imports import Part
from loadingdock.core.model.imports import Import, ImportState, Outcome
from loadingdock.dialects.management.call import Call, Caller, PageQuery, Read, body, reads, router, shows
from loadingdock.dialects.management.callbacks import CallbackShape
from loadingdock.dialects.management.contents import ANSWERED, ASKED
from loadingdock.dialects.management.files import READ as FILES
from loadingdock.dialects.management.import_shapes import ImportShape, NewImport, RowShape
from loadingdock.dialects.management.wire import PREFIX, Listing, answer
from loadingdock.web.ranges import content_response

routes = router("imports")

Number = Annotated[
    int, Path(ge=1, le=2**63 - 1, description="The import's number: `logID` in callbacks.", examples=[9876])
]
_NEW = {
    "table": "customers",
    "file": "0b8b3b4c-5a5e-4a38-8f5e-8f1f6dbb0a0e",
    "operation": "UPDINS",
    "key": ["EMAIL"],
    "separator": ";",
    "strict": False,
}


class ImportQuery(PageQuery):
    table: Annotated[str | None, Field(max_length=63, description="Only those into the table of this code.")] = None
    state: ImportState | None = None


class RowQuery(PageQuery):
    outcome: Annotated[
        Outcome, Field(description="What became of them; `left` are contacts that an undo did not change.")
    ] = Outcome.REJECTED


@routes.post(
    "/imports",
    summary="Load a file into a contact table",
    status_code=202,
    responses={
        **shows(ImportShape, "It waits for its turn.", 202),
        404: {"description": "There is no such table, file or version."},
        410: {"description": "The file has expired."},
    },
    openapi_extra=body(NewImport, _NEW),
)
async def create(caller: Caller, asked: Annotated[Read[NewImport], reads(NewImport)]) -> Response:
    """Needs `contacts:load`, and `files:read` for the file, which any API may have taken in. Its beginning is looked
    at now: names that the table does not have, a key that the file does not bring and whatever else keeps it from being
    read are a 400. Imports into one table are done one after the other, in order of arrival."""
    caller.permit(LOAD)
    new, imports = asked.says, caller.services.imports
    table = await imports.table(caller.principal, new.table)
    file = await caller.file(new.file, FILES)

    async def act() -> Response:
        made = await imports.submit_file(
            caller.principal, table, new.asked(), file.id, version=new.version, callback_url=new.callback
        )
        return _answer(caller, made, 202, {"location": f"{PREFIX}/imports/{made.number}"})

    return await caller.once(asked.text, act)


@routes.get(
    "/imports",
    summary="List imports",
    responses={
        **shows(Listing[ImportShape], "A page, newest first."),
        404: {"description": "There is no such table."},
    },
)
async def list_imports(caller: Caller, query: Annotated[ImportQuery, Query()]) -> Response:
    """For `contacts:load` or `contacts:read`, as all that follows but what changes something."""
    services, principal = caller.services, caller.principal
    table = None if query.table is None else await services.contacts.table(principal, query.table)
    page = await services.imports.list(
        principal, limit=query.limit, cursor=query.cursor, table=table, state=query.state
    )
    now = services.clock.now()
    items = [ImportShape.of(each, principal.company, now) for each in page.items]
    return answer(Listing(items=items, next_cursor=page.cursor))


@routes.get("/imports/{number}", summary="Get an import", responses=shows(ImportShape))
async def get_import(caller: Caller, number: Number) -> Response:
    """What was asked, how far it is, and how it ended. Imports stay for good."""
    return _answer(caller, await caller.services.imports.get(caller.principal, number))


@routes.get(
    "/imports/{number}/rejects",
    summary="List what was rejected or skipped",
    responses=shows(Listing[RowShape], "A page, in the file's order."),
)
async def list_rows(caller: Caller, number: Number, query: Annotated[RowQuery, Query()]) -> Response:
    """The records that were rejected, each with all that is wrong with it; or those of another `outcome`. The first
    thousand of each are here, while the import still runs too; `rejects.csv` and `report.ndjson` have all of them."""
    page = await caller.services.imports.rows(
        caller.principal, number, outcome=query.outcome, limit=query.limit, cursor=query.cursor
    )
    return answer(Listing(items=[RowShape.of(row) for row in page.items], next_cursor=page.cursor))


@routes.post(
    "/imports/{number}/cancel",
    summary="Cancel an import",
    status_code=202,
    responses={**shows(ImportShape, status=202), 409: {"description": "It has ended, or is being undone."}},
)
async def cancel(caller: Caller, number: Number) -> Response:
    """Needs `contacts:load`. One that waits ends now, one under way within a second or two; nothing was changed."""
    return await _changed(caller, number, caller.services.imports.cancel)


@routes.post(
    "/imports/{number}/undo",
    summary="Undo an import",
    status_code=202,
    responses={**shows(ImportShape, status=202), 409: {"description": "There is nothing to undo, or not any more."}},
)
async def undo(caller: Caller, number: Number) -> Response:
    """Needs `contacts:load`. Within seven days each contact becomes what it was before. Those that were changed since
    stay as they are: they are the rows of the outcome `left`, and in `left.ndjson`."""
    return await _changed(caller, number, caller.services.imports.undo)


async def _changed(caller: Call, number: int, change: Callable[[Any, int], Awaitable[Import]]) -> Response:
    caller.permit(LOAD)

    async def act() -> Response:
        return _answer(caller, await change(caller.principal, number), 202)

    return await caller.once("", act)


@routes.post(
    "/imports/{number}/replay",
    summary="Send an import's callback again",
    status_code=202,
    responses=shows(CallbackShape, "It is sent as soon as a worker is free.", 202),
)
async def replay(caller: Caller, number: Number) -> Response:
    """Needs `contacts:load` and `contacts:read`. Under the `webhook-id` that it had. What no callback was asked of, or
    has not ended, has none."""
    caller.permit(LOAD)
    services, principal = caller.services, caller.principal
    await services.imports.get(principal, number)
    page = await services.callbacks.list(principal, limit=1, subject=subject(number))
    if not page.items:
        raise NotFound("callback")

    async def act() -> Response:
        return answer(CallbackShape.of(await services.callbacks.replay(principal, page.items[0].id)), 202)

    return await caller.once("", act)


# --- files ---------------------------------------------------------------------------------------


async def get_source(caller: Caller, number: Number) -> Response:
    """As it came."""
    return await _content(caller, number, Part.SOURCE)


async def get_rejects(caller: Caller, number: Number) -> Response:
    """As the file has them, and before each of them why, in a remark that loads pass over: to be corrected and loaded
    with the same parameters."""
    return await _content(caller, number, Part.REJECTS)


async def get_report(caller: Caller, number: Number) -> Response:
    """A line of JSON for each record that was rejected or skipped."""
    return await _content(caller, number, Part.REPORT)


async def get_left(caller: Caller, number: Number) -> Response:
    """A line of JSON for each contact that the undo did not change."""
    return await _content(caller, number, Part.LEFT)


async def _content(caller: Call, number: int, part: Part) -> Response:
    services = caller.services
    file, version = await services.imports.file(caller.principal, number, part)
    content = await services.files.open(caller.principal, file, version)
    return await content_response(caller.request, services.blobs, content)


for _name, _summary, _route in (
    ("source", "Download an import's file", get_source),
    ("rejects.csv", "Download rejected records", get_rejects),
    ("report.ndjson", "Download the report on records", get_report),
    ("left.ndjson", "Download the report on an undo", get_left),
):
    _path = f"/imports/{{number}}/{_name}"
    routes.get(_path, summary=_summary, responses=ANSWERED, openapi_extra=ASKED)(_route)
    routes.head(_path, summary=f"Ask about: {_summary.lower()}", responses=ANSWERED, openapi_extra=ASKED)(_route)


def _answer(caller: Call, import_: Import, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    shape = ImportShape.of(import_, caller.principal.company, caller.services.clock.now())
    return answer(shape, status, headers)
