"""The queues of tables, and what is asked of all companies' imports."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import APPLIED, Import, ImportState
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.imports import Importing, an_import
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SECOND, SOON, Store


class _Undo(Exception):
    pass


class QueueContract(Importing):
    async def test_turns_are_in_order_of_arrival(self, store: Store, company: Company, table: ContactTable) -> None:
        second = await self.new_table(store, company)
        elsewhere = await self.submit(store, second)
        one, two, three = [await self.submit(store, table) for _ in range(3)]

        async def order(table: ContactTable = table) -> list[int]:
            """Of those that have a turn, by taking the first away until none is left; undone afterwards."""
            found: list[int] = []

            async def work(unit: Unit) -> None:
                found.clear()
                await unit.imports.lock(table.number)
                while (first := await unit.imports.first(table.number)) is not None:
                    found.append(first.number)
                    await unit.imports.leave(first.number)
                raise _Undo

            with pytest.raises(_Undo):
                await store.write(company, work)
            return found

        assert await order() == [one.number, two.number, three.number]
        await self.leave(store, two)
        await self.leave(store, two)
        assert (await self.found(store, two)).turn is None
        assert await order() == [one.number, three.number]
        await self.enter(store, two)
        assert await order() == [one.number, three.number, two.number]
        await self.enter(store, one)
        assert await order() == [three.number, two.number, one.number]
        four = await self.submit(store, table)
        assert await order() == [three.number, two.number, one.number, four.number]
        assert await order(second) == [elsewhere.number]
        for each in (one, two, three, four):
            await self.leave(store, each)
        assert await store.read(company, lambda unit: unit.imports.first(table.number)) is None
        await self.enter(store, two)
        first = await store.read(company, lambda unit: unit.imports.first(table.number))
        assert first == replace(two, turn=1)

    async def test_many_arrive_at_once(self, store: Store, company: Company, table: ContactTable) -> None:
        """Some of them without the lock, which the caller owes."""
        async with store.twin() as twin:

            async def arrive(place: int) -> Import:
                async def work(unit: Unit) -> Import:
                    if place % 3:
                        await unit.imports.lock(table.number)
                    return await unit.imports.add(an_import(table))

                return await (store, twin)[place % 2].write(company, work)

            arrived = await asyncio.wait_for(asyncio.gather(*map(arrive, range(24))), SOON)
            assert sorted(one.turn or 0 for one in arrived) == [*range(1, 25)]
            by_turn = [one.number for one in sorted(arrived, key=lambda one: one.turn or 0)]
            assert by_turn == sorted({one.number for one in arrived})

            async def again(place: int) -> None:
                async def work(unit: Unit) -> None:
                    await unit.imports.lock(table.number)
                    await unit.imports.leave(arrived[place].number)
                    await unit.imports.enter(arrived[place].number)

                await (store, twin)[place % 2].write(company, work)

            await asyncio.wait_for(asyncio.gather(*map(again, range(12))), SOON)
        page = await store.read(company, lambda unit: unit.imports.list(limit=99))
        turns = {one.number: one.turn or 0 for one in page.items}
        stayed, moved = {one.number for one in arrived[12:]}, {one.number for one in arrived[:12]}
        assert len(set(turns.values())) == 24
        assert max(turns[number] for number in stayed) < min(turns[number] for number in moved)

    @pytest.mark.parametrize("by", ["lock", "get"])
    async def test_who_holds_it_is_alone(self, store: Store, company: Company, table: ContactTable, by: str) -> None:
        """Of the table, or of the one import."""
        added = await self.submit(store, table)

        async def count(unit: Unit) -> None:
            if by == "lock":
                await unit.imports.lock(table.number)
                one = await unit.imports.first(table.number)  # which holds nothing itself
            else:
                one = await unit.imports.get(added.number)
            assert one is not None
            await unit.imports.save(replace(one, attempt=one.attempt + 1))

        async with store.twin() as twin:
            counting = asyncio.gather(*(each.write(company, count) for _ in range(12) for each in (store, twin)))
            await asyncio.wait_for(counting, SOON)
        assert (await self.found(store, added)).attempt == 24

    async def test_the_firsts_of_all_queues(self, store: Store, company: Company, table: ContactTable) -> None:
        other = await store.company("other")
        tables = [table, await self.new_table(store, other), await self.new_table(store, company)]
        empty = await self.new_table(store, company)
        firsts = [await self.submit(store, each) for each in tables]
        for each in (*tables, *tables):
            await self.submit(store, each)
        left = await self.submit(store, empty)
        await self.leave(store, left)
        for work in (store.read, store.write):
            found = await work(None, lambda unit: unit.imports.firsts())
            assert {one.number: one for one in found} == {one.number: one for one in firsts}
            assert len(found) == len(firsts)
        await self.leave(store, firsts[1])
        found = await store.read(None, lambda unit: unit.imports.firsts())
        assert {(one.company_id, one.turn) for one in found} == {(company.id, 1), (other.id, 2)}

    async def test_what_can_be_undone_no_longer(self, store: Store, company: Company, table: ContactTable) -> None:
        elsewhere = await self.new_table(store, await store.company("other"))
        over = [
            await self.submit(store, table, state=ImportState.FINISHED, undo_until=NOW),
            await self.submit(store, elsewhere, state=ImportState.FINISHED_WITH_ERRORS, undo_until=NOW - HOUR),
            await self.submit(store, table, state=ImportState.FINISHED, undo_until=NOW - MINUTE),
        ]
        await self.submit(store, table, state=ImportState.FINISHED, undo_until=NOW + SECOND)
        for state in ImportState:
            await self.submit(store, table, state=state, undo_until=None if state in APPLIED else NOW - HOUR)

        async def undoable(before: datetime, limit: int) -> tuple[Import, ...]:
            return await store.read(None, lambda unit: unit.imports.undoable(before, limit))

        assert await undoable(NOW, 9) == (over[1], over[2], over[0])
        assert await undoable(NOW, 2) == (over[1], over[2])
        assert await undoable(NOW - SECOND, 9) == (over[1], over[2])
        done = replace(over[2], undo_until=None)
        await self.save(store, done)
        assert await undoable(NOW, 9) == (over[1], over[0])

    async def test_a_company_asks_for_its_own_alone(self, store: Store, company: Company) -> None:
        for ask in (store.read, store.write):
            with pytest.raises(ValueError, match="without a company"):
                await ask(company, lambda unit: unit.imports.firsts())
            with pytest.raises(ValueError, match="without a company"):
                await ask(company, lambda unit: unit.imports.undoable(NOW, 9))
