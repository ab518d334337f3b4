"""Loads into the SQLite file of a company.

By apsw, which has the file open anyway: a second SQLite in the process, such as an Arrow driver's own, would drop the
locks of the first whenever it closes the file (https://sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from loadingdock.adapters.contacts.loading.flow import Violated
from loadingdock.adapters.contacts.loading.keys import counted
from loadingdock.adapters.contacts.loading.loader import Loader, Session
from loadingdock.adapters.contacts.loading.statements import Words
from loadingdock.adapters.contacts.loading.undoing import LOADS, MAKING_LOADS
from loadingdock.adapters.contacts.tables.sqlite_tongue import TONGUE, connect
from loadingdock.adapters.contacts.tables.statements import TABLES, Tongue
from loadingdock.adapters.records.sqlite.connection import refusal
from loadingdock.core.contactmodel import ContactTable
from loadingdock.core.errors import Conflict, NotFound, Unavailable

_CACHE_KIB = 64 * 1024
# Rows of one statement, and values at most: within a savepoint each statement costs by the pages it touches.
_TOGETHER = 200
_VALUES = 30_000  # SQLite's own limit is 32,766


class _Sqlite:
    dropped = ""  # it ends with its connection
    emptied = "DELETE FROM {0}"
    merges = False


WORDS: Words = _Sqlite()


class SqliteLoader(Loader):
    """`folder` is that of SqliteContacts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def _session(self, company_id: int) -> Iterator[Session]:
        path = self._folder / f"{company_id}.sqlite"
        if not path.exists():
            raise NotFound("table")
        with _errors():
            connection = connect(path)
            try:
                yield _Session(connection)
            finally:
                connection.close()


class _Session:
    tongue: Tongue = TONGUE
    words: Words = WORDS

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB:d}")

    def begin(self, table: ContactTable) -> None:
        self.run("BEGIN IMMEDIATE")
        rows = self._connection.execute(f"SELECT version FROM {TABLES} WHERE number = ?", (table.number,)).fetchall()  # noqa: S608 - names are quoted
        if not rows or rows[0][0] != table.version:
            raise Conflict(f"The table {table.code} has just been altered; ask again.")
        self.run(MAKING_LOADS.format(TONGUE.home(table.company_id, LOADS)))

    def indexed(self) -> None:
        """SQLite takes an index where there is one."""

    def has(self, company_id: int, name: str) -> bool:
        return self._connection.table_exists("main", name)

    def commit(self) -> None:
        self.run("COMMIT")

    def run(self, statement: str) -> int:
        with _violations():
            self._connection.execute(statement)
        return self._connection.changes()

    def all(self, statement: str) -> list[Any]:
        return self._connection.execute(statement).fetchall()

    def made(self, rows: Any) -> tuple[int, list[Any]]:
        """How many columns there are, and the values row after row."""
        width = rows.num_columns
        values: list[Any] = [None] * (width * len(rows))
        for place, column in enumerate(rows.columns):
            values[place::width] = counted(column).to_pylist()
        return width, values

    def fill(self, target: str, made: tuple[int, list[Any]], otherwise: str = "") -> int:
        (width, values), before = made, self._connection.total_changes()
        row = f"({', '.join('?' * width)})"
        step = width * max(1, min(_TOGETHER, _VALUES // width))
        whole = len(values) - len(values) % step
        with _violations():
            for size, start, end in ((step, 0, whole), (width, whole, len(values))):
                statement = f"INSERT INTO {target} VALUES {', '.join([row] * (size // width))} {otherwise}"  # noqa: S608 - quoted
                self._connection.executemany(statement, (values[at : at + size] for at in range(start, end, size)))
        return self._connection.total_changes() - before


@contextmanager
def _violations() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as error:
        raise Violated from error  # there is no other constraint


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except apsw.BusyError as error:
        raise Unavailable("table", retry_after=10) from error
    except apsw.Error as error:
        if (refused := refusal(error)) is None:
            raise
        raise refused() from error
