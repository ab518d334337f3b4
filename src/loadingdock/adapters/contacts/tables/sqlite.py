"""Contact tables in SQLite: for each company a file of its own, so that a long load holds up nobody's upload."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from loadingdock.adapters.contacts.tables import cursors, former, plans, sqlite_copying
from loadingdock.adapters.contacts.tables.inspecting import Made, compared, contradiction
from loadingdock.adapters.contacts.tables.sqlite_tongue import TONGUE, connect, make, remove
from loadingdock.adapters.contacts.tables.statements import TABLES, Reading, Statement
from loadingdock.adapters.records.sqlite.connection import refusal
from loadingdock.adapters.records.tables import declared, of_declared
from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import AlreadyExists, Conflict, NotFound, Unavailable
from loadingdock.core.model.contacts import Contact, ContactTable, Value
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.contacts import Asked, Piece

T = TypeVar("T")

_BATCH = 500  # rows of an export at once
_LONGEST = 60.0  # seconds of one question: a search reads the whole table
_STEPS = 100_000  # of SQLite's machine between looks at the clock
_THREADS = 4


class SqliteContacts:
    """`folder` has the files, each named by the number of its company's row in the records. Connections are made for
    each deed: what they cost is little beside it, and no number of companies keeps any open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers = ThreadPoolExecutor(_THREADS, "contacts-read")
        self._writers = ThreadPoolExecutor(_THREADS, "contacts-write")  # who waits for a load holds up no reader
        self._closed = False

    def path(self, company_id: int) -> Path:
        return self._folder / f"{company_id}.sqlite"

    async def standing(self, company_id: int, *numbers: int) -> Mapping[int, ContactTable]:
        query = f"SELECT number, declared FROM {TABLES} WHERE number IN (SELECT value FROM json_each(?))"  # noqa: S608 - ours

        def look(connection: apsw.Connection) -> Mapping[int, ContactTable]:
            rows = connection.execute(query, (json.dumps(numbers),))
            return {int(str(number)): of_declared(str(declared)) for number, declared in rows}

        with suppress(NotFound):
            return await self._read(company_id, look)
        return {}

    async def create(self, table: ContactTable) -> None:
        def work(connection: apsw.Connection) -> None:
            found = connection.execute(f"SELECT 1 FROM {TABLES} WHERE number = ?", (table.number,)).fetchall()  # noqa: S608 - names are quoted
            if not found:
                for statement in plans.making(TONGUE, table):
                    connection.execute(statement)
                _remember(connection, table)

        await self._write(table.company_id, work)

    async def alter(self, table: ContactTable, was: ContactTable) -> None:
        def work(connection: apsw.Connection) -> None:
            _same(connection, was)
            for check in plans.checks(TONGUE, table, was):
                if count := int(str(connection.execute(check.count).fetchall()[0][0])):
                    raise contradiction(TONGUE, check, count, connection.execute(check.first).fetchall())
            for statement in plans.altering(TONGUE, table, was):
                connection.execute(statement)
            _remember(connection, table)

        await self._write(table.company_id, work)

    async def count(self, table: ContactTable, wanted: Wanted) -> int:
        found = await self._ask(table, Reading(TONGUE, table).count(wanted))
        return int(found[0][0])

    async def rows(self, table: ContactTable, asked: Asked, *, limit: int, cursor: str | None) -> Page[Contact]:
        after = None if cursor is None else cursors.decode(table, cursor, by_key=asked.by_key)
        reading = Reading(TONGUE, table)
        found = await self._ask(table, reading.rows(asked.wanted, by_key=asked.by_key, limit=limit + 1, after=after))
        return cursors.page(table, list(map(reading.contact, found)), limit, by_key=asked.by_key)

    async def find(self, table: ContactTable, key: Sequence[Value]) -> Contact | None:
        reading = Reading(TONGUE, table)
        found = await self._ask(table, reading.find(key))
        return reading.contact(found[0]) if found else None

    async def delete(self, table: ContactTable, row: int) -> bool:
        def work(connection: apsw.Connection) -> bool:
            _same(connection, table)
            connection.execute("PRAGMA secure_delete = ON")
            statement = Reading(TONGUE, table).delete(row)
            connection.execute(statement.text, statement.values)
            deleted = connection.changes() > 0
            _forget(connection, table, row)
            return deleted

        return await self._write(table.company_id, work)

    async def put(self, table: ContactTable, contacts: Sequence[Contact]) -> None:
        def work(connection: apsw.Connection) -> None:
            _same(connection, table)
            reading = Reading(TONGUE, table)
            try:
                connection.executemany(reading.put(), map(reading.kept, contacts))
            except apsw.ConstraintError as error:
                raise AlreadyExists("A contact of that number or key") from error

        await self._write(table.company_id, work)

    async def copy(self, table: ContactTable) -> AsyncGenerator[Piece, None]:
        read = partial(sqlite_copying.pieces, table=table)
        connection, pieces = await self._thread(self._readers, partial(self._begin, table, read))
        try:
            while found := await self._thread(self._readers, partial(_some, pieces, 1)):
                yield found[0]
        finally:
            await self._thread(self._readers, connection.close)

    async def keep(self, table: ContactTable, piece: Piece) -> None:
        def work(connection: apsw.Connection) -> None:
            _same(connection, table)
            sqlite_copying.keep(connection, table, piece)

        await self._write(table.company_id, work)

    async def undoable(self, table: ContactTable) -> int:
        return len(await self._read(table.company_id, partial(sqlite_copying.undoable, table=table)))

    async def remove(self, company_id: int) -> None:
        await self._thread(self._writers, partial(remove, self.path(company_id)))

    async def export(self, table: ContactTable, wanted: Wanted) -> AsyncGenerator[Sequence[Contact], None]:
        reading = Reading(TONGUE, table)
        statement = reading.export(wanted)

        def read(connection: apsw.Connection) -> Iterator[Any]:
            return iter(connection.execute(statement.text, statement.values))

        connection, rows = await self._thread(self._readers, partial(self._begin, table, read))
        try:
            while batch := await self._thread(self._readers, partial(_some, rows)):
                yield tuple(map(reading.contact, batch))
        finally:
            await self._thread(self._readers, connection.close)

    async def examine(self, company_id: int, tables: Sequence[ContactTable]) -> tuple[str, ...]:
        if not self.path(company_id).exists():
            return tuple(f"The contact table {table.code} is not there." for table in tables if table.version)

        def look() -> tuple[str, ...]:
            try:
                with self._opened(company_id, readonly=True) as connection:
                    return tuple(_faults(connection, tables))
            except Unavailable as error:
                return (f"{self.path(company_id)} cannot be read: {error.__cause__}",)

        return await self._thread(self._readers, look)

    async def close(self) -> None:
        """What was asked for before is still done."""
        self._closed = True
        for threads in (self._readers, self._writers):
            await asyncio.to_thread(threads.shutdown)

    # --- connections -----------------------------------------------------------------------------

    async def _ask(self, table: ContactTable, statement: Statement) -> list[Any]:
        def look(connection: apsw.Connection) -> list[Any]:
            _same(connection, table)
            return connection.execute(statement.text, statement.values).fetchall()

        return await self._read(table.company_id, look)

    async def _read(self, company_id: int, look: Callable[[apsw.Connection], T]) -> T:
        """Of one moment. Raises NotFound where the company has no file."""

        def work() -> T:
            with self._opened(company_id, readonly=True) as connection:
                _bounded(connection)
                connection.execute("BEGIN")
                return look(connection)

        return await self._thread(self._readers, work)

    async def _write(self, company_id: int, change: Callable[[apsw.Connection], T]) -> T:
        """In one transaction, durable when it returns."""

        def work() -> T:
            with self._opened(company_id, readonly=False) as connection:
                connection.execute("BEGIN IMMEDIATE")
                changed = change(connection)
                connection.execute("COMMIT")
                return changed

        return await self._thread(self._writers, work)

    async def _thread(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise Unavailable("contacts")
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    @contextmanager
    def _opened(self, company_id: int, *, readonly: bool) -> Iterator[apsw.Connection]:
        """Closed at the end, and what was not committed rolled back."""
        with _errors():
            connection = self._connect(company_id, readonly=readonly)
            try:
                yield connection
            finally:
                connection.close()

    def _connect(self, company_id: int, *, readonly: bool) -> apsw.Connection:
        path = self.path(company_id)
        if readonly and not path.exists():
            raise NotFound("table")
        if not readonly:
            make(path)
        return connect(path, readonly=readonly)

    def _begin(
        self, table: ContactTable, read: Callable[[apsw.Connection], Iterator[T]]
    ) -> tuple[apsw.Connection, Iterator[T]]:
        with _errors():
            connection = self._connect(table.company_id, readonly=True)
            try:
                connection.execute("BEGIN")
                _same(connection, table)
                return connection, read(connection)
            except BaseException:
                connection.close()
                raise


def _bounded(connection: apsw.Connection) -> None:
    until = time.monotonic() + _LONGEST
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)


