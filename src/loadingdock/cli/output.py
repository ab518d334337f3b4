"""How a command answers: text for a person, or with `--json` exactly one object on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


class CommandFailed(Exception):
    """A sentence that says what did not work and what to do; the command ends with code 1.

    `code` is a stable word for scripts.
    """

    def __init__(self, message: str, code: str = "failed") -> None:
        super().__init__(message)
        self.code = code


def answer(as_json: bool, data: Mapping[str, Any], text: str) -> None:
    print(to_json(data) if as_json else text, flush=True)


def to_json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """What JSON has no form for. Times are RFC 3339 in UTC, durations seconds, sets sorted lists."""
    match value:
        case datetime():
            return time(value)
        case timedelta():
            return value.total_seconds()
        case set() | frozenset():
            return sorted(value)
        case Mapping():
            return dict(value)
        case _:
            return str(value)


def time(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")


def table(as_json: bool, name: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str], empty: str) -> None:
    """A list: `{name: [rows]}`, or the columns asked for as a table. `empty` is said instead of an empty table."""
    if as_json or not rows:
        answer(as_json, {name: rows}, empty)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table(box=None, header_style="bold", pad_edge=False)
    titles = list(columns)
    for title in titles:
        grid.add_column(title.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*(escape(_cell(row[title])) for title in titles))
    # A pipe has no width: nothing is folded for it, so that grep and awk see whole lines.
    Console(width=None if sys.stdout.isatty() else 10_000).print(grid)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return time(value)
        case bool():
            return "yes" if value else "no"
        case set() | frozenset():
            return " ".join(sorted(value))
        case list() | tuple():
            return " ".join(str(item) for item in value)
        case _:
            return str(value)


@contextmanager
def bar(title: str, *, visible: bool) -> Iterator[Callable[[int, int], None]]:
    """What to call, from any thread, with the bytes done and their total, 0 for unknown. Drawn on standard error if
    that is a terminal."""
    if not visible or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        task = drawn.add_task("", total=None)
        yield lambda done, total: drawn.update(task, completed=done, total=total or None)
