"""Contact tables in PostgreSQL: for each company a schema of its own, in the database of the records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import errors

from loadingdock.adapters.contacts.tables import cursors, former, plans, postgres_copying
from loadingdock.adapters.contacts.tables.inspecting import Made, compared, contradiction
from loadingdock.adapters.contacts.tables.postgres_asking import all_of, do, is_there, run
from loadingdock.adapters.contacts.tables.postgres_tongue import TONGUE, kind_of, schema
from loadingdock.adapters.contacts.tables.statements import ROW_NAME, TABLES, Reading, Statement
from loadingdock.adapters.records.postgres.connection import LOCKS, Connection, connect, roll_back
from loadingdock.adapters.records.postgres.executor import refusal, unavailable
from loadingdock.adapters.records.postgres.pool import Pool
from loadingdock.adapters.records.tables import declared, of_declared
from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import AlreadyExists, Conflict, Unavailable
from loadingdock.core.model.contacts import ROW, Contact, ContactTable, Value
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.contacts import Asked, Piece

_BATCH = 500  # rows of an export at once
_EXPORTS = 4  # at the same time, each on a connection of its own
_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_UTC = "SET LOCAL timezone = 'UTC'"
_UNHURRIED = (  # for what reads or writes a whole table, or waits for a slow reader of it
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = '10min'",
)
_COLUMNS = """
SELECT c.relname::text, array_agg(a.attname::text), array_agg(format_type(a.atttypid, a.atttypmod))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY c.oid
"""
_INDEXES = """
SELECT t.relname::text, c.relname::text, i.indisvalid
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = to_regnamespace($1)
"""


class PostgresContacts:
    """`pool` is that of the records; `info` is libpq's connection string, for what takes long."""

    def __init__(self, pool: Pool, info: str) -> None:
        self._pool = pool
        self._info = info
        self._exports = asyncio.Semaphore(_EXPORTS)

    async def standing(self, company_id: int, *numbers: int) -> Mapping[int, ContactTable]:
        home, among = TONGUE.home(company_id, TABLES), "(SELECT jsonb_array_elements_text(CAST($1 AS jsonb))::bigint)"
        query = Statement(f"SELECT number, declared FROM {home} WHERE number IN {among}", (json.dumps(numbers),))  # noqa: S608 - names are quoted
        async with self._transaction(_READING) as connection:
            rows = await all_of(connection, query) if await _made(connection, company_id) else []
        return {int(number): of_declared(str(declared)) for number, declared in rows}

    async def create(self, table: ContactTable) -> None:
        company_id, home = table.company_id, TONGUE.home(table.company_id, TABLES)
        async with self._transaction() as connection:
            # Two who make a schema at once would meet an error of the catalogue's own index.
            await do(connection, f"SELECT pg_advisory_xact_lock({LOCKS}, hashint8({company_id:d}))")
            if not await _made(connection, company_id):
                await do(connection, f"CREATE SCHEMA IF NOT EXISTS {schema(company_id)}")
                await do(
                    connection,
                    f"CREATE TABLE {home} (number bigint PRIMARY KEY, version bigint NOT NULL, declared text NOT NULL)",
                )
            if not await all_of(connection, Statement(f"SELECT 1 FROM {home} WHERE number = $1", (table.number,))):  # noqa: S608 - names are quoted
                await do(connection, *plans.making(TONGUE, table))
                await _remember(connection, table)

    async def alter(self, table: ContactTable, was: ContactTable) -> None:
        async with self._transaction() as connection:
            await do(connection, *_UNHURRIED, _UTC)
            await _same(connection, was, "FOR UPDATE")
            await do(connection, f"LOCK TABLE {TONGUE.home(was.company_id, was.code)} IN ACCESS EXCLUSIVE MODE")
            for check in plans.checks(TONGUE, table, was):
                if count := int((await all_of(connection, Statement(check.count)))[0][0]):
                    raise contradiction(TONGUE, check, count, await all_of(connection, Statement(check.first)))
            await do(connection, *plans.altering(TONGUE, table, was))
            await _remember(connection, table)

    async def count(self, table: ContactTable, wanted: Wanted) -> int:
        return int((await self._ask(table, Reading(TONGUE, table).count(wanted)))[0][0])

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
        async with self._transaction() as connection:
            await _same(connection, table)
            deleted = await run(connection, Reading(TONGUE, table).delete(row))
            await _forget(connection, table, row)
            return deleted > 0

    async def put(self, table: ContactTable, contacts: Sequence[Contact]) -> None:
        reading, home = Reading(TONGUE, table), TONGUE.home(table.company_id, table.code)
        async with self._transaction() as connection:
            await do(connection, *_UNHURRIED)
            await _same(connection, table)
            try:
                await psycopg.AsyncRawCursor(connection).executemany(
                    reading.put().encode(), list(map(reading.kept, contacts))
                )
            except errors.UniqueViolation as error:
                raise AlreadyExists("A contact of that number or key") from error
            # The numbers that the table gives out go on behind those it holds.
            last = f"(SELECT coalesce(max({ROW_NAME}), 0) + 1 FROM {home})"  # noqa: S608 - quoted
            await run(
                connection, Statement(f"SELECT setval(pg_get_serial_sequence($1, $2), {last}, false)", (home, ROW))
            )

    async def copy(self, table: ContactTable) -> AsyncGenerator[Piece, None]:
        async with self._exports, self._alone(_READING) as connection:
            await do(connection, *_UNHURRIED)
            await _same(connection, table)
            async with aclosing(postgres_copying.pieces(connection, table)) as pieces:
                async for piece in pieces:
                    yield piece

    async def keep(self, table: ContactTable, piece: Piece) -> None:
        async with self._transaction() as connection:
            await do(connection, *_UNHURRIED)
            await _same(connection, table)
            await postgres_copying.keep(connection, table, piece)

    async def undoable(self, table: ContactTable) -> int:
        async with self._transaction(_READING) as connection:
            if not await is_there(connection, TONGUE.home(table.company_id, former.LOADS)):
                return 0
            return len(await all_of(connection, former.undoable(TONGUE, table)))

    async def remove(self, company_id: int) -> None:
        async with self._transaction() as connection:
            await do(connection, f"DROP SCHEMA IF EXISTS {schema(company_id)} CASCADE")

    async def export(self, table: ContactTable, wanted: Wanted) -> AsyncGenerator[Sequence[Contact], None]:
        reading = Reading(TONGUE, table)
        statement = reading.export(wanted)
        async with self._exports, self._alone(_READING) as connection:
            await do(connection, *_UNHURRIED)
            await _same(connection, table)
            async with psycopg.AsyncRawServerCursor(connection, "export") as rows:
                await rows.execute(statement.text.encode(), statement.values)
                while batch := await rows.fetchmany(_BATCH):
                    yield tuple(map(reading.contact, batch))

    async def examine(self, company_id: int, tables: Sequence[ContactTable]) -> tuple[str, ...]:
        async with self._transaction(_READING) as connection:
            if not await _made(connection, company_id):
                return tuple(f"The contact table {table.code} is not there." for table in tables if table.version)
            home, name = TONGUE.home(company_id, TABLES), schema(company_id)
            known = await all_of(connection, Statement(f"SELECT number, version FROM {home}"))  # noqa: S608 - ours
            there: dict[str, Made] = {}
            for table, columns, kinds in await all_of(connection, Statement(_COLUMNS, (name,))):
                there[table] = dict(zip(columns, kinds, strict=True)), set()
            found = []
            for table, index, valid in await all_of(connection, Statement(_INDEXES, (name,))):
                there[table][1].add(index)
                if not valid:
                    found.append(f"The index {index} of the contact table {table} is invalid; REINDEX it.")
            return (*found, *compared(kind_of, tables, dict(known), there, {TABLES}))

    async def close(self) -> None:
        """The pool is the records'."""

    # --- transactions ----------------------------------------------------------------------------

    async def _ask(self, table: ContactTable, statement: Statement) -> list[Any]:
        async with self._transaction(_READING) as connection:
            await _same(connection, table)
            return await all_of(connection, statement)

    @asynccontextmanager
    async def _transaction(self, begin: str = "BEGIN") -> AsyncIterator[Connection]:
        """Committed at the end, rolled back by an exception."""
        with _errors():
            async with self._pool.connection() as connection:
                try:
                    await do(connection, begin, _UTC)
                    yield connection
                    await do(connection, "COMMIT")
                finally:
                    await roll_back(connection)

    @asynccontextmanager
    async def _alone(self, begin: str) -> AsyncIterator[Connection]:
        """The same on a connection of its own, which ends with it."""
        with _errors():
            async with await connect(self._info) as connection:
                try:
                    await do(connection, begin, _UTC)
                    yield connection
                finally:
                    await roll_back(connection)


