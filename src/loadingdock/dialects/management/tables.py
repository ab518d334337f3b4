"""Contact tables: declared and altered by administrators, read and exported by who may read contacts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from loadingdock.core.contacts import LOAD, READ
from loadingdock.core.contactvalues import header, records, wanted
from loadingdock.core.model.contacts import MOST_KEY, Contact, ContactTable
from loadingdock.core.permissions import holds
from loadingdock.dialects.management.call import (
    Administrator,
    Call,
    Caller,
    PageQuery,
    Parameters,
    Read,
    body,
    paged,
    reads,
    router,
    shows,
)
from loadingdock.dialects.management.table_shapes import (
    ContactPage,
    ContactShape,
    CountedTable,
    NewTable,
    TableChanges,
    TableShape,
)
from loadingdock.dialects.management.wire import Listing, answer

routes = router("tables")

# Together below what a request's target may have (64 KiB), even if every character takes twelve.
Code = Annotated[str, Path(max_length=63, description="The table's code, whatever its case.", examples=["customers"])]
_NEW = {
    "code": "customers",
    "columns": [
        {"name": "EMAIL", "type": "email", "required": True},
        {"name": "BORN", "type": "date", "formats": ["DD/MM/YYYY"]},
    ],
    "key": ["EMAIL"],
}
_CHANGES = {"add": [{"name": "CITY", "type": "text(80)"}], "columns": {"BORN": {"name": "BIRTHDAY"}}}


class Wanted(Parameters):
    where: Annotated[
        tuple[Annotated[str, Field(max_length=250)], ...],
        Field(
            max_length=12,
            description="Conditions that all have to be met: `AGE>=18`, `EMAIL^=anna` (begins with), `CITY=Bonn`,"
            " `PHONE is null`, `PHONE is not null`.",
            examples=[[]],
        ),
    ] = ()
    search: Annotated[
        str | None,
        Field(
            min_length=1, max_length=200, description="What one of the texts holds, ASCII letters whatever their case."
        ),
    ] = None


class RowQuery(Wanted):
    sort: Annotated[Literal["row", "key"], Field(description="By the rows' numbers, or by the key, null first.")] = (
        "row"
    )
    limit: Annotated[int, Field(ge=1, le=1000, description="Items on a page, at most.")] = 100
    cursor: Annotated[
        str | None, Field(max_length=16_000, pattern=r"^[\x21-\x7e]*$", description="`next_cursor` of the page before.")
    ] = None
    count: Annotated[bool, Field(description="Whether to say how many there are in all.")] = False


class ExportQuery(Wanted):
    raw: Annotated[bool, Field(description="Texts as they are, even those that a spreadsheet takes for formulas.")] = (
        False
    )


class KeyQuery(Parameters):
    key: Annotated[
        list[Annotated[str, Field(max_length=650)]],
        Field(
            min_length=1,
            max_length=MOST_KEY,
            description="The values of the table's key, in the key's order.",
            examples=[["anna@example.com"]],
        ),
    ]


ByKey = Annotated[KeyQuery, Query()]


@routes.get("/tables", summary="List contact tables", responses=shows(Listing[TableShape], "A page, by number."))
async def list_tables(caller: Caller, query: Annotated[PageQuery, Query()]) -> Response:
    """For `contacts:read` or `contacts:load`."""
    _may_look(caller)
    page, cursor = paged(await caller.services.contacts.tables(caller.principal), _by_number, query)
    return answer(Listing(items=[TableShape.of(table) for table in page], next_cursor=cursor))


def _by_number(table: ContactTable) -> str:
    return f"{table.number:020d}"


@routes.post(
    "/tables",
    summary="Add a contact table",
    status_code=201,
    responses=shows(TableShape, "The table.", 201),
    openapi_extra=body(NewTable, _NEW),
)
async def add_table(caller: Administrator, asked: Annotated[Read[NewTable], reads(NewTable)]) -> Response:
    """A code that is taken is a 409. A text that belongs to the key, or is unique, has an end: 255 characters, if
    none is given."""
    new = asked.says
    columns = [column.column() for column in new.columns]

    async def act() -> Response:
        table = await caller.services.contacts.create(
            caller.principal,
            new.code,
            columns,
            name=new.name,
            key=new.key,
            region=new.region,
            ignore_empty=new.ignore_empty,
        )
        return answer(TableShape.of(table), 201)

    return await caller.once(asked.text, act)


@routes.get("/tables/{code}", summary="Get a contact table", responses=shows(CountedTable))
async def get_table(caller: Caller, code: Code) -> Response:
    """With how many contacts it has."""
    table = await _table(caller, code)
    rows = await caller.services.contacts.count(caller.principal, table)
    return answer(CountedTable.counted(table, rows))


@routes.patch(
    "/tables/{code}",
    summary="Alter a contact table",
    responses={**shows(TableShape), 409: {"description": "Contacts contradict it: how many, and the first of them."}},
    openapi_extra=body(TableChanges, _CHANGES),
)
async def alter_table(
    caller: Administrator, code: Code, asked: Annotated[Read[TableChanges], reads(TableChanges)]
) -> Response:
    """Columns are added, renamed, widened, retired and brought back, rules and key changed: all at once, or nothing."""
    return answer(TableShape.of(await caller.services.contacts.alter(caller.principal, code, asked.says.change())))


@routes.get("/tables/{code}/rows", summary="List contacts", responses=shows(ContactPage, "A page of contacts."))
async def list_rows(caller: Caller, code: Code, query: Annotated[RowQuery, Query()]) -> Response:
    caller.permit(READ)
    table, contacts = await _table(caller, code), caller.services.contacts
    asked = wanted(table, query.where, query.search)
    page = await contacts.rows(
        caller.principal, table, asked, by_key=query.sort == "key", limit=query.limit, cursor=query.cursor
    )
    total = await contacts.count(caller.principal, table, asked) if query.count else None
    items = [ContactShape.of(table, contact) for contact in page.items]
    return answer(ContactPage(items=items, next_cursor=page.cursor, total=total))


_CSV: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "RFC 4180 in UTF-8: a header, and a record for each contact, by the rows' numbers.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "EMAIL,BORN\r\nanna@example.com,1996-02-29\r\n"}
        },
    }
}


@routes.get("/tables/{code}/export", summary="Export contacts", responses=_CSV)
async def export(caller: Caller, code: Code, query: Annotated[ExportQuery, Query()]) -> Response:
    """All of them, as they were at one moment. NULL is nothing at all, an empty text `""`. Texts that a spreadsheet
    would take for formulas begin with an apostrophe, unless they are asked for `raw`. An answer that ends without its
    last chunk is not whole."""
    caller.permit(READ)
    table = await _table(caller, code)
    batches = caller.services.contacts.export(caller.principal, table, wanted(table, query.where, query.search))
    try:
        first = await anext(batches, None)  # what is wrong is said before the answer begins
    except BaseException:
        await batches.aclose()
        raise
    headers = {
        "cache-control": "no-store",
        "content-disposition": 'attachment; filename="contacts.csv"',
        "x-content-type-options": "nosniff",
    }
    lines = _lines(table, first or (), batches, raw=query.raw)
    return StreamingResponse(lines, 200, headers, "text/csv; charset=utf-8; header=present")


async def _lines(
    table: ContactTable, first: Sequence[Contact], batches: AsyncGenerator[Sequence[Contact], None], *, raw: bool
) -> AsyncIterator[bytes]:
    try:
        yield (header(table, raw=raw) + records(table, first, raw=raw)).encode()
        async for batch in batches:
            yield records(table, batch, raw=raw).encode()
    finally:
        await batches.aclose()


@routes.get("/tables/{code}/contact", summary="Get a contact by its key", responses=shows(ContactShape))
async def get_contact(caller: Caller, code: Code, query: ByKey) -> Response:
    """All that the table has about somebody. The audit log says that it was asked for."""
    caller.permit(READ)
    table = await _table(caller, code)
    contact = await caller.services.contacts.contact(caller.principal, table, query.key)
    return answer(ContactShape.of(table, contact))


@routes.delete("/tables/{code}/contact", summary="Delete a contact by its key", status_code=204)
async def delete_contact(caller: Administrator, code: Code, query: ByKey) -> Response:
    """For good. The audit log keeps the number of its row, and nothing of what it held."""
    table = await _table(caller, code)
    await caller.services.contacts.delete(caller.principal, table, query.key)
    return Response(status_code=204)


def _may_look(caller: Call) -> None:
    if not holds(caller.principal.permissions, LOAD):
        caller.permit(READ)


async def _table(caller: Call, code: str) -> ContactTable:
    _may_look(caller)
    return await caller.services.contacts.table(caller.principal, code)
