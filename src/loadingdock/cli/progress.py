"""How far an import is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from loadingdock.core.model.imports import ENDED

_EVERY = 10.0  # seconds between two lines of one state


@contextmanager
def drawn(*, visible: bool) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """What to call with an import as it is shown. Written to standard error."""
    if not visible:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _Lines().told
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, pace="")

        def told(found: Mapping[str, Any]) -> None:
            done = found["progress"]["bytes"]
            total = found["fileSize"] if done else None  # which moves the bar to and fro: it waits
            progress.update(task, description=_title(found), completed=done, total=total, pace=_pace(found))

        yield told


class _Lines:
    def __init__(self) -> None:
        self._state = ""
        self._at = 0.0

    def told(self, found: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if found["state"] in ENDED or (found["state"] == self._state and now < self._at + _EVERY):
            return
        self._state, self._at = found["state"], now
        print(", ".join(filter(None, (_title(found), _pace(found)))), file=sys.stderr, flush=True)


def _title(found: Mapping[str, Any]) -> str:
    return f"Import {found['logID']}: {found['state'].replace('_', ' ')}"


def _pace(found: Mapping[str, Any]) -> str:
    progress = found["progress"]
    if not progress["records"] or found["result"] is not None:
        return ""
    said = f"{progress['records']:,} records"
    if progress["rows_per_second"] is not None:
        said += f", {progress['rows_per_second']:,.0f} a second"
    if progress["ends_at"] is not None:
        said += f", until {progress['ends_at'].astimezone():%H:%M:%S}"
    return said
