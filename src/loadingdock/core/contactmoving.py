"""Contact tables on their way to another database: each is copied whole, with what undoes imports, read back and
compared."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import Conflict
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.ports.contacts import ContactStore, Piece
from loadingdock.core.ports.records import Records, Unit


class TableCarrier:
    """From `here` to `there`, those that `records` know. Nobody begins to change one meanwhile; of what somebody had
    begun all is brought or nothing, for each is as it was at one moment. There is nobody's yet: the records do not
    get there before."""

    def __init__(self, records: Records, here: ContactStore, there: ContactStore | None) -> None:
        self._records = records
        self._here = here
        self._there = there

    async def count(self) -> int:
        """Contacts in all tables."""
        return sum([await self._here.count(table, Wanted()) async for table in self._tables()])

    async def undoable(self) -> int:
        """Imports that can be taken back."""
        return sum([await self._here.undoable(table) async for table in self._tables()])

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
            async with aclosing(self._here.copy(whole)) as pieces:
                async for piece in pieces:
                    sent.add(piece)
                    if piece.contacts:
                        await self._there.put(whole, piece.contacts)
                        told(len(piece.contacts))
                    if piece.loads:
                        await self._there.keep(whole, piece)
            async with aclosing(self._there.copy(whole)) as pieces:
                async for piece in pieces:
                    arrived.add(piece)
            if sent.value() != arrived.value():
                raise Conflict(
                    f"Of the contact table {table.code} {arrived.contacts} contacts arrived, and {sent.contacts} were"
                    " sent, or their content differs, or what imports can be undone by."
                )
            total += sent.contacts
        return total

    async def _tables(self) -> AsyncIterator[ContactTable]:
        """As they are. One that was only declared is made at the destination when it is used."""
        for company in await self._records.read(None, lambda unit: unit.companies.list()):
            for known in await self._records.read(company.id, _list):
                if (table := (await self._here.standing(company.id, known.number)).get(known.number)) is not None:
                    yield table


class _Digest:
    def __init__(self) -> None:
        self.contacts = 0
        self._sha256 = hashlib.sha256()

    def add(self, piece: Piece) -> None:
        for one in (*piece.contacts, *piece.loads, *piece.former):
            self._sha256.update(repr(one).encode())
        self.contacts += len(piece.contacts)

    def value(self) -> tuple[int, str]:
        return self.contacts, self._sha256.hexdigest()


async def _list(unit: Unit) -> tuple[ContactTable, ...]:
    return await unit.tables.list()
