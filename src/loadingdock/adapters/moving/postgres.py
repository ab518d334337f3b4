"""PostgreSQL's side of a move. Everything here blocks and belongs in a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from psycopg import errors

from loadingdock.adapters.moving.tables import Row, Table, Value
from loadingdock.adapters.records.postgres import schema
from loadingdock.adapters.records.postgres.connection import conninfo, where
from loadingdock.adapters.records.postgres.executor import refusal, unavailable
from loadingdock.adapters.records.sealing import LOG, MARK, OWN, SQLSTATE, WORDS
from loadingdock.core.errors import Conflict, Sealed, Unavailable

_FUNCTION = OWN + "sealed"
_PATIENCE = 60.0  # seconds until nobody else is changing a table
_SETTINGS = (
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET jit = off",
)
_LOCK_TIME = "SET lock_timeout = '2s'"  # who waits for a lock holds up all who come after
_TABLES = """
SELECT c.relname::text,
    (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::int[], a.attnum::int))
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = c.oid AND i.indisprimary),
    (SELECT array_agg(DISTINCT p.relname::text) FROM pg_constraint f JOIN pg_class p ON p.oid = f.confrelid
        WHERE f.conrelid = c.oid AND f.contype = 'f'),
    (SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> '')
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname
"""


class PostgresDatabase:
    def __init__(self, url: str) -> None:
        """Raises Conflict for what is no URL of a PostgreSQL database."""
        self._info = conninfo(url)
        self.place = f"PostgreSQL {where(url)}"

    def version(self) -> int:
        with self._named():
            return asyncio.run(schema.version(self._info))

    def migrate(self) -> None:
        with self._named():
            asyncio.run(schema.migrate(self._info))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """There are two databases, and either may be away."""
        try:
            yield
        except Sealed:
            raise
        except Unavailable as error:
            why = error.why or str(error.__cause__ or "").partition("\n")[0]
            raise Unavailable(f"database at {self.place}", why=why) from error

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[PostgresSession]:
        with self._transaction("BEGIN") as session:
            yield session

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[PostgresSession]:
        try:
            with psycopg.connect(self._info, autocommit=True) as connection:
                for setting in _SETTINGS:
                    connection.execute(setting)
                connection.execute(begin.encode())
                yield PostgresSession(connection)
                connection.execute("COMMIT")
        except psycopg.Error as error:
            refused = unavailable if isinstance(error, psycopg.InterfaceError) else refusal(error)
            if refused is None:
                raise
            with self._named():
                raise refused() from error


class PostgresSession:
    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection
        self._numbers = count()

    def ask(self, statement: str, *values: Value) -> list[Row]:
        found = self._connection.execute(_numbered(statement), values)
        return found.fetchall() if found.description else []

    def stream(self, statement: str, *values: Value) -> Iterator[Row]:
        with self._connection.cursor(f"rows{next(self._numbers)}") as cursor:
            cursor.itersize = 1000
            cursor.execute(_numbered(statement), values)
            yield from cursor

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def count_on(self, table: Table) -> None:
        if table.serial is not None:
            self.ask(
                f"SELECT setval(pg_get_serial_sequence(?, ?), COALESCE(MAX({table.serial}), 0) + 1, false)"  # noqa: S608 - our own names
                f" FROM {table.name}",
                table.name,
                table.serial,
            )

    def tables(self) -> list[Table]:
        return [
            Table(name, tuple(columns), tuple(key or ()), frozenset(parents or ()), serial)
            for name, columns, key, parents, serial in self._connection.execute(_TABLES).fetchall()
            if not name.startswith(OWN)
        ]

    def marked(self) -> bool:
        return bool(self.ask("SELECT to_regclass(?) IS NOT NULL", MARK)[0][0])

    def seal(self, tables: Sequence[Table]) -> None:
        """Whoever is changing a table is waited for, its rows and the log's; then the triggers are there before the
        next one comes. Reading goes on."""
        self._lock([table.name for table in tables])
        self.ask(
            f"CREATE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{SQLSTATE}', MESSAGE = '{WORDS}'; END $$"
        )
        for table in tables:
            if table.name != LOG:
                # By rows: what finds nothing to change, as a look for jobs mostly does, goes on.
                self.ask(
                    f"CREATE TRIGGER {_FUNCTION} BEFORE INSERT OR UPDATE OR DELETE ON {table.name}"
                    f" FOR EACH ROW EXECUTE FUNCTION {_FUNCTION}()"
                )
                self.ask(
                    f"CREATE TRIGGER {_FUNCTION}_truncate BEFORE TRUNCATE ON {table.name}"
                    f" FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()"
                )

    def unseal(self) -> None:
        names = self.ask(
            "SELECT DISTINCT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = ? AND NOT t.tgisinternal"
            " AND c.relnamespace = current_schema()::regnamespace",
            _FUNCTION,
        )
        self._lock([str(name) for (name,) in names], "ACCESS EXCLUSIVE")
        self.ask(f"DROP FUNCTION IF EXISTS {_FUNCTION}() CASCADE")

    def _lock(self, names: Sequence[str], mode: str = "SHARE ROW EXCLUSIVE") -> None:
        """All at once or none: two who wait for each other would hold up everybody."""
        if not names:
            return
        self.ask(_LOCK_TIME)
        deadline = time.monotonic() + _PATIENCE
        while True:
            self.ask("SAVEPOINT unlocked")
            try:
                self.ask(f"LOCK TABLE {', '.join(names)} IN {mode} MODE")
                return
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                self.ask("ROLLBACK TO SAVEPOINT unlocked")
                if time.monotonic() > deadline:
                    raise Conflict(
                        "Somebody keeps changing records in one long transaction; look at pg_stat_activity."
                    ) from None
            time.sleep(0.2)


def _numbered(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()
