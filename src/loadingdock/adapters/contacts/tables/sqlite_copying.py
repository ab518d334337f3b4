"""A contact table in SQLite copied whole, and a copy made."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import apsw

from loadingdock.adapters.contacts.tables import former
from loadingdock.adapters.contacts.tables.copying import FormerRows, Loads
from loadingdock.adapters.contacts.tables.former import LOADS, making_loads
from loadingdock.adapters.contacts.tables.sqlite_tongue import TONGUE
from loadingdock.adapters.contacts.tables.statements import Reading
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.ports.contacts import PIECE, KeptLoad, Piece


def pieces(connection: apsw.Connection, table: ContactTable) -> Iterator[Piece]:
    """As `ContactStore.copy`; the connection has begun to read."""
    reading = Reading(TONGUE, table)
    contacts: Iterator[Any] = iter(connection.execute(reading.copy().text))
    while some := tuple(map(reading.copied, islice(contacts, PIECE))):
        yield Piece(contacts=some)
    if not (columns := _columns(connection)):
        return
    said = Loads(TONGUE, table).all(columns)
    found: list[Any] = connection.execute(said.text, said.values).fetchall()
    loads = [KeptLoad(*row) for row in found]
    for start in range(0, len(loads), PIECE):
        yield Piece(loads=tuple(loads[start : start + PIECE]))
    for load in loads:
        rows = FormerRows(TONGUE, table, load)
        if rows.there:
            kept: Iterator[Any] = iter(connection.execute(rows.all()))
            while were := tuple(map(rows.row, islice(kept, PIECE))):
                yield Piece(loads=(load,), former=were)


def keep(connection: apsw.Connection, table: ContactTable, piece: Piece) -> None:
    """As `ContactStore.keep`."""
    for statement in making_loads(TONGUE.home(table.company_id, LOADS), _columns(connection)):
        connection.execute(statement)
    loads = Loads(TONGUE, table)
    for load in piece.loads:
        rows = FormerRows(TONGUE, table, load)
        said = loads.known(load)
        if not connection.execute(said.text, said.values).fetchall():
            said = loads.put(load)
            connection.execute(said.text, said.values)
            if rows.there:
                connection.execute(rows.making())
            _count_on(connection, table, load)
        if piece.former:
            connection.executemany(rows.put(), map(rows.kept, piece.former))


def undoable(connection: apsw.Connection, table: ContactTable) -> list[int]:
    """The loads that can be taken back."""
    if not _columns(connection):
        return []
    said = former.undoable(TONGUE, table)
    return [int(str(number)) for (number,) in connection.execute(said.text, said.values)]


def _count_on(connection: apsw.Connection, table: ContactTable, load: KeptLoad) -> None:
    """SQLite's own note of the largest number that there ever was: https://sqlite.org/autoinc.html"""
    if load.upto is not None:
        connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (load.upto, table.code))
        if not connection.changes():
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.code, load.upto))


def _columns(connection: apsw.Connection) -> set[str]:
    """Of LOADS; none if it is not there."""
    return {str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (LOADS,))}
