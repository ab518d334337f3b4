"""Imports: files of contacts loaded into tables, looked at, cancelled, undone."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import company_and_operator, with_services, with_system
from loadingdock.cli.importwords import COUNTS, ending, lines
from loadingdock.cli.output import CommandFailed, Json, answer, table
from loadingdock.cli.tables import Company, names_of, table_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from loadingdock.bootstrap import System
    from loadingdock.core.imports import Imports, Part
    from loadingdock.core.model.identity import Principal
    from loadingdock.core.model.imports import Import, RowReport
    from loadingdock.web.services import Services

app = typer.Typer(help="Files of contacts loaded into tables.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="LOGID", min=1, help="The import's number, as `import list` shows it.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until it has ended. Does it here if no worker takes it.")]


class Operation(StrEnum):
    INSALL = "INSALL"
    UPDINS = "UPDINS"
    UPALL = "UPALL"
    INSNEW = "INSNEW"


class Outcome(StrEnum):
    REJECTED = "rejected"
    SKIPPED = "skipped"
    LEFT = "left"


@app.command("run")
def run(
    company: Company,
    code: Annotated[str, typer.Argument(metavar="TABLE", help="The table's code.")],
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A CSV; also .gz and .zst."),
    ],
    operation: Annotated[
        Operation,
        typer.Option(
            case_sensitive=False,
            help="INSALL inserts all. By the key: UPDINS inserts new contacts and updates existing ones, UPALL updates"
            " existing ones, INSNEW inserts new ones.",
        ),
    ] = Operation.INSALL,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A column that identifies a contact; repeatable, or several divided by `;`. The table's own key if"
            " not given.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="The file's columns in their order; repeatable, or divided by `;`. Its header's if not given.",
        ),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header", help="Whether the first record holds names; yes, unless columns are given."
        ),
    ] = None,
    separator: Annotated[str, typer.Option(metavar="CHARACTER", help="Between values; the word TAB too.")] = ",",
    quote: Annotated[str, typer.Option(metavar="CHARACTER", help="Around values; '' if nothing is quoted.")] = '"',
    encoding: Annotated[str, typer.Option(metavar="NAME", help="As Python knows it.")] = "UTF-8",
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Load what is right although other records are wrong.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count and check, and change nothing.")] = False,
    callback: Annotated[str, typer.Option(metavar="URL", help="Told of the end.")] = "",
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Load a file into a contact table. Code 1 unless every record was taken.

    One import into a table waits for those that came before it. Ctrl-C ends the waiting, not the import.
    """
    from loadingdock.cli import importing
    from loadingdock.core import loading
    from loadingdock.core.model.imports import Asked

    async def submit(opened: System) -> importing.Submitted:
        operator, found = await table_of(opened.services, company, code)
        known = [column.name for column in found.visible]
        asked = Asked(
            operation=loading.Operation(operation.value),
            separator="\t" if separator.lower() in {"tab", "\\t"} else separator,
            quote=quote,
            header=columns is None if header is None else header,
            encoding=encoding,
            columns=None if columns is None else names_of(columns, known),
            key=None if key is None else names_of(key, known),
            strict=not lenient,
            dry_run=dry_run,
        )
        return await importing.submit(opened, operator, found, asked, file, callback, visible=not as_json)

    _finish(importing.carried(submit, wait=wait, visible=not as_json), as_json, well={"finished"} if wait else None)


