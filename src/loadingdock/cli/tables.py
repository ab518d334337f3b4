"""Contact tables: declared, altered, looked at, exported."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import company_and_operator, with_services
from loadingdock.cli.output import CommandFailed, Json, answer, table, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadingdock.core.contactchanges import Change
    from loadingdock.core.contactvalues import Wanted
    from loadingdock.core.model.contacts import Contact, ContactTable
    from loadingdock.core.model.identity import Principal
    from loadingdock.web.services import Services

app = typer.Typer(help="Contact tables and their columns.", no_args_is_help=True)

Company = Annotated[str, typer.Argument(metavar="COMPANY", help="The company's code.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="The table's code, as loaders name it.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME:TYPE[,required][,unique][,max=N][,format=F][,region=XX][,comma][,zone=AREA/CITY]",
        help="Types: text, text(N), integer, decimal(DIGITS,PLACES), boolean, date, datetime, email, phone.",
    ),
]
Key = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A column that identifies a contact; repeatable, or several divided by `;`."),
]
Region = Annotated[
    str | None, typer.Option(metavar="XX", help="Where phone numbers without a country are dialled (ISO 3166).")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Such as 'AGE>=18', 'EMAIL^=anna' (begins with), 'CITY=Bonn', 'PHONE is null'; repeatable: all of them.",
    ),
]
Search = Annotated[str | None, typer.Option(metavar="TEXT", help="What one of the texts of a contact holds.")]


class Order(StrEnum):
    ROW = "row"
    KEY = "key"


class Format(StrEnum):
    CSV = "csv"


@app.command("add")
def add(
    company: Company,
    code: Code,
    column: Columns = None,
    key: Key = None,
    name: Annotated[str, typer.Option(help="Its name for people; the code if not given.")] = "",
    region: Region = None,
    ignore_empty: Annotated[
        bool, typer.Option("--ignore-empty", help="An empty value in a file leaves what is there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a contact table."""
    from loadingdock.core.contactspecs import column as spec

    columns = [spec(text) for text in column or ()]

    async def work(services: Services) -> ContactTable:
        _, operator = await company_and_operator(services, company)
        return await services.contacts.create(
            operator,
            code,
            columns,
            name=name,
            key=names_of(key, [each.name for each in columns]),
            region=region,
            ignore_empty=ignore_empty,
        )

    made = with_services(work)
    answer(as_json, _shown(made), f"Added the table {made.code}, number {made.number}, of {len(made.columns)} columns.")


@app.command("list")
def list_tables(company: Company, as_json: Json = False) -> None:
    """List a company's contact tables."""

    async def work(services: Services) -> list[dict[str, Any]]:
        _, operator = await company_and_operator(services, company)
        found = await services.contacts.tables(operator)
        return [_shown(one, await services.contacts.count(operator, one)) for one in found]

    rows = with_services(work)
    for row in () if as_json else rows:
        row["columns"] = [column["name"] for column in row["columns"]]
    table(
        as_json,
        "tables",
        rows,
        ("number", "code", "name", "rows", "key", "columns"),
        "There is no table; `loadingdock table add COMPANY CODE --column NAME:TYPE` makes one.",
    )


@app.command("show")
def show(company: Company, code: Code, as_json: Json = False) -> None:
    """Show a table: its columns, its key, how many contacts it has."""

    async def work(services: Services) -> dict[str, Any]:
        operator, found = await table_of(services, company, code)
        return _shown(found, await services.contacts.count(operator, found))

    found = with_services(work)
    if as_json:
        answer(True, found, "")
        return
    for name in ("number", "code", "name", "rows", "key", "region", "ignore_empty", "retired"):
        value = found[name]
        print(f"{name}: {', '.join(value) if isinstance(value, list) else '' if value is None else value}")
    table(
        False,
        "columns",
        found["columns"],
        ("name", "type", "required", "unique", "formats", "region", "comma", "zone"),
        "",
    )


@app.command("alter")
def alter(
    company: Company,
    code: Code,
    column: Columns = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help="Rename a column; repeatable, and two may exchange names."),
    ] = None,
    retire: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Hide a column; its values are kept. Repeatable.")
    ] = None,
    restore: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Bring a retired column back. Repeatable.")
    ] = None,
    key: Key = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Nothing identifies a contact any more.")] = False,
    name: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    region: Region = None,
    ignore_empty: Annotated[bool | None, typer.Option("--ignore-empty/--keep-empty")] = None,
    as_json: Json = False,
) -> None:
    """Alter a table, all of it or nothing. A --column is added, or declared anew if there is one of that name."""

    from dataclasses import replace

    async def work(services: Services) -> ContactTable:
        operator, found = await table_of(services, company, code)
        change = _change(found, column or (), rename or (), retire or (), restore or ())
        columns = [one.name for one in (*found.columns, *change.added)] + [
            each.name for each in change.columns.values() if each.name
        ]
        keys = () if no_key else names_of(key, columns) if key else None
        change = replace(change, key=keys, name=name, region=region, ignore_empty=ignore_empty)
        return await services.contacts.alter(operator, found.code, change)

    altered = with_services(work)
    answer(as_json, _shown(altered), f"The table {altered.code} has now {len(altered.visible)} columns.")


