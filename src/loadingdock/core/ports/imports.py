"""What imports ask of the world: their rows in the records, and whoever reads files and loads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from loadingdock.core.errors import Unavailable
from loadingdock.core.loading import Counts, Ending, Load
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Asked, Import, ImportState, Outcome, Progress, RowReport
from loadingdock.core.model.pages import Page


class ImportRecords(Protocol):
    """Imports of the unit's tenant, and the reports of their first rows."""

    async def lock(self, table_number: int) -> None:
        """Until the unit's end no other unit that asks for the same gets on: for whoever changes a table's queue."""
        ...

    async def add(self, fresh: Import) -> Import:
        """With the next number of the installation, and the last turn of its table; those of `fresh` are none."""
        ...

    async def get(self, number: int) -> Import | None:
        """In a unit that writes, nobody else changes it before the unit's end."""
        ...

    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        table_number: int | None = None,
        state: ImportState | None = None,
        file_id: str | None = None,
    ) -> Page[Import]:
        """Newest first, narrowed to that table, state or file."""
        ...

    async def save(self, changed: Import) -> None:
        """Writes all that changes after `add`, but for the turn and the progress."""
        ...

    async def enter(self, number: int) -> None:
        """It has its table's last turn from now on."""
        ...

    async def leave(self, number: int) -> None:
        """It is out of the queue."""
        ...

    async def first(self, table_number: int) -> Import | None:
        """Whose turn it is."""
        ...

    async def proceed(self, number: int, attempt: int, progress: Progress, counts: Counts) -> bool | None:
        """Writes how far that attempt is. Whether it is to be cancelled; None if another attempt is under way, or
        none."""
        ...

    async def waiting_for(self, file_id: str, version: int) -> tuple[Import, ...]:
        """Those that wait and are to read that version."""
        ...

    async def add_rows(self, number: int, rows: Sequence[RowReport]) -> None:
        """Rows that are there already stay."""
        ...

    async def clear_rows(self, number: int, outcome: Outcome | None = None) -> None:
        """Those of one outcome, or all."""
        ...

    async def rows(self, number: int, *, outcome: Outcome, limit: int, cursor: str | None = None) -> Page[RowReport]:
        """By their ordinals. Raises InvalidInput(field="cursor")."""
        ...

    # --- of the installation: in a unit without a tenant ---

    async def firsts(self) -> tuple[Import, ...]:
        """Whose turn it is, of every table that has a queue; each with its company."""
        ...

    async def undoable(self, before: datetime, limit: int) -> tuple[Import, ...]:
        """Those that could be undone until then and no longer."""
        ...


class Interrupted(Unavailable):
    """The process that was to do it ended before: killed, or out of memory. A load has changed nothing that was not
    settled, an undo all or nothing; either can be tried again. `why` says what was seen."""

    def __init__(self, why: str) -> None:
        super().__init__("importer", why=why)


@dataclass(frozen=True, slots=True)
class Source:
    """A file: its bytes, and the name whose ending says whether it is compressed."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a file's beginning says: the table's columns that it brings, in its order, and what is odd about it."""

    columns: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """What was written into the folder that was given: a CSV of the rejected records, and a line of JSON for each that
    was rejected, skipped or left; None where there is none."""

    rejects: Path | None
    report: Path | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a load ended, and what it wrote. `known`: it had been committed before, by an attempt whose last word was
    lost; nothing is reported this time, and the counts lack what the file itself was rejected for, as it is not read
    again: by now it need not fit the table."""

    ending: Ending
    counts: Counts
    reported: Reported
    known: bool = False


@dataclass(frozen=True, slots=True)
class Reversed:
    """What an undo did, the first thousand contacts that it left, and all of them in `report`."""

    removed: int
    restored: int
    left: int
    rows: tuple[RowReport, ...]
    report: Path | None


class Watcher(Protocol):
    """Who is told of a load, and may end it."""

    async def began(self, state: ImportState) -> None:
        """CHECKING or LOADING. With LOADING what was told of progress is void: the file is read anew."""
        ...

    async def again(self) -> None:
        """The load begins anew: what was told of its rows is void, but for what the check before it said."""
        ...

    async def proceeded(self, progress: Progress, counts: Counts) -> bool:
        """A few times a second. Whether to go on."""
        ...

    async def reported(self, rows: Sequence[RowReport]) -> None:
        """The first rows of each outcome, as they come: a thousand of each at most, each of at most 16 KiB."""
        ...

    async def settled(self, counts: Counts, reported: Reported) -> None:
        """Before the commit: what is not durable by then may be lost. An exception rolls the load back."""
        ...


class ContactImporter(Protocol):
    """Reads files of contacts and loads them, in a process of its own: it ends when ours does, and has then changed
    nothing that was not `settled`.

    `folder` is empty and the caller's, who removes it.
    """

    async def look(self, table: ContactTable, asked: Asked, name: str, head: Iterable[bytes]) -> Head:
        """What the file's first bytes say. Raises InvalidInput where the file as a whole cannot be read as asked; its
        field is a name of `Asked`, or "file"."""
        ...

    async def load(self, load: Load, asked: Asked, source: Source, folder: Path, watcher: Watcher) -> Loaded:
        """Checks first where the load is strict. What was reported is in `folder` when it returns, whatever the ending.
        Raises InvalidInput for a file that cannot be read to its end, what a ContactLoader raises, what the watcher
        does, and Interrupted. Cancelling it ends the process."""
        ...

    async def undo(self, table: ContactTable, number: int, folder: Path) -> Reversed:
        """As `ContactLoader.undo`."""
        ...

    async def forget(self, table: ContactTable, number: int) -> None:
        """As `ContactLoader.forget`."""
        ...

    async def close(self) -> None: ...