@app.command("list")
def list_imports(
    company: Company,
    code: Annotated[str | None, typer.Option("--table", metavar="CODE", help="Only those into this table.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state, such as loading or finished.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List a company's imports."""
    from loadingdock.core.importnotes import shown
    from loadingdock.core.model.imports import ImportState

    states = [known.value for known in ImportState]
    if state is not None and state not in states:
        raise typer.BadParameter(f"{state!r} is none of {', '.join(states)}")

    async def work(services: Services) -> list[dict[str, Any]]:
        of, operator = await company_and_operator(services, company)
        found = None if code is None else (await table_of(services, company, code))[1]
        wanted = None if state is None else ImportState(state)
        page = await services.imports.list(operator, limit=limit, table=found, state=wanted)
        now = services.clock.now()
        return [shown(each, of, now) for each in page.items]

    table(
        as_json,
        "imports",
        with_services(work),
        ("logID", "table", "fileName", "state", "lineCount", *COUNTS, "created_at"),
        "There is no such import; `loadingdock import run COMPANY TABLE FILE` makes one.",
    )


@app.command("show")
def show(number: Number, as_json: Json = False) -> None:
    """Show an import: what was asked, how far it is, how it ended."""
    found = _shown(number, lambda imports, who: imports.get(who, number))
    answer(as_json, found, "\n".join(lines(found)))


@app.command("rejects")
def rejects(
    number: Number,
    outcome: Annotated[
        Outcome, typer.Option(help="Those that were rejected or skipped, or what an undo left.")
    ] = Outcome.REJECTED,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write the rejected records, to be corrected and loaded again.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write a line of JSON for each record rejected or skipped.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show which records were not taken, and why: the first thousand. All of them with --csv or --report."""
    if as_csv + report + as_json > 1:
        raise typer.BadParameter("--csv, --report and --json are three ways to write one thing")
    if as_csv or report:
        from loadingdock.core.imports import Part

        of_all = Part.LEFT if outcome is Outcome.LEFT else Part.REPORT
        with_system(lambda opened: _write(opened, number, Part.REJECTS if as_csv else of_all))
        return
    from loadingdock.core.importnotes import rejects as said
    from loadingdock.core.model.imports import Outcome as RowOutcome

    async def work(services: Services) -> tuple[tuple[RowReport, ...], bool]:
        """Beside the rows whether there were some, which have gone with the report."""
        operator = await _operator(services, number)
        page = await services.imports.rows(operator, number, outcome=RowOutcome(outcome.value), limit=1000)
        of = await services.imports.get(operator, number)
        return page.items, outcome is Outcome.REJECTED and of.ended and of.counts.rejected > 0

    rows, gone = with_services(work)
    table(
        as_json,
        "rejects",
        said(rows),
        ("line", "column", "code", "reason", "raw"),
        "What was rejected is kept no longer." if gone else f"No record was {outcome.value}.",
    )


@app.command("cancel")
def cancel(number: Number, as_json: Json = False) -> None:
    """Cancel an import. Nothing is changed by it then; one under way ends within a second or two."""
    found = _shown(number, lambda imports, who: imports.cancel(who, number))
    said = f"Import {number} is being cancelled." if found["cancelling"] else "\n".join(ending(found))
    answer(as_json, found, said)


@app.command("undo")
def undo(number: Number, wait: Wait = True, as_json: Json = False) -> None:
    """Make each contact again what it was before an import, within seven days. Code 1 if that was not so for all.

    Contacts that were changed since stay as they are; `import rejects LOGID --outcome left` shows them.
    """
    from loadingdock.cli import importing

    async def submit(opened: System) -> importing.Submitted:
        operator = await _operator(opened.services, number)
        return importing.Submitted(operator, await opened.services.imports.undo(operator, number))

    found = importing.carried(submit, wait=wait, visible=not as_json)
    left = found["undone"] is not None and found["undone"]["left"]
    _finish(found, as_json, well=None if not wait else set() if left else {"undone"})


def _shown(number: int, deed: Callable[[Imports, Principal], Awaitable[Import]]) -> dict[str, Any]:
    from loadingdock.core.importnotes import shown

    async def work(services: Services) -> dict[str, Any]:
        operator = await _operator(services, number)
        return shown(await deed(services.imports, operator), operator.company, services.clock.now())

    return with_services(work)


async def _operator(services: Services, number: int) -> Principal:
    """Who acts in the company of that import."""
    from loadingdock.core.administration import operator
    from loadingdock.core.errors import NotFound

    try:
        return operator(await services.imports.company_of(number))
    except NotFound:
        hint = "`loadingdock import list COMPANY` shows them"
        raise CommandFailed(f"There is no import {number}; {hint}.", "not_found") from None


async def _write(opened: System, number: int, part: Part) -> None:
    """A file of an import to standard output, as soon as it was looked into."""
    from loadingdock.cli.importing import readable
    from loadingdock.core.errors import NotFound

    services = opened.services
    operator = await _operator(services, number)
    try:
        file, version = await services.imports.file(operator, number, part)
    except NotFound:
        raise CommandFailed(f"Import {number} has no such file: there is nothing to tell.", "not_found") from None
    await readable(opened, operator, [file])
    content = await services.files.open(operator, file, version)
    async for piece in services.blobs.read(content.blob_key):
        sys.stdout.buffer.write(piece)


def _finish(found: Mapping[str, Any], as_json: bool, *, well: Collection[str] | None) -> None:
    """Says how it stands, and ends with code 1 unless that is one of these states; None: whatever it is."""
    answer(as_json, found, "\n".join(ending(found)))
    if well is not None and found["state"] not in well:
        raise typer.Exit(1)
