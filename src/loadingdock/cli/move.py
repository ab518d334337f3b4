"""The installation goes to another database, another store, or both."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import CommandFailed, Json, answer

if TYPE_CHECKING:
    from loadingdock.core.carrying import Progress
    from loadingdock.core.moving import Move, Report
    from loadingdock.settings import Settings

_OF_A_PLACE = ("data", "database_", "store_")


def register(app: typer.Typer) -> None:
    app.command("move")(move)


def move(
    to_database: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the records go: as the setting `database_url` is written.")
    ] = None,
    to_store: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the bytes go: `s3://bucket/prefix`, or a data folder.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the store moved to, where it is another there."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be moved, and write nothing.")] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="After the bytes alone moved: let the records be changed again.")
    ] = False,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Give a move up: the records can be changed again where they are.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --abandon: also one that has arrived.")] = False,
    as_json: Json = False,
) -> None:
    """Move records and bytes elsewhere while the service goes on. Code 1 if anything was in the way.

    Files are copied first. Then, for as long as the last of them and the records take, everything can be read and
    nothing changed: clients are told 503. Every file and every table is read back and compared. It may be killed at
    any moment and started again. In the end the old place stays as it is, read-only.
    """
    import asyncio

    from loadingdock import logs

    logs.configure("warning", "text")
    if sum((bool(to_database or to_store), finish, abandon)) != 1:
        raise typer.BadParameter("say where to, by --to-database, --to-store or both; or --finish; or --abandon")
    chosen = settings()
    there = _destination(chosen, to_database, to_store, to or ())
    if abandon:
        asyncio.run(_abandon(chosen, force, as_json))
    elif finish:
        asyncio.run(_finish(chosen, as_json))
    else:
        report = asyncio.run(_move(chosen, there, dry_run, as_json))
        steps = _next(chosen, there, report)
        answer(as_json, {**asdict(report), "next": steps}, "\n".join(_told(report, steps)))
        if report.problems:
            raise typer.Exit(1)


def _destination(chosen: Settings, database: str | None, store: str | None, others: Sequence[str]) -> Settings:
    """The settings that the service has afterwards."""
    from loadingdock.bootstrap import DATABASE
    from loadingdock.settings import Settings

    values: dict[str, Any] = {name: getattr(chosen, name) for name in chosen.model_fields_set}
    for one in others:
        name, equals, text = one.partition("=")
        name = name.strip().lower().replace("-", "_")
        if not equals or not name.startswith(_OF_A_PLACE) or name not in Settings.model_fields:
            raise typer.BadParameter(f"{one!r} is no setting of a place, such as store_endpoint=https://s3.example.com")
        values[name] = text
    if store and "://" in store:
        values["store_url"] = store
    elif store:
        values |= {"data": Path(store).absolute(), "store_url": None, "store_uploads": "through"}
        if not chosen.database_url:  # the records stay where they were, though the folder is another
            values["database_url"] = f"sqlite://{(chosen.data / DATABASE).absolute()}"
    if database:
        values["database_url"] = database
    made = Settings(**values)
    embedded = f"sqlite://{(made.data / DATABASE).absolute()}"
    if made.database_url is not None and made.database_url.get_secret_value() == embedded:
        return made.model_copy(update={"database_url": None})
    return made


async def _move(chosen: Settings, there: Settings, dry_run: bool, as_json: bool) -> Report:
    from loadingdock.bootstrap import moving

    with _bar(visible=not as_json and sys.stderr.isatty()) as told:
        async with moving(chosen, there, told, dry_run=dry_run) as move:
            if not move.moves:
                raise CommandFailed("Records and bytes lie there already; name another place.", "conflict")
            try:
                return await (move.look() if dry_run else move.run())
            except Exception:
                if move.left_sealed:
                    print(
                        "The records may have arrived, so nothing can be changed where they were. Start the same"
                        " command again to go on, or give it up with `loadingdock move --abandon`.",
                        file=sys.stderr,
                    )
                raise


async def _abandon(chosen: Settings, force: bool, as_json: bool) -> None:
    async with _here(chosen) as move:
        await move.abandon(force=force)
    answer(as_json, {"abandoned": True}, "Abandoned: records can be changed again. What was copied stays where it is.")


async def _finish(chosen: Settings, as_json: bool) -> None:
    async with _here(chosen) as move:
        again = await move.finish()
    more = f" {again} uploads under way have to begin again." if again else ""
    answer(as_json, {"finished": True, "begin_again": again}, f"Finished: records can be changed again.{more}")


def _here(chosen: Settings) -> AbstractAsyncContextManager[Move]:
    from loadingdock.bootstrap import moving

    return moving(chosen, chosen, lambda _: None, dry_run=True)


def _told(report: Report, steps: Sequence[str]) -> list[str]:
    """The report for a person."""
    problems = []
    for problem in report.problems:
        subject = problem.subject if problem.version is None else f"{problem.subject} version {problem.version}"
        problems.append(f"problem: {subject}: {problem.detail}")
    if (more := report.problems_in_all - len(report.problems)) > 0:
        problems.append(f"problem: {more} more of these")
    lines = [*problems, _verdict(report)]
    if report.source["store"] != report.target["store"]:
        done = (
            f"with their texts {report.copied} copied and read back ({report.copied_bytes} bytes),"
            f" {report.already} there already"
        )
        lines.append(f"  files: {report.files} ({report.bytes} bytes)" + ("" if report.dry_run else f"; {done}"))
        lines += [f"  uploads under way that begin again: {report.uploads_to_begin_again}"] * bool(
            report.uploads_to_begin_again
        )
        lines += [f"  uploads that lie unreceived in the old store: {report.left_in_inbox}"] * bool(
            report.left_in_inbox
        )
    if report.rows:
        tables = ", ".join(f"{name} {rows}" for name, rows in report.rows.items() if rows)
        compared = "" if report.dry_run else ", read back and compared"
        lines.append(f"  rows: {sum(report.rows.values())}{compared}: {tables}")
    if report.contacts:
        undoable = f"; imports that can be undone: {report.undoable}" if report.undoable else ""
        compared = "" if report.dry_run else ", read back and compared"
        lines.append(f"  contacts: {report.contacts}{undoable}{compared}")
    if report.log_rows_followed:
        lines.append(f"  rows of the audit log that came since: {report.log_rows_followed}")
    took = f"  took {report.seconds:.1f} s"
    lines.append(took + (f"; read-only for {report.sealed_seconds:.1f} s of them" if report.sealed_seconds else ""))
    return lines + [f"{number}. {step}" for number, step in enumerate(steps, 1)]


def _verdict(report: Report) -> str:
    way = " and ".join(
        f"{report.source[what]} -> {report.target[what]}"
        for what in ("database", "store")
        if report.source[what] != report.target[what]
    )
    match report.dry_run, bool(report.problems), report.done:
        case True, True, _:
            return f"This could not be moved yet: {way}. `loadingdock fsck` says more about files."
        case True, False, _:
            return f"This would be moved: {way}."
        case False, _, True:
            return f"Moved: {way}."
        case _:
            return f"Not moved: {way}. Everything is as it was; `loadingdock fsck --repair` mends files."


def _next(chosen: Settings, there: Settings, report: Report) -> list[str]:
    """What is left to do by hand."""
    if report.dry_run or not report.done:
        return []
    changed = [
        f"unset LOADINGDOCK_{name.upper()}"
        if _shown(there, name) is None
        else f"LOADINGDOCK_{name.upper()}={_shown(there, name)}"
        for name in type(chosen).model_fields
        if getattr(chosen, name) != getattr(there, name)
    ]
    steps = ["Stop every process of the service.", f"Change the settings: {', '.join(changed)}."]
    steps.append("Start the service.")
    if report.source["database"] == report.target["database"]:
        steps.append(
            "Once no process with the old settings is left: `loadingdock move --finish`. Until then it is read-only."
        )
    else:
        steps.append("What was read here meanwhile is in the audit log here; the same command again brings it over.")
    return [*steps, "Look with `loadingdock doctor` and `loadingdock fsck`; then remove what lies in the old place."]


@contextmanager
def _bar(*, visible: bool) -> Iterator[Callable[[Progress], None]]:
    """What hears of progress, from any thread; drawn on standard error: bytes while files are copied, then rows."""
    if not visible:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, done="")

        def told(now: Progress) -> None:
            if now.total_rows:
                shown = f"{now.rows} of {now.total_rows} rows"
                bar.update(task, description=now.phase, completed=now.rows, total=now.total_rows, done=shown)
            else:
                shown = f"{decimal(now.bytes)} of {decimal(max(now.bytes, now.total_bytes))}"
                bar.update(task, description=now.phase, completed=now.bytes, total=now.total_bytes or None, done=shown)

        yield told


def _shown(there: Settings, name: str) -> str | None:
    """Without secrets: a URL without its password, and nothing of a key."""
    value = getattr(there, name)
    if name == "database_url" and value is not None:
        return re.sub(r"(?<=password=)[^&]*|(?<=://)([^/@:]*):[^/@]*(?=@)", _starred, value.get_secret_value())
    return None if value is None else str(value)


def _starred(match: re.Match[str]) -> str:
    return "***" if match[1] is None else f"{match[1]}:***"