async def _made(connection: Connection, company_id: int) -> bool:
    return await is_there(connection, TONGUE.home(company_id, TABLES))


async def _same(connection: Connection, table: ContactTable, held: str = "") -> None:
    home = TONGUE.home(table.company_id, TABLES)
    statement = Statement(f"SELECT version FROM {home} WHERE number = $1 {held}", (table.number,))  # noqa: S608 - ours
    rows = await all_of(connection, statement) if await _made(connection, table.company_id) else []
    if not rows or rows[0][0] != table.version:
        raise Conflict(f"The table {table.code} has just been altered; ask again.")


async def _forget(connection: Connection, table: ContactTable, row: int) -> None:
    """What it was before loads changed it."""
    if not await is_there(connection, TONGUE.home(table.company_id, former.LOADS)):
        return
    for (load,) in await all_of(connection, former.undoable(TONGUE, table)):
        if await is_there(connection, TONGUE.home(table.company_id, former.undoing(load))):
            gone, left = former.emptying(TONGUE, table, load, row)
            if await run(connection, gone):
                await run(connection, left)


async def _remember(connection: Connection, table: ContactTable) -> None:
    statement = (
        f"INSERT INTO {TONGUE.home(table.company_id, TABLES)} (number, version, declared) VALUES ($1, $2, $3)"  # noqa: S608 - names are quoted
        " ON CONFLICT (number) DO UPDATE SET version = excluded.version, declared = excluded.declared"
    )
    await run(connection, Statement(statement, (table.number, table.version, declared(table))))


@contextmanager
def _errors() -> Iterator[None]:
    """What the core is told in place of the engine's own words."""
    try:
        yield
    except (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise Unavailable("table", retry_after=10) from error
    except errors.QueryCanceled as error:
        raise Unavailable("table", retry_after=60, why="it took longer than a minute") from error
    except errors.InsufficientPrivilege as error:
        why = f"{error.diag.message_primary}; make the role the owner of the database"
        raise Unavailable("contacts", retry_after=60, why=why) from error
    except psycopg.Error as error:
        refused = unavailable if isinstance(error, psycopg.InterfaceError) else refusal(error)
        if refused is None:
            raise
        raise refused() from error
