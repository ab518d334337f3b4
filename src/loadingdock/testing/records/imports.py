"""Imports, and how far they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from loadingdock.core.errors import InvalidInput, NotFound
from loadingdock.core.loading import Counts, Operation
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Asked, Import, ImportState, Outcome, Progress, Reversal, RowReport
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SECOND, Store, StoreContract, drained, new_id
from loadingdock.testing.records.tables import a_table

EVERYTHING = Asked(
    Operation.UPDINS, "\t", '"', True, "cp1252", ("EMAIL", "Größe", 'x"; \0'), ("EMAIL", "Größe"), False, True
)
ENDED_WITH_ALL: dict[str, Any] = {
    "state": ImportState.UNDONE,
    "attempt": 3,
    "columns": ("EMAIL", "Größe"),
    "warnings": ("The header says 'e-mail'.", "漢字 \U0001f4e6"),
    "counts": Counts(1, 2, 3, 4, 2**40),
    "cancelling": True,
    "reason": "An undo.",
    "started_at": NOW + SECOND,
    "ended_at": NOW + MINUTE,
    "rejected_file": new_id(),
    "report_file": new_id(),
    "undo_until": NOW + HOUR,
    "undone": Reversal(NOW + 2 * MINUTE, 5, 6, 7, new_id()),
}


def an_import(table: ContactTable, **fields: Any) -> Import:
    plain = Import(
        number=0,
        company_id=table.company_id,
        table_number=table.number,
        table_code=table.code,
        asked=Asked(),
        file_id=new_id(),
        file_version=1,
        file_name="Contactos Ü.csv.gz",
        file_size=2**40,
        created_at=NOW,
        created_by="anna",
    )
    return replace(plain, **fields)


class Importing(StoreContract):
    """Imports to begin with."""

    @pytest.fixture
    async def table(self, store: Store, company: Company) -> ContactTable:
        return await self.new_table(store, company)

    async def new_table(self, store: Store, company: Company) -> ContactTable:
        return await store.write(company, lambda unit: unit.tables.add(a_table(company)))

    async def submit(self, store: Store, table: ContactTable, **fields: Any) -> Import:
        fresh = an_import(table, **fields)
        return await store.records.write(table.company_id, lambda unit: unit.imports.add(fresh))

    async def found(self, store: Store, one: Import) -> Import:
        found = await store.records.read(one.company_id, lambda unit: unit.imports.get(one.number))
        assert found is not None
        return found

    async def save(self, store: Store, one: Import) -> None:
        await store.records.write(one.company_id, lambda unit: unit.imports.save(one))

    async def leave(self, store: Store, one: Import) -> None:
        await store.records.write(one.company_id, lambda unit: unit.imports.leave(one.number))

    async def enter(self, store: Store, one: Import) -> None:
        await store.records.write(one.company_id, lambda unit: unit.imports.enter(one.number))


class ImportContract(Importing):
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"asked": EVERYTHING, "callback_url": "https://receiver.example/hook?key=ü"},
            {"progress": Progress(7, 2**40, NOW), **ENDED_WITH_ALL},
        ],
        ids=["plain", "all that is asked", "ended"],
    )
    async def test_an_import_is_kept_as_it_was(self, store: Store, table: ContactTable, fields: dict[str, Any]) -> None:
        added = await self.submit(store, table, **fields)
        assert added == an_import(table, **fields, file_id=added.file_id, number=added.number, turn=1)
        assert await self.found(store, added) == added

    async def test_what_becomes_of_it_is_saved(self, store: Store, table: ContactTable, company: Company) -> None:
        added = await self.submit(store, table)
        changed = replace(added, **ENDED_WITH_ALL)
        other = replace(
            changed, turn=9, progress=Progress(1, 1, NOW), file_name="other", created_by="x", asked=EVERYTHING
        )
        for saved in (other, replace(other, **{name: getattr(added, name) for name in ENDED_WITH_ALL})):
            await self.save(store, saved)
            expected = replace(added, **{name: getattr(saved, name) for name in ENDED_WITH_ALL})
            assert await self.found(store, added) == expected

    async def test_imports_count_up_in_the_installation(self, store: Store, table: ContactTable) -> None:
        elsewhere = await self.new_table(store, await store.company("other"))
        numbers = [(await self.submit(store, each)).number for each in (table, elsewhere, table)]
        assert numbers == [1, 2, 3]

    async def test_what_is_unknown(self, store: Store, company: Company, table: ContactTable) -> None:
        nobody = an_import(table, number=987654321)
        deeds: list[Callable[[Unit], Awaitable[Any]]] = [
            lambda unit: unit.imports.add(replace(nobody, table_number=987654321)),
            lambda unit: unit.imports.save(nobody),
            lambda unit: unit.imports.enter(nobody.number),
            lambda unit: unit.imports.leave(nobody.number),
            lambda unit: unit.imports.add_rows(nobody.number, [RowReport(Outcome.LEFT, 1, 0, ())]),
        ]
        for deed in deeds:
            with pytest.raises(NotFound):
                await store.write(company, deed)

        async def look(unit: Unit) -> None:
            for number in (nobody.number, 0, -1, 2**70):
                assert await unit.imports.get(number) is None
                assert await unit.imports.rows(number, outcome=Outcome.LEFT, limit=1) == Page(())
            assert await unit.imports.first(987654321) is None
            assert await unit.imports.waiting_for("a\0b", 1) == ()

        await store.read(company, look)

    async def test_a_table_of_another_company_is_unknown(self, store: Store, table: ContactTable) -> None:
        other = await store.company("other")
        fresh = an_import(replace(table, company_id=other.id))
        with pytest.raises(NotFound):
            await store.write(other, lambda unit: unit.imports.add(fresh))
        await self.submit(store, table)
        assert await store.write(other, lambda unit: unit.imports.first(table.number)) is None

    async def test_imports_newest_first(self, store: Store, company: Company, table: ContactTable) -> None:
        await self.submit(store, await self.new_table(store, await store.company("other")))
        second = await self.new_table(store, company)
        file_id = new_id()
        plain = [await self.submit(store, table) for _ in range(5)]
        failed = await self.submit(store, table, state=ImportState.FAILED)
        elsewhere = await self.submit(store, second)
        again = await self.submit(store, second, file_id=file_id, file_version=2)
        newest = [again, elsewhere, failed, *reversed(plain)]

        async def listed(**narrowed: Any) -> list[Import]:
            async def turn(cursor: str | None) -> Page[Import]:
                return await store.read(company, lambda unit: unit.imports.list(limit=2, cursor=cursor, **narrowed))

            return await drained(turn)

        assert await listed() == newest
        assert await listed(table_number=second.number) == [again, elsewhere]
        assert await listed(state=ImportState.FAILED) == [failed]
        assert await listed(file_id=file_id) == [again]
        assert await listed(table_number=second.number, state=ImportState.WAITING, file_id=file_id) == [again]
        assert await listed(table_number=table.number, file_id=file_id) == []
        with pytest.raises(InvalidInput):
            await store.read(company, lambda unit: unit.imports.list(limit=2, cursor="nonsense"))

    async def test_who_waits_for_a_version(self, store: Store, company: Company, table: ContactTable) -> None:
        file_id = new_id()
        second = await self.new_table(store, company)
        waiting = [await self.submit(store, each, file_id=file_id) for each in (second, table, second)]
        await self.submit(store, table, file_id=file_id, file_version=2)
        await self.submit(store, table, file_id=file_id, state=ImportState.CHECKING)
        await self.submit(store, table)
        assert await store.read(company, lambda unit: unit.imports.waiting_for(file_id, 1)) == tuple(waiting)

    async def test_only_the_attempt_under_way_proceeds(
        self, store: Store, company: Company, table: ContactTable
    ) -> None:
        added = await self.submit(store, table)

        async def proceed(attempt: int, records: int) -> bool | None:
            async def work(unit: Unit) -> bool | None:
                progress, counts = Progress(records, 9 * records, NOW), Counts(records, 1, 2, 3, 4)
                return await unit.imports.proceed(added.number, attempt, progress, counts)

            return await store.write(company, work)

        async def become(state: ImportState, **fields: Any) -> Import:
            changed = replace(await self.found(store, added), state=state, **fields)
            await self.save(store, changed)
            return changed

        for state in ImportState:
            under_way = await become(state, attempt=2, counts=Counts())
            under_way = await self.found(store, under_way)
            if state in {ImportState.CHECKING, ImportState.LOADING}:
                assert await proceed(2, 7) is False
                expected = replace(under_way, progress=Progress(7, 63, NOW), counts=Counts(7, 1, 2, 3, 4))
                assert await self.found(store, added) == expected
                await become(state, cancelling=True)
                assert await proceed(2, 8) is True
                under_way = await become(state, cancelling=False)
            else:
                assert await proceed(2, 7) is None
            assert await proceed(1, 9) is None
            assert await proceed(3, 9) is None
            assert await self.found(store, added) == under_way
