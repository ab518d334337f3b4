"""What the records know of contact tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadingdock.core.errors import AlreadyExists
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, NOW, Store, StoreContract, new_id

COLUMNS = (
    Column("EMAIL", Kind.EMAIL, required=True, unique=True),
    Column("Größe", Kind.TEXT, max=80, retired_at=NOW),
    Column('x"); DROP TABLE contact_tables', Kind.DECIMAL, precision=10, scale=2, comma=True),
    Column("BORN", Kind.DATE, formats=("DD/MM/YYYY", "YYYY-MM-DD")),
    Column("CALL", Kind.PHONE, region="DE"),
    Column("SEEN", Kind.DATETIME, zone="Europe/Berlin"),
)


def a_table(company: Company, code: str | None = None, **fields: Any) -> ContactTable:
    plain = ContactTable(company.id, 0, code or new_id(), "A list", COLUMNS, ("EMAIL",), None, False, NOW, NOW)
    return replace(plain, **fields)


class TableContract(StoreContract):
    async def declare(self, store: Store, company: Company, **fields: Any) -> ContactTable:
        return await store.write(company, lambda unit: unit.tables.add(a_table(company, **fields)))

    async def test_a_table_is_kept_as_it_was_declared(self, store: Store, company: Company) -> None:
        wanted = a_table(company, "Kunden Ü", region="DE", ignore_empty=True)
        added = await store.write(company, lambda unit: unit.tables.add(wanted))
        assert added == replace(wanted, number=added.number)

        async def found(unit: Unit) -> list[ContactTable | None]:
            return [await unit.tables.get(code) for code in ("kunden ü", "KUNDEN U\u0308", "Kunden")]

        assert await store.read(company, found) == [added, added, None]

    async def test_numbers_count_up_in_the_installation(self, store: Store, company: Company) -> None:
        other = await store.company("globex")
        first = await self.declare(store, company, code="one")
        with pytest.raises(AlreadyExists):
            await self.declare(store, company, code="ONE")
        second = await self.declare(store, other, code="one")
        third = await self.declare(store, company, code="two")
        assert [first.number, second.number, third.number] == [1, 2, 3]
        assert await store.read(company, lambda unit: unit.tables.list()) == (first, third)

    async def test_a_change_counts_only_on_what_it_was_made_of(self, store: Store, company: Company) -> None:
        table = await self.declare(store, company)
        changed = replace(
            table,
            name="Other",
            columns=COLUMNS[2:],
            key=(),
            region="FR",
            ignore_empty=True,
            changed_at=NOW + HOUR,
            version=1,
        )
        assert await store.write(company, lambda unit: unit.tables.save(changed, was=0))
        assert not await store.write(company, lambda unit: unit.tables.save(replace(table, version=2), was=0))
        assert await store.read(company, lambda unit: unit.tables.get(table.code)) == changed
