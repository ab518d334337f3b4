"""Loads into the SQLite file of a company, by Arrow's own driver: columns go in without a Python object for each value.

The driver brings a SQLite of its own. Two of them with one file open in one process would drop each other's locks
(https://sqlite.org/howtocorrupt.html, 2.2.1), so nothing else opens the company's file in the process that loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from adbc_driver_manager import Error
from adbc_driver_sqlite import dbapi

from loadingdock.adapters.contacts.loading.engine import Violated
from loadingdock.adapters.contacts.loading.keys import counted
from loadingdock.adapters.contacts.loading.loader import Loader, Session
from loadingdock.adapters.contacts.loading.statements import Words
from loadingdock.adapters.contacts.tables.former import LOADS, making_loads
from loadingdock.adapters.contacts.tables.sqlite_tongue import BUSY_MS, SETTINGS, TONGUE
from loadingdock.adapters.contacts.tables.statements import TABLES, Tongue
from loadingdock.core.errors import Conflict, NotFound, StorageFull, Unavailable
from loadingdock.core.model.contacts import ContactTable

_CACHE_KIB = 32 * 1024  # batches go through an index from its beginning to its end: what fits is little help
# The driver tells no codes, but SQLite's words for them: https://sqlite.org/c3ref/errcode.html
_VIOLATED = "UNIQUE constraint failed"
_BUSY = ("database is locked", "database table is locked")
_FULL = "database or disk is full"
_BROKEN = (
    "disk I/O error",
    "unable to open database file",
    "database disk image is malformed",
    "file is not a database",
    "attempt to write a readonly database",
)


class _Sqlite:
    dropped = ""  # it ends with its connection
    emptied = "DELETE FROM {0}"
    merges = False
    returns = False  # each page that changes is copied first, into a file


WORDS: Words = _Sqlite()


class SqliteLoader(Loader):
    """`folder` is that of SqliteContacts, which is in another process, or has the file closed meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def _session(self, company_id: int) -> Iterator[Session]:
        path = self._folder.absolute() / f"{company_id}.sqlite"
        if not path.exists():
            raise NotFound("table")
        # In autocommit the driver begins nothing by itself. Closing the connection rolls back what is open.
        with _errors(), closing(dbapi.connect(str(path), autocommit=True)) as connection:
            yield _Session(connection)


class _Session:
    tongue: Tongue = TONGUE
    words: Words = WORDS

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._filling = connection.cursor()  # which keeps its statement from batch to batch
        for setting in (f"busy_timeout = {BUSY_MS:d}", *SETTINGS, f"cache_size = -{_CACHE_KIB:d}"):
            self.all(f"PRAGMA {setting}")

    def begin(self, table: ContactTable, *, by_rows: bool = False) -> None:
        # What a statement may have to take back is kept until it ends: a few pages for a row, all of them for a table.
        self.all(f"PRAGMA temp_store = {'MEMORY' if by_rows else 'FILE'}")
        self.run("BEGIN IMMEDIATE")
        rows = self.all(f"SELECT version FROM {TABLES} WHERE number = {table.number:d}")  # noqa: S608 - a number
        if not rows or rows[0][0] != table.version:
            raise Conflict(f"The table {table.code} has just been altered; ask again.")
        there = {name for (name,) in self.all(f"SELECT name FROM pragma_table_info('{LOADS}')")}  # noqa: S608 - ours
        for statement in making_loads(TONGUE.home(table.company_id, LOADS), there):
            self.run(statement)

    def indexed(self) -> None:
        """SQLite takes an index where there is one."""

    def has(self, company_id: int, name: str) -> bool:
        return bool(self.all(f"SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '{name}'"))  # noqa: S608 - ours

    def commit(self) -> None:
        self.run("COMMIT")

    def run(self, statement: str) -> int:
        with _violations():
            self._cursor.execute(statement)
            self._cursor.fetchall()
        return int(self.all("SELECT changes()")[0][0])

    def all(self, statement: str) -> list[Any]:
        self._cursor.execute(statement)
        # By columns: of single rows the driver takes 8 microseconds each.
        columns = [column.to_pylist() for column in self._cursor.fetch_arrow_table().columns]
        return list(zip(*columns, strict=True))

    def made(self, rows: Any) -> Any:
        return pa.RecordBatch.from_arrays([counted(column) for column in rows.columns], rows.schema.names)

    def fill(self, target: str, made: Any, otherwise: str = "") -> int:
        before = self._written()
        places = ", ".join("?" * made.num_columns)
        try:
            with _violations():
                self._filling.executemany(f"INSERT INTO {target} VALUES ({places}) {otherwise}", made)  # noqa: S608 - names are quoted
        except Violated:
            # A statement that has failed cannot be used again: resetting it tells of that once more.
            self._filling.close()
            self._filling = self._connection.cursor()
            raise
        return self._written() - before

    def next_row(self, table: ContactTable) -> None:
        """AUTOINCREMENT writes down the highest of those that are brought, too: https://sqlite.org/autoinc.html."""

    def brought(self, table: ContactTable, last: int) -> None: ...

    def _written(self) -> int:
        return int(self.all("SELECT total_changes()")[0][0])


@contextmanager
def _violations() -> Iterator[None]:
    try:
        yield
    except Error as error:
        if _VIOLATED in str(error):
            raise Violated from error
        raise


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except Error as error:
        words = str(error)
        if any(each in words for each in _BUSY):
            raise Unavailable("table", retry_after=10) from error
        if _FULL in words:
            raise StorageFull from error
        if any(each in words for each in _BROKEN):
            raise Unavailable("database") from error
        raise
