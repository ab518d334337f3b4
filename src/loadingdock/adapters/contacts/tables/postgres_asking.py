"""Statements sent on a connection, whose parameters are written `$1`."""

from __future__ import annotations

from typing import Any

import psycopg

from loadingdock.adapters.contacts.tables.statements import Statement
from loadingdock.adapters.records.postgres.connection import Connection


async def do(connection: Connection, *statements: str) -> None:
    for statement in statements:
        await connection.execute(statement.encode(), prepare=False)


async def run(connection: Connection, statement: Statement) -> int:
    """The number of rows it was about."""
    cursor = psycopg.AsyncRawCursor(connection)
    await cursor.execute(statement.text.encode(), statement.values, prepare=False)
    return cursor.rowcount


async def all_of(connection: Connection, statement: Statement) -> list[Any]:
    cursor = psycopg.AsyncRawCursor(connection)
    await cursor.execute(statement.text.encode(), statement.values, prepare=False)
    return await cursor.fetchall()


async def is_there(connection: Connection, home: str) -> bool:
    return bool((await all_of(connection, Statement("SELECT to_regclass($1) IS NOT NULL", (home,))))[0][0])
