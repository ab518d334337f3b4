"""Loads into PostgreSQL: COPY in its binary form, made of whole columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, LiteralString

import pgpq
import psycopg
from psycopg import errors

from loadingdock.adapters.contacts.loading.engine import Violated
from loadingdock.adapters.contacts.loading.loader import Loader, Session
from loadingdock.adapters.contacts.loading.statements import Words
from loadingdock.adapters.contacts.tables.former import LOADS, making_loads
from loadingdock.adapters.contacts.tables.postgres_tongue import TONGUE
from loadingdock.adapters.contacts.tables.statements import TABLES, Tongue
from loadingdock.adapters.records.postgres.connection import LOCKS
from loadingdock.adapters.records.postgres.executor import refusal, unavailable
from loadingdock.core.errors import Conflict, NotFound, Unavailable
from loadingdock.core.model.contacts import ROW, ContactTable

_SETTINGS = {
    "timezone": "UTC",
    "lock_timeout": "10s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "10min",  # a batch is read meanwhile
    "jit": "off",
    "temp_buffers": "64MB",  # a batch, twice
    "work_mem": "64MB",  # and once more
}


class _Postgres:
    dropped = " ON COMMIT DROP"
    emptied = "TRUNCATE {0}"
    merges = True
    returns = True


WORDS: Words = _Postgres()


class PostgresLoader(Loader):
    """`info` is libpq's connection string. Each load has a connection of its own."""

    def __init__(self, info: str) -> None:
        self._info = info

    @contextmanager
    def _session(self, company_id: int) -> Iterator[Session]:
        # Closed, not left: that would commit.
        with _errors(), closing(psycopg.connect(self._info, autocommit=True)) as connection:
            session = _Session(connection)
            session.set(_SETTINGS)
            # Durable, even where the server's default is not.
            if session.all("SHOW synchronous_commit")[0][0] == "off":
                session.set({"synchronous_commit": "on"})
            yield session


class _Session:
    tongue: Tongue = TONGUE
    words: Words = WORDS

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def set(self, settings: dict[str, str]) -> None:
        for name, value in settings.items():
            self.run(f"SET {name} = '{value}'")

    def begin(self, table: ContactTable, *, by_rows: bool = False) -> None:
        loads, tables = TONGUE.home(table.company_id, LOADS), TONGUE.home(table.company_id, TABLES)
        if not self.has(table.company_id, TABLES):
            raise NotFound("table")
        if making_loads(loads, self._columns(loads)):
            # Two who make it at once would meet an error of the catalogue's own index.
            self.run("BEGIN")
            self.run(f"SELECT pg_advisory_xact_lock({LOCKS}, hashint8({table.company_id:d}))")
            for statement in making_loads(loads, self._columns(loads)):
                self.run(statement)
            self.run("COMMIT")
        self.run("BEGIN")
        found = self.all(f"SELECT version FROM {tables} WHERE number = {table.number:d} FOR SHARE")  # noqa: S608 - names are quoted
        if not found or found[0][0] != table.version:
            raise Conflict(f"The table {table.code} has just been altered; ask again.")
        # Against everybody who writes; who reads goes on.
        self.run(f"LOCK TABLE {TONGUE.home(table.company_id, table.code)} IN SHARE ROW EXCLUSIVE MODE")

    def indexed(self) -> None:
        """Of a batch that it knows nothing of, the planner would rather read the whole table."""
        for way in ("enable_hashjoin", "enable_mergejoin"):
            self.run(f"SET LOCAL {way} = off")

    def has(self, company_id: int, name: str) -> bool:
        found = self._connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", (TONGUE.home(company_id, name),)
        ).fetchone()
        return bool(found and found[0])

    def _columns(self, home: str) -> list[str]:
        """None of a table that is not there."""
        found = self._connection.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0", (home,)
        )
        return [name for (name,) in found]

    def commit(self) -> None:
        self.run("COMMIT")

    def run(self, statement: str) -> int:
        with _violations():
            return self._connection.execute(statement.encode(), prepare=False).rowcount

    def all(self, statement: str) -> list[Any]:
        return self._connection.execute(statement.encode(), prepare=False).fetchall()

    def made(self, rows: Any) -> tuple[bytes, ...]:
        encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
        return encoder.write_header(), encoder.write_batch(rows), encoder.finish()  # which may bring rows held back

    def fill(self, target: str, made: tuple[bytes, ...], otherwise: str = "") -> int:
        with (
            _violations(),
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)".encode()) as copy,
        ):
            for part in made:
                copy.write(part)
        return cursor.rowcount

    def next_row(self, table: ContactTable) -> int:
        return int(self._sequence(table, "SELECT nextval(pg_get_serial_sequence(%s, %s))"))

    def brought(self, table: ContactTable, last: int) -> None:
        self._sequence(table, "SELECT setval(pg_get_serial_sequence(%s, %s), %s)", last)

    def _sequence(self, table: ContactTable, statement: LiteralString, *values: int) -> Any:
        """What it answers. No rollback takes it back."""
        home = TONGUE.home(table.company_id, table.code)
        ((answer,),) = self._connection.execute(statement, (home, ROW, *values), prepare=False).fetchall()
        return answer


@contextmanager
def _violations() -> Iterator[None]:
    try:
        yield
    except errors.UniqueViolation as error:
        raise Violated from error


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (errors.LockNotAvailable, errors.DeadlockDetected) as error:
        raise Unavailable("table", retry_after=10) from error
    except psycopg.Error as error:
        refused = unavailable if isinstance(error, psycopg.InterfaceError) else refusal(error)
        if refused is None:
            raise
        raise refused() from error
