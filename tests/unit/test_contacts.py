"""Contact tables as use cases, on real records and real tables: what a crash between the two leaves is finished."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadingdock.adapters.contacts.reading.values import formats
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.core.administration import operator
from loadingdock.core.contactchanges import Change, ColumnChange
from loadingdock.core.contacts import Contacts
from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import AlreadyExists, Forbidden, InvalidInput, NotFound, StorageFull
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.records import Unit
from loadingdock.testing.clock import SetClock
from tests import sqlite

COLUMNS = (Column("NAME", max=80), Column("AGE", Kind.INTEGER))


class Crash(Exception):
    pass


class Failing(SqliteContacts):
    """Ends before or behind the next change of a table, if it is told to."""

    before: Exception | None = None
    behind: Exception | None = None

    async def create(self, table: ContactTable) -> None:
        await self._around(super().create(table))

    async def alter(self, table: ContactTable, was: ContactTable) -> None:
        await self._around(super().alter(table, was))

    async def _around(self, change: object) -> None:
        if self.before is not None:
            error, self.before = self.before, None
            change.close()  # type: ignore[attr-defined]  # a coroutine that nobody awaits
            raise error
        await change  # type: ignore[misc]
        if self.behind is not None:
            error, self.behind = self.behind, None
            raise error


@dataclass
class Desk:
    records: SqliteRecords
    store: Failing
    contacts: Contacts
    admin: Principal

    async def create(self, code: str = "people", columns: Sequence[Column] = COLUMNS) -> ContactTable:
        return await self.contacts.create(self.admin, code, columns, key=["NAME"])

    async def known(self, code: str = "people") -> ContactTable | None:
        return await self.records.read(self.admin.company.id, lambda unit: unit.tables.get(code))

    async def deeds(self) -> list[str]:
        async def work(unit: Unit) -> list[str]:
            return [row.action for row in (await unit.audit.list(limit=100)).items if row.subject == "people"]

        return await self.records.read(self.admin.company.id, work)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    records = sqlite.opened(tmp_path / "records.db")
    clock = SetClock(datetime(2026, 1, 2, tzinfo=UTC))
    company = await records.write(None, lambda unit: unit.companies.add("acme", "Acme", 4711, clock.now()))
    store = Failing(tmp_path / "contacts")
    yield Desk(records, store, Contacts(records, store, clock, readable=formats.compiled), operator(company))
    await store.close()
    await records.close()


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_a_table_that_was_only_declared_is_made_when_it_is_used(desk: Desk, when: str) -> None:
    setattr(desk.store, when, Crash())
    with pytest.raises(Crash):
        await desk.create()
    declared = await desk.known()
    assert declared is not None
    assert declared.version == 0
    assert await desk.contacts.examine() == ()
    table = await desk.contacts.table(desk.admin, "people")
    assert (table.version, table.columns) == (1, COLUMNS)
    assert await desk.known() == table
    assert await desk.contacts.count(desk.admin, table) == 0


async def test_a_table_that_could_not_be_made_may_be_declared_anew(desk: Desk) -> None:
    desk.store.before = StorageFull()
    with pytest.raises(StorageFull):
        await desk.create()
    table = await desk.create(columns=[Column("NAME", max=80), Column("OTHER")])
    assert [column.name for column in table.columns] == ["NAME", "OTHER"]
    with pytest.raises(AlreadyExists):
        await desk.create()


async def test_an_alteration_that_was_not_written_down_is_when_the_table_is_used(desk: Desk) -> None:
    was = await desk.create()
    change = Change(columns={"AGE": ColumnChange(name="YEARS")})
    desk.store.behind = Crash()
    with pytest.raises(Crash):
        await desk.contacts.alter(desk.admin, "people", change)
    assert await desk.known() == was
    assert await desk.contacts.examine() == ()
    (table,) = await desk.contacts.tables(desk.admin)
    assert [column.name for column in table.columns] == ["NAME", "YEARS"]
    assert await desk.known() == table


async def test_an_alteration_that_was_not_done_never_was(desk: Desk) -> None:
    was = await desk.create()
    desk.store.before = Crash()
    with pytest.raises(Crash):
        await desk.contacts.alter(desk.admin, "people", Change(added=(Column("MORE"),)))
    assert await desk.contacts.table(desk.admin, "people") == was
    table = await desk.contacts.alter(desk.admin, "people", Change(added=(Column("MORE"),)))
    assert table.version == 2


async def test_every_deed_is_written_down(desk: Desk) -> None:
    table = await desk.create()
    await desk.store.put(table, [Contact(1, ("Anna", 30))])
    table = await desk.contacts.alter(desk.admin, "people", Change(name="People"))
    assert [batch async for batch in desk.contacts.export(desk.admin, table, Wanted())]
    await desk.contacts.contact(desk.admin, table, ["Anna"])
    await desk.contacts.delete(desk.admin, table, ["Anna"])
    with pytest.raises(NotFound):
        await desk.contacts.delete(desk.admin, table, ["Anna"])
    deeds = ["table.create", "table.alter", "table.export", "contact.read", "contact.delete"]
    assert await desk.deeds() == deeds[::-1]


async def test_rights_are_asked_here_too(desk: Desk) -> None:
    table = await desk.create()

    def may(*permissions: str) -> Principal:
        return replace(desk.admin, permissions=frozenset(permissions))

    assert not (await desk.contacts.rows(may("contacts:read"), table, Wanted())).items
    for deed in (
        desk.contacts.rows(may("contacts:load"), table, Wanted()),
        desk.contacts.alter(may("contacts:read", "contacts:load"), "people", Change(name="x")),
        desk.contacts.create(may("contacts:load"), "x", COLUMNS),
        desk.contacts.delete(may("contacts:read"), table, ["Anna"]),
        desk.contacts.tables(may("files:read")),
    ):
        with pytest.raises(Forbidden):
            await deed


async def test_formats_are_those_that_files_are_read_by(desk: Desk) -> None:
    for wrong in ("%d.%m.%Y", "DD.MM", "DD/DD/YYYY"):
        with pytest.raises(InvalidInput) as refused:
            await desk.create(columns=[Column("NAME", max=9), Column("BORN", Kind.DATE, formats=(wrong,))])
        assert refused.value.field == "BORN"
