"""A contact table in PostgreSQL copied whole, and a copy made."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import psycopg

from loadingdock.adapters.contacts.tables.copying import FormerRows, Loads
from loadingdock.adapters.contacts.tables.former import LOADS, making_loads
from loadingdock.adapters.contacts.tables.postgres_asking import all_of, do, run
from loadingdock.adapters.contacts.tables.postgres_tongue import TONGUE
from loadingdock.adapters.contacts.tables.statements import Reading, Statement
from loadingdock.adapters.records.postgres.connection import Connection
from loadingdock.core.model.contacts import ROW, ContactTable
from loadingdock.core.ports.contacts import PIECE, KeptLoad, Piece

_COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0"
_COUNT_ON = """
SELECT setval(pg_get_serial_sequence($1, $2), greatest(nextval(pg_get_serial_sequence($1, $2)), $3::bigint + 1), false)
"""


async def pieces(connection: Connection, table: ContactTable) -> AsyncGenerator[Piece, None]:
    """As `ContactStore.copy`; the connection reads one moment."""
    reading = Reading(TONGUE, table)
    async with psycopg.AsyncRawServerCursor(connection, "copied") as cursor:
        await cursor.execute(reading.copy().text.encode())
        while contacts := await cursor.fetchmany(PIECE):
            yield Piece(contacts=tuple(map(reading.copied, contacts)))
    if not (columns := await _columns(connection, table)):
        return
    loads = [KeptLoad(*row) for row in await all_of(connection, Loads(TONGUE, table).all(columns))]
    for start in range(0, len(loads), PIECE):
        yield Piece(loads=tuple(loads[start : start + PIECE]))
    for load in loads:
        rows = FormerRows(TONGUE, table, load)
        if rows.there:
            async with psycopg.AsyncRawServerCursor(connection, "copied") as cursor:
                await cursor.execute(rows.all().encode())
                while former := await cursor.fetchmany(PIECE):
                    yield Piece(loads=(load,), former=tuple(map(rows.row, former)))


async def keep(connection: Connection, table: ContactTable, piece: Piece) -> None:
    """As `ContactStore.keep`."""
    await do(connection, *making_loads(TONGUE.home(table.company_id, LOADS), await _columns(connection, table)))
    loads, home = Loads(TONGUE, table), TONGUE.home(table.company_id, table.code)
    for load in piece.loads:
        rows = FormerRows(TONGUE, table, load)
        if not await all_of(connection, loads.known(load)):
            await run(connection, loads.put(load))
            if rows.there:
                await do(connection, rows.making())
            if load.upto is not None:
                await run(connection, Statement(_COUNT_ON, (home, ROW, load.upto)))
        if piece.former:
            await psycopg.AsyncRawCursor(connection).executemany(
                rows.put().encode(), list(map(rows.kept, piece.former))
            )


async def _columns(connection: Connection, table: ContactTable) -> set[str]:
    """Of LOADS; none if it is not there."""
    home = TONGUE.home(table.company_id, LOADS)
    return {name for (name,) in await all_of(connection, Statement(_COLUMNS, (home,)))}
