"""Loads of contacts into one table: what may be asked, and what became of every record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, ContactTable, Value


class Operation(StrEnum):
    """What becomes of a record by whether the table has a contact of its key."""

    INSALL = "INSALL"
    """All are inserted; keys are not looked at."""
    UPDINS = "UPDINS"
    """New ones are inserted, existing ones updated."""
    UPALL = "UPALL"
    """Existing ones are updated."""
    INSNEW = "INSNEW"
    """New ones are inserted."""


DUPLICATE = "duplicate_in_file"
"""Skipped: a later record has the same key."""
EXISTS = "exists"
"""Skipped by INSNEW."""
UNKNOWN = "not_found"
"""Skipped by UPALL."""
NOT_UNIQUE = "not_unique"
"""Rejected: another contact has a value that only one may have."""
AMBIGUOUS = "ambiguous_key"
"""Rejected: several contacts have the record's key."""
REQUIRED = "required"
"""Rejected: a new contact would lack a value."""


@dataclass(frozen=True, slots=True)
class Load:
    """`columns`: those that the file brings, in its order; an update changes no others. `key`: those of them that
    identify a contact, whatever the table's own key is; NULL in one of them equals nothing. `number`: of the import.

    `strict`: nothing is changed if a record is rejected. `ignore_empty`: NULL keeps the value that a contact has.
    `dry_run`: all of it, and then nothing is changed. `undoable`: what the rows were is kept.
    """

    table: ContactTable
    number: int
    operation: Operation
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    strict: bool = False
    ignore_empty: bool = False
    dry_run: bool = False
    undoable: bool = True

    def needs(self, column: Column) -> bool:
        """Whether no record may leave it empty. Where an empty value leaves what a contact has, one that is there lacks
        nothing by it, and which are there only the table knows; a key with an empty value is nobody's."""
        updates = self.operation in {Operation.UPDINS, Operation.UPALL}
        return column.required and not (self.ignore_empty and updates and column.name not in self.key)


def checked(load: Load) -> Load:
    """With the names as the table spells them, and no key where it makes no difference. Raises InvalidInput, its field
    "columns" or "key"."""
    columns = _named(load, load.columns, "columns")
    if not columns or len(set(columns)) != len(columns):
        raise InvalidInput("A file brings at least one column, and each of them once.", field="columns")
    if load.operation is Operation.INSALL:
        return replace(load, columns=columns, key=())
    key = _named(load, load.key, "key")
    if not key or len(set(key)) != len(key):
        raise InvalidInput(f"{load.operation} needs a key: at least one column, and each of them once.", field="key")
    if absent := [name for name in key if name not in columns]:
        raise InvalidInput(f"The file does not bring {', '.join(absent)} of the key.", field="key")
    return replace(load, columns=columns, key=key)


def _named(load: Load, names: tuple[str, ...], field: str) -> tuple[str, ...]:
    try:
        return tuple(load.table.column(name).name for name in names)
    except InvalidInput as error:
        raise InvalidInput(error.message, field=field) from None


@dataclass(frozen=True, slots=True)
class Counts:
    """Their sum is the number of records given."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    rejected: int = 0

    @property
    def records(self) -> int:
        return self.inserted + self.updated + self.unchanged + self.skipped + self.rejected


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that its batch has at `place`, from 0 on. `ordinal` counts the file's records from 1."""

    place: int
    ordinal: int
    column: str
    code: str
    reason: str


class Batch(Protocol):
    """Checked records, in the file's order: what `columns` is, adapters know. `ordinals` grow."""

    @property
    def columns(self) -> Any: ...

    @property
    def ordinals(self) -> Any: ...


Source = Callable[[], Iterable[Any]]
"""The file's batches from the beginning, the same each time."""


class Survey(Protocol):
    """Which keys come again: known only when all records were seen, so before the first is applied."""

    def add(self, batch: Batch) -> None: ...


class Observer(Protocol):
    """Who is told and asked while a load runs, in the thread that runs it."""

    def cancelled(self) -> bool:
        """Asked before each batch."""
        ...

    def applied(self, batch: Any, counts: Counts) -> None:
        """After each batch, whatever was skipped or refused of it having been told before; `counts` of all so far."""
        ...

    def again(self) -> None:
        """It begins anew: what was told is void. Once at most: where a key came again and there was no survey, or where
        a unique value was in the way and the database could not go back to before its batch."""
        ...

    def skipped(self, code: str, ordinals: Sequence[int]) -> None: ...

    def refused(self, batch: Any, rows: Sequence[Refused]) -> None:
        """By ordinals, of one batch."""
        ...

    def settled(self, counts: Counts) -> None:
        """Before the commit: what is not durable by then may be lost. An exception rolls the load back."""
        ...


class Ending(StrEnum):
    COMMITTED = "committed"
    DRY = "dry"
    REFUSED = "refused"
    """Strict, and a record was rejected: nothing was changed."""
    CANCELLED = "cancelled"
    """Nothing was changed; the counts are those up to then."""


@dataclass(frozen=True, slots=True)
class Outcome:
    ending: Ending
    counts: Counts


@dataclass(frozen=True, slots=True)
class Untouched:
    """A row that was not put back: `changed` since, `gone`, or `not_unique` because another one has its value now.
    `key`: its values under the table's key; none if it is gone or the table has no key."""

    row: int
    key: tuple[Value, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Undone:
    """`removed`: inserted rows that were deleted again. `restored`: updated ones that are what they were."""

    removed: int
    restored: int
    conflicts: tuple[Untouched, ...]


class ContactLoader(Protocol):
    """Applies a file's records to a table, in one transaction. Blocking: for a thread or a process of its own.

    Two loads of one table are not to run at the same time; the second raises Unavailable when it has waited a while.
    Whoever else writes the table waits, whoever reads it goes on and sees none of the load or all of it. Raises
    Conflict if the table is another one by now.

    Of a unique column or key, a value counts as taken if another contact has it when the record's batch begins, or an
    earlier record of the batch brings it.
    """

    def survey(self, load: Load) -> Survey: ...

    def load(self, load: Load, source: Source, observer: Observer, survey: Survey | None = None) -> Outcome:
        """`survey` has seen the whole source, as a check before the load can. Without one it is hoped that no key comes
        again in another batch; where one does, the load begins anew when it has seen the rest. A load that was
        committed is not applied again: it ends as it did, and tells no records.
        Raises InvalidInput as `checked` does."""
        ...

    def committed(self, table: ContactTable, number: int) -> Counts | None:
        """Of the load of that number; None if it was not committed. Waits for a load that is under way, as another load
        does: who was stopped before its commit may go on with it."""
        ...

    def undo(self, table: ContactTable, number: int) -> Undone:
        """Rows that are not as the load left them stay as they are. One that is undone stays so: what that did is told
        again, with the keys that the rows have now. Raises NotFound for a load that was not committed, was not undoable
        or is forgotten."""
        ...

    def forget(self, table: ContactTable, number: int) -> None:
        """It can be undone no longer; what its rows were is deleted."""
        ...
