"""Contact tables on their way from one database to another, with what imports are undone by."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from loadingdock.adapters.contacts.loading.loader import Loader
from loadingdock.adapters.contacts.loading.postgres import PostgresLoader
from loadingdock.adapters.contacts.loading.sqlite import SqliteLoader
from loadingdock.adapters.moving.sqlite import SqliteDatabase
from loadingdock.adapters.records.postgres.connection import conninfo
from loadingdock.bootstrap import CONTACTS, system
from loadingdock.core.contactmoving import TableCarrier
from loadingdock.core.errors import Conflict
from loadingdock.core.loading import Counts, Ending, Load, Operation, Undone
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind
from loadingdock.core.ports.contacts import PIECE, ContactStore, Piece
from loadingdock.testing.contacts.load_material import Told
from loadingdock.testing.contacts.material import EVERY, ROWS, a_table, exported, filled
from tests.contract.batches import batch_of
from tests.contract.movingplaces import NOW, Place, furnished, place, source, target
from tests.engines.postgres import postgres

__all__ = ["place", "postgres", "source", "target"]


def loader_at(place: Place) -> Loader:
    """Which opens SQLite's file by a library of its own; nobody else has it open meanwhile."""
    if isinstance(place.database, SqliteDatabase):
        return SqliteLoader(place.settings.data / CONTACTS)
    assert place.settings.database_url is not None
    return PostgresLoader(conninfo(place.settings.database_url.get_secret_value()))


def loads(loader: Loader, load: Load, records: Sequence[Sequence[Any]]) -> None:
    columns = [load.table.column(name) for name in load.columns]
    batch = batch_of(columns, [tuple(record) for record in records], range(1, len(records) + 1))
    assert loader.load(load, lambda: [batch], Told()).ending is Ending.COMMITTED


def make_older(place: Place, company: Company) -> None:
    """As a table of loads was made before undos were remembered."""
    alter = "ALTER TABLE {} DROP COLUMN undone"
    if isinstance(place.database, SqliteDatabase):
        with closing(sqlite3.connect(place.settings.data / CONTACTS / f"{company.id}.sqlite")) as connection:
            connection.execute(alter.format("_dock_loads"))
    else:
        with place.database.writing() as session:
            session.ask(alter.format(f"contacts_{company.id}._dock_loads"))


async def test_contact_tables_arrive(source: Place, target: Place) -> None:
    """Their numbers, what is retired and all values, over what an attempt before has left."""
    async with furnished(source) as (opened, company), system(target.settings) as there:
        table = a_table(*EVERY, company=company.id, code='x"); DROP', key=("NAME", "AGE"))
        table = replace(table, columns=(replace(table.columns[0], retired_at=NOW), *table.columns[1:]))
        table = await opened.records.write(company.id, lambda unit: unit.tables.add(table))
        await filled(there.contacts, replace(table, code="half"), [row[1:] for row in ROWS])
        await filled(opened.contacts, table, [row[1:] for row in ROWS])
        whole = replace(table, columns=EVERY)
        more = [Contact(10 + place, row) for place, row in enumerate(ROWS) if row[1] is None]
        await opened.contacts.put(whole, more)
        carrier = TableCarrier(opened.records, opened.contacts, there.contacts)
        heard: list[int] = []
        assert await carrier.count() == await carrier.cross(heard.append) == sum(heard) == len(ROWS) + len(more)
        assert await there.contacts.standing(company.id, table.number) == {table.number: table}
        assert await exported(there.contacts, whole) == await exported(opened.contacts, whole)
        assert await there.contacts.examine(company.id, [table]) == ()
        await there.contacts.remove(company.id)
        assert await there.contacts.standing(company.id, table.number) == {}


