"""All rows of a database, whatever they mean: which tables there are, in which order they go, and whether what arrived
is what was sent. Everything here blocks and belongs in a thread.

The tables are those that the database itself names, so that one of a later migration goes as well. Values are what all
columns hold: numbers, texts, bytes and nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Protocol

from loadingdock.adapters.records.sealing import LOG, LOG_KEY, OWN
from loadingdock.core.errors import Conflict

Value = int | str | bytes | None
Row = tuple[Value, ...]

_TOLD = 1000  # rows


@dataclass(frozen=True, slots=True)
class Table:
    """`key` are the columns of the primary key, by which its rows are ordered: bytewise, in every engine. `serial` is
    the one whose numbers the database gives out itself."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    parents: frozenset[str]
    serial: str | None = None


class Session(Protocol):
    """One transaction. Parameters are written `?`."""

    def ask(self, statement: str, *values: Value) -> list[Row]: ...
    def stream(self, statement: str, *values: Value) -> Iterator[Row]:
        """One after the other, however many there are."""
        ...

    def load(self, table: Table, rows: Iterable[Row]) -> None: ...
    def count_on(self, table: Table) -> None:
        """The numbers that the table gives out go on behind those it holds."""
        ...

    def tables(self) -> list[Table]:
        """In any order, without those that are no part of the schema."""
        ...

    def marked(self) -> bool:
        """Whether the table of moves is there."""
        ...

    def seal(self, tables: Sequence[Table]) -> None:
        """No other transaction changes these from the commit on, and none that did is still under way."""
        ...

    def unseal(self) -> None: ...


class Database(Protocol):
    """`place` is for people, without secrets."""

    place: str

    def version(self) -> int:
        """Of the schema; 0 where there is none yet, which changes nothing. Raises Conflict for another program's."""
        ...

    def migrate(self) -> None: ...
    def reading(self) -> AbstractContextManager[Session]:
        """One moment of the database."""
        ...

    def writing(self) -> AbstractContextManager[Session]:
        """Committed at the end, rolled back by an exception."""
        ...


def ordered(tables: Iterable[Table]) -> list[Table]:
    """Each behind those that its rows point at. Raises Conflict where that cannot be, and for a table without a
    primary key, whose rows have no order."""
    by_name = {table.name: table for table in tables if not table.name.startswith(OWN)}
    for table in by_name.values():
        if not table.key:
            raise Conflict(f"The table {table.name} has no primary key.")
    graph = {name: table.parents - {name} for name, table in sorted(by_name.items())}
    try:
        return [by_name[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise Conflict(f"Tables point at each other: {', '.join(error.args[1])}.") from error


def log_end(session: Session) -> int:
    """The last number in the log."""
    ((last,),) = session.ask(f"SELECT MAX({LOG_KEY}) FROM {LOG}")  # noqa: S608 - our names
    return int(last or 0)


def rows(session: Session, table: Table, log_until: int) -> Iterator[Row]:
    """In the order of the primary key; of the log those up to that number, for it goes on growing."""
    only = f" WHERE {LOG_KEY} <= {log_until:d}" if table.name == LOG else ""
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    return session.stream(f"SELECT {columns} FROM {table.name}{only} ORDER BY {key}")  # noqa: S608 - the catalogue's


class Digest:
    """Of rows in their order. Both sides are made by the same program, so how it writes a row is of no matter."""

    def __init__(self) -> None:
        self.rows = 0
        self._sha256 = hashlib.sha256()

    def over(self, rows: Iterable[Row], told: Callable[[int], None]) -> Iterator[Row]:
        for row in rows:
            self._sha256.update(repr(row).encode("utf-8", "surrogatepass"))
            self.rows += 1
            if self.rows % _TOLD == 0:
                told(_TOLD)
            yield row
        told(self.rows % _TOLD)

    def value(self) -> tuple[int, str]:
        return self.rows, self._sha256.hexdigest()


def copy(source: Session, target: Session, log_until: int, told: Callable[[int], None]) -> Mapping[str, int]:
    """The rows of each table. Raises Conflict, for the caller to roll back, where tables differ or what is read back
    is not what was sent. `told` hears of rows sent."""
    there = {table.name: table for table in target.tables()}
    copied: dict[str, int] = {}
    for table in ordered(source.tables()):
        if (same := there.get(table.name)) is None or set(same.columns) != set(table.columns):
            raise Conflict(f"The table {table.name} is another one at the destination.")
        sent, arrived = Digest(), Digest()
        target.load(table, sent.over(rows(source, table, log_until), told))
        for _ in arrived.over(rows(target, table, log_until), lambda _: None):
            pass
        if sent.value() != arrived.value():
            raise Conflict(
                f"Of the table {table.name} {arrived.rows} rows arrived, and {sent.rows} were sent, or their content"
                " differs; nothing of it was kept."
            )
        target.count_on(table)
        copied[table.name] = sent.rows
    return copied
