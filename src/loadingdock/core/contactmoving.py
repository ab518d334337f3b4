"""Contact tables on their way to another database: each is copied whole, read back and compared."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import Conflict
from loadingdock.core.model.contacts import Contact, ContactTable
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.records import Records, Unit

_BATCH = 5000  # contacts in one transaction of the destination


class TableCarrier:
    """From `here` to `there`, those that `records` know. Nobody changes any of them meanwhile, and there is nobody's
    yet: the records do not get there before."""

    def __init__(self, records: Records, here: ContactStore, there: ContactStore | None) -> None:
        self._records = records
        self._here = here
        self._there = there

    async def count(self) -> int:
        """Contacts in all tables."""
        return sum([await self._here.count(table, Wanted()) async for table in self._tables()])

    async def cross(self, told: Callable[[int], None]) -> int:
        """Brings all of them; how many there were. What an attempt before has left there is removed first. Raises
        Conflict where other ones arrived. `told` hears of contacts brought."""
        assert self._there is not None, "somebody only looks"
        for company in await self._records.read(None, lambda unit: unit.companies.list()):
            await self._there.remove(company.id)
        total = 0
        async for table in self._tables():
            await self._there.create(table)
            # With what is retired: it is kept, and goes too.
            whole = replace(table, columns=tuple(replace(column, retired_at=None) for column in table.columns))
            sent, arrived = _Digest(), _Digest()
            batch: list[Contact] = []
            async for contacts in self._here.export(whole, Wanted()):
                sent.add(contacts)
                batch += contacts
                if len(batch) >= _BATCH:
                    await self._there.put(whole, batch)
                    told(len(batch))
                    batch = []
            await self._there.put(whole, batch)
            told(len(batch))
            async for contacts in self._there.export(whole, Wanted()):
                arrived.add(contacts)
            if sent.value() != arrived.value():
                raise Conflict(
                    f"Of the contact table {table.code} {arrived.rows} contacts arrived, and {sent.rows} were sent, or"
                    " their content differs."
                )
            total += sent.rows
        return total

    async def _tables(self) -> AsyncIterator[ContactTable]:
        """As they are. One that was only declared is made at the destination when it is used."""
        for company in await self._records.read(None, lambda unit: unit.companies.list()):
            for known in await self._records.read(company.id, _list):
                if (table := await self._here.standing(company.id, known.number)) is not None:
                    yield table


class _Digest:
    def __init__(self) -> None:
        self.rows = 0
        self._sha256 = hashlib.sha256()

    def add(self, contacts: Sequence[Contact]) -> None:
        for contact in contacts:
            self._sha256.update(repr((contact.row, contact.values)).encode())
        self.rows += len(contacts)

    def value(self) -> tuple[int, str]:
        return self.rows, self._sha256.hexdigest()


async def _list(unit: Unit) -> tuple[ContactTable, ...]:
    return await unit.tables.list()
