"""The unit of work: there whole or not at all, and what is read is of one moment."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from loadingdock.core.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.identity import OAuthClient
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, NOW, SOON, Store, StoreContract, a_file


class Broken(Exception):
    pass


class UnitContract(StoreContract):
    async def test_a_write_returns_what_its_work_returned(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> str:
            await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
            return "done"

        assert await store.write(company, work) == "done"

    async def test_an_exception_leaves_nothing_of_any_part(self, store: Store, company: Company) -> None:
        file = a_file(company)
        raised = Broken()

        async def work(unit: Unit) -> None:
            await unit.files.add(file)
            await unit.ledger.charge(51, 1, max_bytes=None, max_files=None)
            await unit.jobs.enqueue("process", file.id, at=NOW)
            await unit.events.add(NOW, "file.received", file.id, {})
            await unit.idempotency.begin("key", "print", NOW)
            raise raised

        with pytest.raises(Broken) as caught:
            await store.write(company, work)
        assert caught.value is raised

        async def look(unit: Unit) -> None:
            assert await unit.files.get(file.id) is None
            assert await unit.ledger.get() == Usage(0, 0)
            assert await unit.events.after(0, limit=1) == ()

        await store.read(company, look)
        assert await store.jobs.list() == ()
        assert await store.write(company, lambda unit: unit.idempotency.begin("key", "other", NOW)) is None

    async def test_an_error_that_the_work_handles_does_not_end_it(self, store: Store, company: Company) -> None:
        first = await store.add_file(company, namespace="rewards")
        second = a_file(company, namespace="rewards")

        async def work(unit: Unit) -> None:
            await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
            with pytest.raises(AlreadyExists):
                await unit.files.add(second)
            await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)

        await store.write(company, work)
        assert await store.read(company, lambda unit: unit.ledger.get()) == Usage(2, 2)
        assert await store.find(company, second.id) is None
        assert await store.find(company, first.id) == first

    async def test_who_fails_takes_nobody_along(self, store: Store, company: Company) -> None:
        files = [a_file(company) for _ in range(60)]

        async def add(place: int) -> int:
            async def work(unit: Unit) -> int:
                await unit.files.add(files[place])
                await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
                if place % 3 == 0:
                    raise Broken(place)
                return place

            return await store.write(company, work)

        answers = await asyncio.gather(*(add(place) for place in range(60)), return_exceptions=True)
        for place, answer in enumerate(answers):
            if place % 3 == 0:
                assert isinstance(answer, Broken)
                assert answer.args == (place,)
            else:
                assert answer == place
            kept = await store.find(company, files[place].id)
            assert (kept is None) == (place % 3 == 0)
        assert await store.read(company, lambda unit: unit.ledger.get()) == Usage(40, 40)

    async def test_a_work_sees_what_it_wrote_itself(self, store: Store, company: Company) -> None:
        file = a_file(company)

        async def work(unit: Unit) -> None:
            await unit.files.add(file)
            assert await unit.files.get(file.id) == file

        await store.write(company, work)

    async def test_a_read_sees_every_acknowledged_write(self, store: Store, company: Company) -> None:
        async def add_and_look() -> None:
            for _ in range(10):
                file = await store.add_file(company)
                assert await store.find(company, file.id) == file

        await asyncio.gather(*(add_and_look() for _ in range(8)))

    async def test_a_read_is_of_one_moment(self, store: Store, company: Company) -> None:
        done = asyncio.Event()

        async def charge_both() -> None:
            async def work(unit: Unit) -> None:
                await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
                await unit.events.add(NOW, "charged", "", {})

            for _ in range(100):
                await store.write(company, work)
            done.set()

        async def compare() -> int:
            async def work(unit: Unit) -> tuple[int, int]:
                before = await unit.ledger.get()
                events = len(await unit.events.after(0, limit=1000))
                return before.files, events

            looks = 0
            while not done.is_set():
                files, events = await store.read(company, work)
                assert files == events
                looks += 1
            return looks

        _, looks = await asyncio.gather(charge_both(), compare())
        assert looks

    async def test_a_read_writes_nothing(self, store: Store, company: Company) -> None:
        file = a_file(company)
        with pytest.raises(RuntimeError):
            await store.read(company, lambda unit: unit.files.add(file))
        assert await store.find(company, file.id) is None

    async def test_a_cancelled_caller_holds_nobody_up(self, store: Store, company: Company) -> None:
        async def charge() -> None:
            await store.write(company, lambda unit: unit.ledger.charge(1, 1, max_bytes=None, max_files=None))

        tasks = [asyncio.create_task(charge()) for _ in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON)
        assert [type(answer) for answer in answers] == [asyncio.CancelledError, type(None)] * 20
        used = await store.read(company, lambda unit: unit.ledger.get())
        assert used.bytes == used.files
        assert 20 <= used.files <= 40  # what a cancelled caller asked for may have happened

    async def test_an_unknown_company_has_no_rows(self, store: Store) -> None:
        async def work(unit: Unit) -> None:
            assert await unit.ledger.get() == Usage(0, 0)
            with pytest.raises(NotFound):
                await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)

        await store.records.write(987654321, work)
        with pytest.raises(NotFound):
            await store.records.write(987654321, lambda unit: unit.jobs.enqueue("process", "x", at=NOW))

    async def test_a_handled_error_of_the_engine_does_not_end_the_work(self, store: Store, company: Company) -> None:
        nobody = replace(company, id=987654321)

        async def work(unit: Unit) -> None:
            await unit.companies.save(replace(company, name="before"))
            client = OAuthClient("c", (company.id, nobody.id), "digest", frozenset(), HOUR, NOW)
            with pytest.raises(NotFound):
                await unit.clients.add(client)
            await unit.companies.save(replace(company, name="after"))

        await store.write(company, work)
        saved = await store.read(None, lambda unit: unit.companies.by_id(company.id))
        assert saved == replace(company, name="after")

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"])
    async def test_a_text_that_cannot_be_kept_is_refused(self, store: Store, company: Company, text: str) -> None:
        with pytest.raises(InvalidInput):
            await store.add_file(company, owner=text)
        assert await store.read(company, lambda unit: unit.files.list(FileFilter(), limit=1)) == Page(())

    async def test_what_cannot_be_kept_is_not_found(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            assert await unit.files.get("a\0b") is None
            assert await unit.users.get("a\0b") is None
            assert await unit.files.list(FileFilter(search="a\0b"), limit=1) == Page(())
            assert await unit.files.list_offset(FileFilter(owner="a\0b"), limit=1, offset=0) == Page((), total=0)

        await store.read(company, work)
        await store.write(company, work)

    async def test_a_number_that_cannot_be_kept_is_refused(self, store: Store, company: Company) -> None:
        with pytest.raises(InvalidInput):
            await store.add_file(company, size=2**63)

    async def test_two_processes_write_to_one_database(self, store: Store, company: Company) -> None:
        async def charge(store: Store) -> None:
            await store.write(company, lambda unit: unit.ledger.charge(1, 1, max_bytes=None, max_files=50))

        async with store.twin() as twin:
            await asyncio.gather(*(charge(each) for _ in range(25) for each in (store, twin)))
            for each in (store, twin):
                assert await each.read(company, lambda unit: unit.ledger.get()) == Usage(50, 50)

    async def test_migrating_again_changes_nothing(self, store: Store) -> None:
        now, known = await store.records.schema_version()
        assert now == known > 0
        assert await store.records.migrate() == (known, known)

    async def test_an_open_store_answers(self, store: Store) -> None:
        await store.records.ping()
        assert (await store.records.examine()).problems == ()

    async def test_a_closed_store_is_unavailable(self, store: Store, company: Company) -> None:
        async with store.twin() as twin:
            await twin.records.close()
            await twin.records.close()
            for ask in (twin.write, twin.read):
                with pytest.raises(Unavailable):
                    await ask(company, lambda unit: unit.ledger.get())
            with pytest.raises(Unavailable):
                await twin.records.ping()
            with pytest.raises(Unavailable):
                await twin.jobs.depth(NOW)
            with pytest.raises(Unavailable):
                await twin.records.watch(company.id, 0, timedelta(seconds=1))