def _some(rows: Iterator[T], most: int = _BATCH) -> list[T]:
    with _errors():
        return [row for _, row in zip(range(most), rows, strict=False)]


def _forget(connection: apsw.Connection, table: ContactTable, row: int) -> None:
    """What it was before loads changed it."""
    for load in sqlite_copying.undoable(connection, table):
        if connection.table_exists("main", former.undoing(load)):
            gone, left = former.emptying(TONGUE, table, load, row)
            connection.execute(gone.text, gone.values)
            if connection.changes():
                connection.execute(left.text, left.values)


def _same(connection: apsw.Connection, table: ContactTable) -> None:
    rows = connection.execute(f"SELECT version FROM {TABLES} WHERE number = ?", (table.number,)).fetchall()  # noqa: S608 - names are quoted
    if not rows or rows[0][0] != table.version:
        raise Conflict(f"The table {table.code} has just been altered; ask again.")


def _remember(connection: apsw.Connection, table: ContactTable) -> None:
    connection.execute(
        f"INSERT INTO {TABLES} (number, version, declared) VALUES (?, ?, ?)"  # noqa: S608 - ours
        " ON CONFLICT (number) DO UPDATE SET version = excluded.version, declared = excluded.declared",
        (table.number, table.version, declared(table)),
    )


def _faults(connection: apsw.Connection, tables: Sequence[ContactTable]) -> Iterator[str]:
    if (mode := connection.pragma("journal_mode")) != "wal":
        yield f"The journal of {connection.filename} is in mode {mode}, not WAL."
    for row in connection.execute("PRAGMA quick_check(20)"):
        if row[0] != "ok":
            yield f"{connection.filename}: {row[0]}"
    rows: list[Any] = connection.execute(f"SELECT number, version FROM {TABLES}").fetchall()  # noqa: S608 - ours
    there: dict[str, Made] = {}
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        columns: list[Any] = connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,)).fetchall()
        made = connection.execute("SELECT name FROM pragma_index_list(?)", (name,)).fetchall()
        there[str(name)] = dict(columns), {str(index) for (index,) in made}
    yield from compared(TONGUE.type, tables, dict(rows), there, {TABLES, "sqlite_sequence"})


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except apsw.BusyError as error:
        raise Unavailable("table", retry_after=10) from error
    except apsw.InterruptError as error:
        raise Unavailable("table", retry_after=60, why="it took longer than a minute") from error
    except apsw.Error as error:
        if (refused := refusal(error)) is None:
            raise
        raise refused() from error
