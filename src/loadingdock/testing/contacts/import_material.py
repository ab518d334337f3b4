"""Files of contacts, and who watches their loads."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loadingdock.core.loading import Counts, Load, checked
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Asked, ImportState, Progress, RowReport
from loadingdock.core.ports.imports import ContactImporter, Loaded, Reported, Source

_numbers = itertools.count(100_000)


class Unhappy(Exception):
    """Of whoever watches."""


@dataclass
class Watching:
    """A Watcher that remembers. It cancels in the state `stop_in`, when some records have been read in it, and raises
    Unhappy when told of `unhappy_with`."""

    stop_in: ImportState | None = None
    unhappy_with: str | None = None
    states: list[ImportState] = field(default_factory=list)
    began_anew: int = 0
    proceeds: list[tuple[Progress, Counts]] = field(default_factory=list)
    rows: list[RowReport] = field(default_factory=list)
    settlement: tuple[Counts, Reported] | None = None

    def _told(self, of: str) -> None:
        if of == self.unhappy_with:
            raise Unhappy(of)

    async def began(self, state: ImportState) -> None:
        self._told("began")
        self.states.append(state)
        self.proceeds.clear()

    async def again(self) -> None:
        self._told("again")
        self.began_anew += 1
        self.rows.clear()

    async def proceeded(self, progress: Progress, counts: Counts) -> bool:
        self._told("proceeded")
        assert counts.records == progress.records
        self.proceeds.append((progress, counts))
        return not (progress.records and self.states[-1] is self.stop_in)

    async def reported(self, rows: Sequence[RowReport]) -> None:
        self._told("reported")
        self.rows += rows

    async def settled(self, counts: Counts, reported: Reported) -> None:
        self._told("settled")
        for path in (reported.rejects, reported.report):
            assert path is None or path.stat().st_size
        self.settlement = counts, reported

    def problems(self) -> dict[int, list[tuple[str | None, str]]]:
        """By ordinals, in the order in which they were told."""
        return {row.ordinal: [(each.column, each.code) for each in row.problems] for row in self.rows}


@dataclass
class Imports:
    """Loads files into tables: each into a folder of its own, and under a number of its own."""

    importer: ContactImporter
    folder: Path

    def file(self, content: str | bytes, name: str = "contacts.csv") -> Source:
        path = self.fresh() / "stored"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Source(path, name)

    @contextmanager
    def endless(self, content: str) -> Iterator[tuple[Source, threading.Event]]:
        """A file whose end comes with the event. More than 2 MiB of it, or nothing of it may be looked at before."""
        path, ended = self.fresh() / "stored", threading.Event()
        os.mkfifo(path)

        def write() -> None:
            with suppress(BrokenPipeError), path.open("wb") as file:
                file.write(content.encode())
                file.flush()
                ended.wait()

        writing = threading.Thread(target=write)
        writing.start()
        try:
            yield Source(path, "contacts.csv"), ended
        finally:
            ended.set()
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))  # for a writer that nobody has listened to
            writing.join()

    async def run(
        self,
        table: ContactTable,
        source: Source | str,
        asked: Asked,
        watching: Watching | None = None,
        *,
        number: int | None = None,
        **more: Any,
    ) -> Loaded:
        source = self.file(source) if isinstance(source, str) else source
        columns = asked.columns
        if columns is None:
            columns = (await self.importer.look(table, asked, source.name, [source.path.read_bytes()])).columns
        load = Load(
            table,
            next(_numbers) if number is None else number,
            asked.operation,
            columns,
            asked.key or table.key,
            strict=asked.strict,
            dry_run=asked.dry_run,
            **more,
        )
        return await self.importer.load(checked(load), asked, source, self.fresh(), watching or Watching())

    def fresh(self) -> Path:
        folder = self.folder / str(next(_numbers))
        folder.mkdir()
        return folder


class Importing:
    @pytest.fixture
    def imports(self, importer: ContactImporter, tmp_path: Path) -> Imports:
        return Imports(importer, tmp_path)


def report_of(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def lines(rows: Iterable[Sequence[object]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)