async def test_an_import_is_undone_where_its_table_has_arrived(source: Place, target: Place) -> None:
    """As it would have been where it was loaded: of every kind of value, altered and deleted since, with more rows than
    a piece of the copy has. Then back, where what the undo did is known."""
    async with furnished(source) as (opened, company), system(target.settings) as there:
        table = a_table(Column("N", Kind.INTEGER), *EVERY, company=company.id, key=("N",))
        table = await opened.records.write(company.id, lambda unit: unit.tables.add(table))
        names, many = [column.name for column in table.columns], PIECE + 10
        rows = [(n, *ROWS[n % len(ROWS)]) for n in range(many)]
        put = await filled(opened.contacts, table, rows)
        before, load = loader_at(source), partial(Load, table, operation=Operation.UPDINS, key=("N",))
        first = load(number=1, columns=tuple(names))
        await asyncio.to_thread(loads, before, first, [(n, *ROWS[(n + 1) % len(ROWS)]) for n in range(many + 20)])
        since = load(number=2, columns=("N", "NAME"))
        await asyncio.to_thread(loads, before, since, [(n, "since") for n in (3, many + 3)])
        gone = load(number=3, columns=("N",))
        await asyncio.to_thread(loads, before, gone, [(many + 20,)])
        last = await opened.contacts.find(table, (many + 20,))
        assert last is not None
        for row in (put[4].row, last.row):
            await opened.contacts.delete(table, row)
        forgotten = load(number=4, columns=("N",), undoable=False)
        await asyncio.to_thread(loads, before, forgotten, [(0,)])

        carrier = TableCarrier(opened.records, opened.contacts, there.contacts)
        assert await carrier.undoable() == 3
        assert await carrier.cross(lambda _: None) == many + 19
        assert await there.contacts.undoable(table) == 3
        assert await exported(there.contacts, table) == await exported(opened.contacts, table)
        after = loader_at(target)
        later = load(number=5, columns=("N",))
        await asyncio.to_thread(loads, after, later, [(many + 20,)])
        new = await there.contacts.find(table, (many + 20,))
        assert new is not None
        assert new.row > last.row, "nobody has the number of one that is gone"
        assert await asyncio.to_thread(after.committed, table, 4) == Counts(unchanged=1)
        assert await asyncio.to_thread(after.undo, table, 3) == Undone(0, 0, ())
        assert await there.contacts.find(table, (many + 20,)) == new
        undone = await asyncio.to_thread(before.undo, table, 1)
        assert (undone.removed, undone.restored) == (19, many - 2)
        assert [(each.key, each.why) for each in undone.conflicts] == [
            ((3,), "changed"),
            ((), "gone"),
            ((many + 3,), "changed"),
        ]
        assert await asyncio.to_thread(after.undo, table, 1) == undone
        assert [each for each in await exported(there.contacts, table) if each != new] == (
            await exported(opened.contacts, table)
        )
        await asyncio.to_thread(after.undo, table, 2)

        back = TableCarrier(opened.records, there.contacts, opened.contacts)
        assert await back.undoable() == 1
        assert await back.cross(lambda _: None) == many + 1
        assert await asyncio.to_thread(before.undo, table, 1) == undone
        assert await opened.contacts.examine(company.id, [table]) == ()


async def test_what_an_earlier_version_kept_arrives(source: Place, target: Place) -> None:
    """Of a column that was altered since, too; and what is not kept any more is not made up."""
    async with furnished(source) as (opened, company), system(target.settings) as there:
        number = Column("N", Kind.DECIMAL, precision=6, scale=1)
        table = a_table(Column("A"), number, company=company.id, key=("A",))
        table = await opened.records.write(company.id, lambda unit: unit.tables.add(table))
        await filled(opened.contacts, table, [("a", Decimal("1.5"))])
        load = Load(table, 1, Operation.UPDINS, ("A", "N"), ("A",))
        await asyncio.to_thread(loads, loader_at(source), load, [("a", Decimal("99999.9")), ("b", None)])
        await asyncio.to_thread(make_older, source, company)
        wider = replace(table, version=2, columns=(table.columns[0], replace(number, precision=8, scale=2)))
        await opened.contacts.alter(wider, table)
        carrier = TableCarrier(opened.records, opened.contacts, there.contacts)
        assert await carrier.cross(lambda _: None) == 2
        undone = await asyncio.to_thread(loader_at(target).undo, wider, 1)
        assert undone == await asyncio.to_thread(loader_at(source).undo, wider, 1)
        assert (undone.removed, undone.restored, len(undone.conflicts)) == (1, 0, 1)


class _Forgetful:
    """A store that loses the last of what rows were as it arrives."""

    def __init__(self, contacts: ContactStore) -> None:
        self._contacts = contacts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._contacts, name)

    async def keep(self, table: ContactTable, piece: Piece) -> None:
        await self._contacts.keep(table, replace(piece, former=piece.former[:-1]))


async def test_what_is_lost_of_rows_as_they_were_is_noticed(source: Place, target: Place) -> None:
    async with furnished(source) as (opened, company), system(target.settings) as there:
        table = a_table(Column("A"), Column("B"), company=company.id, key=("A",))
        table = await opened.records.write(company.id, lambda unit: unit.tables.add(table))
        await filled(opened.contacts, table, [("a", "old"), ("b", "old")])
        load = Load(table, 1, Operation.UPALL, ("A", "B"), ("A",))
        await asyncio.to_thread(loads, loader_at(source), load, [("a", "new"), ("b", "new")])
        losing: Any = _Forgetful(there.contacts)
        with pytest.raises(Conflict, match="can be undone by"):
            await TableCarrier(opened.records, opened.contacts, losing).cross(lambda _: None)
