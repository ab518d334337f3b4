"""Both databases of a move: every table goes, in every direction, and a sealed one takes no change from anybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from loadingdock.adapters.moving.rows import DatabaseRows
from loadingdock.adapters.moving.tables import Database, Row, Session, Table, Value, ordered, rows
from loadingdock.adapters.records.queries import migrations
from loadingdock.bootstrap import system
from loadingdock.core.errors import Conflict, Sealed
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.moving import Seal
from loadingdock.core.ports.records import Unit
from loadingdock.testing.contacts.material import EVERY, a_table
from loadingdock.testing.records.imports import an_import
from loadingdock.testing.records.reports import a_row
from tests.contract.movingplaces import NOW, Place, furnished, place, source, target
from tests.engines.postgres import postgres

__all__ = ["place", "postgres", "source", "target"]

SEALED = "loadingdock is sealed|being moved"  # by the engine's own words, or in the core's
SEAL = Seal("0" * 16, "somewhere else", "")


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