@app.command("rows")
def rows(
    company: Company,
    code: Code,
    where: Where = None,
    search: Search = None,
    sort: Annotated[Order, typer.Option(help="By the rows' numbers or by the key.")] = Order.ROW,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows at most.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    as_json: Json = False,
) -> None:
    """Show a page of a table's contacts."""

    async def work(services: Services) -> tuple[ContactTable, dict[str, Any]]:
        operator, found = await table_of(services, company, code)
        asked = _wanted(found, where, search)
        page = await services.contacts.rows(
            operator, found, asked, by_key=sort is Order.KEY, limit=limit, cursor=cursor
        )
        return found, {"rows": [contact_shown(found, one) for one in page.items], "next_cursor": page.cursor}

    found, page = with_services(work)
    if as_json:
        answer(True, page, "")
        return
    names = [column.name for column in found.visible]
    table(False, "rows", [one["values"] for one in page["rows"]], names, "There is no such contact.")
    if page["next_cursor"]:
        print(f"There are more: --cursor {page['next_cursor']}", file=sys.stderr)


@app.command("export")
def export(
    company: Company,
    code: Code,
    format: Annotated[Format, typer.Option(help="What is written.")] = Format.CSV,
    raw: Annotated[
        bool, typer.Option("--raw", help="Texts as they are, even those that a spreadsheet takes for formulas.")
    ] = False,
    where: Where = None,
    search: Search = None,
    as_json: Json = False,
) -> None:
    """Write all contacts of a table to standard output, as they are at one moment: CSV in UTF-8, with a header."""

    async def work(services: Services) -> None:
        operator, found = await table_of(services, company, code)
        batches = services.contacts.export(operator, found, _wanted(found, where, search))
        write = sys.stdout.write
        if as_json:
            print('{"rows": [', end="")
            between = ""
            async for batch in batches:
                for contact in batch:
                    write(between + to_json(contact_shown(found, contact)))
                    between = ", "
            print("]}")
            return
        from loadingdock.core.contactvalues import header, records

        write(header(found, raw=raw))
        async for batch in batches:
            write(records(found, batch, raw=raw))

    with_services(work)


# --- what is typed and shown ---------------------------------------------------------------------


async def table_of(services: Services, company: str, code: str) -> tuple[Principal, ContactTable]:
    """The operator in that company, and the table. Says which tables there are if it is not."""
    from loadingdock.core.errors import NotFound

    of, operator = await company_and_operator(services, company)
    try:
        return operator, await services.contacts.table(operator, code)
    except NotFound:
        known = ", ".join(one.code for one in await services.contacts.tables(operator))
        hint = f"there are {known}" if known else "there is none yet; `loadingdock table add` makes one"
        raise CommandFailed(f"{of.code} has no table {code!r}: {hint}.", "not_found") from None


def contact_shown(of: ContactTable, contact: Contact) -> dict[str, Any]:
    from loadingdock.core.contactvalues import plain

    names = (column.name for column in of.visible)
    return {"row": contact.row, "values": dict(zip(names, map(plain, contact.values), strict=True))}


def _shown(of: ContactTable, rows: int | None = None) -> dict[str, Any]:
    from loadingdock.core.contacts import shown

    return shown(of) if rows is None else {**shown(of), "rows": rows}


def _wanted(of: ContactTable, where: list[str] | None, search: str | None) -> Wanted:
    from loadingdock.core.contactvalues import wanted

    return wanted(of, where or (), search)


def names_of(typed: list[str] | None, names: Sequence[str]) -> tuple[str, ...]:
    """A name that holds a `;` itself is one name, if there is such a column."""
    from loadingdock.core.model.contacts import folded

    known = {folded(name) for name in names}
    found: list[str] = []
    for text in typed or ():
        found += [text] if folded(text) in known else [part.strip() for part in text.split(";")]
    return tuple(found)


def _change(
    found: ContactTable, columns: Sequence[str], renamed: Sequence[str], retired: Sequence[str], restored: Sequence[str]
) -> Change:
    from dataclasses import replace

    from loadingdock.core.contactchanges import Change, ColumnChange, redeclared
    from loadingdock.core.contactspecs import column as spec
    from loadingdock.core.model.contacts import folded

    known = {folded(column.name): column.name for column in found.columns}
    changes: dict[str, ColumnChange] = {}
    added = []
    for declared in map(spec, columns):
        if (name := known.get(folded(declared.name))) is None:
            added.append(declared)
        else:
            changes[name] = redeclared(declared)
    for text in renamed:
        # A name may hold a = itself: what stands before one of them has to be there.
        ways = [(text[:place], text[place + 1 :]) for place, sign in enumerate(text) if sign == "="]
        old, new = next(((old, new) for old, new in ways if folded(old) in known), ways[0] if ways else ("", ""))
        if not new:
            raise typer.BadParameter(f"{text!r} is not OLD=NEW, such as NAME=LASTNAME")
        name = known.get(folded(old), old)
        changes[name] = replace(changes.get(name, ColumnChange()), name=new)
    for names, retire in ((retired, True), (restored, False)):
        for text in names:
            name = known.get(folded(text), text)
            changes[name] = replace(changes.get(name, ColumnChange()), retired=retire)
    return Change(added=tuple(added), columns=changes)
