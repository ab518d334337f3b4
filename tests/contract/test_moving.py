"""Both databases of a move: every table goes, in every direction, and a sealed one takes no change from anybody."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loadingdock.adapters.contacts.loading.loader import Loader
from loadingdock.adapters.contacts.loading.postgres import PostgresLoader
from loadingdock.adapters.contacts.loading.sqlite import SqliteLoader
from loadingdock.adapters.moving.postgres import PostgresDatabase
from loadingdock.adapters.moving.rows import DatabaseRows
from loadingdock.adapters.moving.sqlite import SqliteDatabase
from loadingdock.adapters.moving.tables import Database, Row, Session, Table, Value, ordered, rows
from loadingdock.adapters.records.postgres.connection import conninfo
from loadingdock.adapters.records.queries import migrations
from loadingdock.bootstrap import CONTACTS, System, system
from loadingdock.core.contactmoving import TableCarrier
from loadingdock.core.errors import Conflict, Sealed
from loadingdock.core.loading import Counts, Ending, Load, Operation, Undone
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.moving import Seal
from loadingdock.core.ports.contacts import PIECE, ContactStore, Piece
from loadingdock.core.ports.records import Unit
from loadingdock.settings import Settings
from loadingdock.testing.contacts.load_material import Told
from loadingdock.testing.contacts.material import EVERY, ROWS, a_table, exported, filled
from loadingdock.testing.records.imports import an_import
from loadingdock.testing.records.reports import a_row
from tests.contract.batches import batch_of
from tests.engines.postgres import postgres

__all__ = ["postgres"]

NOW = datetime(2026, 11, 22, 5, 17, tzinfo=UTC)
SEALED = "loadingdock is sealed|being moved"  # by the engine's own words, or in the core's
SEAL = Seal("0" * 16, "somewhere else", "")
ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.engine("postgres"))]


class Place:
    """An empty database, the settings that name it, and its side of a move."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    def make(engine: str) -> Place:
        data = tmp_path / f"place{len(list(tmp_path.iterdir()))}"
        data.mkdir()
        if engine == "sqlite":
            return Place(Settings(data=data), SqliteDatabase(data / "loadingdock.sqlite3"))
        url = request.getfixturevalue("postgres").database()
        return Place(Settings(data=data, database_url=url), PostgresDatabase(url))

    return make


@pytest.fixture(params=ENGINES)
def source(request: pytest.FixtureRequest, place: Callable[[str], Place]) -> Place:
    return place(request.param)


@pytest.fixture(params=ENGINES)
def target(request: pytest.FixtureRequest, place: Callable[[str], Place]) -> Place:
    return place(request.param)


@asynccontextmanager
async def furnished(place: Place) -> AsyncIterator[tuple[System, Company]]:
    """Values of every kind: none, texts beyond the basic plane, bytes, the largest number."""
    async with system(place.settings) as opened:
        company = await opened.services.administration.add_company("acme", name="Ä 漢字 \U0001f4e6 \\N")

        async def work(unit: Unit) -> None:
            await unit.events.add(NOW, "kind", "subject", {"n": 2**63 - 1, "s": "\x7f\u2028"})
            await unit.idempotency.begin("\\N \\\t\r\n", "fingerprint", NOW)

        await opened.records.write(company.id, work)
        yield opened, company


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


def content(database: Database) -> dict[str, list[dict[str, Value]]]:
    with database.reading() as session:
        return {
            table.name: [dict_of(table, row) for row in rows(session, table, 2**62)]
            for table in ordered(session.tables())
        }


def dict_of(table: Table, row: Row) -> dict[str, Value]:
    """Columns may stand in another order in the other database."""
    return dict(zip(table.columns, row, strict=True))


async def test_the_tables_are_those_of_the_schema(source: Place) -> None:
    await asyncio.to_thread(source.database.migrate)
    with source.database.reading() as session:
        names = [table.name for table in ordered(session.tables())]
        made = {name for _, text in migrations() for name in re.findall(r"^CREATE TABLE (\w+)", text, re.MULTILINE)}
        assert set(names) == made
        for table in session.tables():
            assert all(names.index(parent) < names.index(table.name) for parent in table.parents), table
        serials = {table.name for table in session.tables() if table.serial}
        assert serials == {"companies", "audit", "events", "contact_tables", "imports"}


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
        assert await there.contacts.standing(company.id, table.number) == table
        assert await exported(there.contacts, whole) == await exported(opened.contacts, whole)
        assert await there.contacts.examine(company.id, [table]) == ()
        await there.contacts.remove(company.id)
        assert await there.contacts.standing(company.id, table.number) is None


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


async def test_every_row_arrives_and_numbers_go_on(source: Place, target: Place) -> None:
    async with furnished(source) as (opened, company):

        async def load(unit: Unit) -> ContactTable:
            table = await unit.tables.add(a_table(*EVERY, company=company.id))
            imported = await unit.imports.add(an_import(table))
            await unit.imports.add_rows(imported.number, [a_row(1, raw="\0 漢 \udcff")])
            return table

        table = await opened.records.write(company.id, load)
        moved = DatabaseRows(source.database, target.database)
        await moved.check(None)
        before = content(source.database)
        seal = await moved.seal(SEAL)
        heard: list[int] = []
        crossed = await moved.cross(seal, begin_again=False, told=heard.append)
        await moved.close(seal)
    assert content(target.database) == before
    assert {name: len(found) for name, found in before.items()} == dict(crossed.rows)
    assert sum(heard) == sum(crossed.rows.values())
    async with system(target.settings) as opened:
        other = await opened.services.administration.add_company("other")
        assert other.id == 2
        imported = await opened.records.write(company.id, lambda unit: unit.imports.add(an_import(table)))
        assert (imported.number, imported.turn) == (2, 2)
        assert not await opened.records.sealed()
    newest = content(target.database)["audit"]
    assert len({row["seq"] for row in newest}) == len(newest) > len(before["audit"])


async def test_a_sealed_database_takes_no_change(source: Place) -> None:
    async with furnished(source) as (opened, company):
        records = opened.records
        moved = DatabaseRows(source.database, None)
        assert await records.sealed() == ""
        await moved.seal(SEAL)
        assert await records.sealed() == "somewhere else"
        before = content(source.database)
        with source.database.reading() as session:
            tables = session.tables()
        for table in tables:
            if table.name == "audit":
                continue
            column = table.columns[0]
            deeds = [f"INSERT INTO {table.name} ({column}) VALUES (NULL)"]
            if before[table.name]:
                deeds += [f"DELETE FROM {table.name}", f"UPDATE {table.name} SET {column} = {column}"]
            for deed in deeds:
                with pytest.raises(Exception, match=SEALED), source.database.writing() as session:
                    session.ask(deed)
        with pytest.raises(Sealed, match="can be read"):
            await opened.services.administration.add_company("other")
        assert not await opened.queue.claim("worker", lease=opened.settings.lease, limit=1, cap=1, now=NOW), (
            "a look for jobs where there are none changes nothing"
        )
        with pytest.raises(Sealed):
            await opened.queue.due("expire", opened.settings.sweep_every, NOW)
        assert content(source.database) == before

        async def note(unit: Unit) -> Company | None:
            await unit.audit.add(AuditEntry(NOW, company.id, "user:anna", "download", "file", "ok"))
            return await unit.companies.by_id(company.id)

        assert (await records.write(company.id, note)) == company, "what is read is written down"
        await moved.unseal(begin_again=False)
        assert await records.sealed() == ""
        await opened.services.administration.add_company("other")


async def test_a_seal_outlives_and_is_set_once(source: Place) -> None:
    await asyncio.to_thread(source.database.migrate)
    moved = DatabaseRows(source.database, None)
    first = await moved.seal(SEAL)
    assert await moved.seal(Seal("1" * 16, "elsewhere", "")) == first == await moved.sealed()
    await moved.close(first)
    again = await DatabaseRows(source.database, None).sealed()
    assert again is not None
    assert again.moved
    await moved.unseal(begin_again=False)
    assert await moved.sealed() is None
    await moved.seal(SEAL)
    await moved.unseal(begin_again=False)


async def test_a_table_of_a_later_migration_goes_too(source: Place, target: Place) -> None:
    for one in (source, target):
        await asyncio.to_thread(one.database.migrate)
        with one.database.writing() as session:
            session.ask("CREATE TABLE later (id BIGINT PRIMARY KEY, company_id BIGINT REFERENCES companies (id))")
    async with furnished(source) as (_, company):
        with source.database.writing() as session:
            session.ask("INSERT INTO later VALUES (7, ?)", company.id)
        moved = DatabaseRows(source.database, target.database)
        seal = await moved.seal(SEAL)
        with pytest.raises(Exception, match=SEALED), source.database.writing() as session:
            session.ask("INSERT INTO later VALUES (8, ?)", company.id)
        crossed = await moved.cross(seal, begin_again=False, told=lambda _: None)
    assert crossed.rows["later"] == 1
    assert content(target.database)["later"] == [{"id": 7, "company_id": company.id}]


async def test_where_something_is_already_nothing_is_brought(source: Place, target: Place) -> None:
    async with furnished(target):
        pass
    async with furnished(source):
        with pytest.raises(Conflict, match="is not empty"):
            await DatabaseRows(source.database, target.database).check(None)


async def test_what_arrived_is_not_brought_again_and_the_log_follows_once(source: Place, target: Place) -> None:
    async with furnished(source) as (opened, company):
        moved = DatabaseRows(source.database, target.database)
        seal = await moved.seal(SEAL)
        first = await moved.cross(seal, begin_again=False, told=lambda _: None)
        await moved.check(seal.id)

        async def note(unit: Unit) -> None:
            await unit.audit.add(AuditEntry(NOW, company.id, "user:anna", "download", "late", "ok"))

        await opened.records.write(company.id, note)
        assert await moved.cross(seal, begin_again=False, told=lambda _: None) == first
        assert await moved.follow(seal) == 1
        assert await moved.follow(seal) == 0
        await opened.records.write(company.id, note)
        assert await moved.follow(seal) == 1
    late = [row for row in content(target.database)["audit"] if row["subject"] == "late"]
    assert len(late) == 2


class _Losing:
    """A database that loses the last row of a table as it arrives."""

    def __init__(self, database: Database, table: str) -> None:
        self.place = database.place
        self._database = database
        self._table = table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self._database.writing() as session:
            load = session.load

            def losing(table: Table, rows: Iterable[Row]) -> None:
                kept = list(rows)
                load(table, kept[:-1] if table.name == self._table else kept)

            session.load = losing
            yield session


async def test_a_row_that_is_lost_on_its_way_is_noticed(source: Place, target: Place) -> None:
    async with furnished(source):
        moved = DatabaseRows(source.database, _Losing(target.database, "idempotency"))  # type: ignore[arg-type]
        seal = await moved.seal(SEAL)
        with pytest.raises(Conflict, match="idempotency"):
            await moved.cross(seal, begin_again=False, told=lambda _: None)
    assert not any(content(target.database).values())
