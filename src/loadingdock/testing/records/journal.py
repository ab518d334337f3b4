"""The ledger, events and those who follow them, and answers kept under idempotency keys."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from loadingdock.core.errors import NotFound, QuotaExceeded
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.journal import Event, StoredResponse
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, NOW, SOON, Store, StoreContract


class LedgerContract(StoreContract):
    @pytest.mark.security(27)
    @pytest.mark.parametrize(("max_bytes", "max_files"), [(100, None), (None, 10), (100, 10), (10**15, 10)])
    async def test_a_quota_for_ten_lets_ten_in(
        self, store: Store, company: Company, max_bytes: int | None, max_files: int | None
    ) -> None:
        async def charge() -> None:
            await store.write(company, lambda unit: unit.ledger.charge(10, 1, max_bytes=max_bytes, max_files=max_files))

        answers = await asyncio.gather(*(charge() for _ in range(64)), return_exceptions=True)
        assert sum(answer is None for answer in answers) == 10
        assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 54
        assert await store.read(company, lambda unit: unit.ledger.get()) == Usage(100, 10)

    async def test_a_refusal_states_the_facts(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            await unit.ledger.charge(90, 1, max_bytes=100, max_files=2)
            with pytest.raises(QuotaExceeded) as caught:
                await unit.ledger.charge(11, 1, max_bytes=100, max_files=2)
            assert caught.value.facts == {"what": "bytes", "limit": 100, "used": 90, "wanted": 11}
            with pytest.raises(QuotaExceeded) as caught:
                await unit.ledger.charge(1, 2, max_bytes=100, max_files=2)
            assert caught.value.facts == {"what": "files", "limit": 2, "used": 1, "wanted": 2}
            await unit.ledger.charge(10, 1, max_bytes=100, max_files=2)
            assert await unit.ledger.get() == Usage(100, 2)

        await store.write(company, work)

    async def test_giving_back_never_fails(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            await unit.ledger.charge(2**50, 3, max_bytes=None, max_files=None)
            await unit.ledger.charge(-1, -1, max_bytes=10, max_files=1)  # the quota was lowered meanwhile
            assert await unit.ledger.get() == Usage(2**50 - 1, 2)
            await unit.ledger.charge(0, 0, max_bytes=10, max_files=1)

        await store.write(company, work)


class EventContract(StoreContract):
    async def test_events_in_order(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        assert await store.read(company, lambda unit: unit.events.last()) == 0

        async def work(unit: Unit) -> None:
            for place in range(5):
                await unit.events.add(NOW, f"kind {place}", "file", {"place": place, "name": "ü"})

        for each in (company, other, company):
            await store.write(each, work)
        events = await store.read(company, lambda unit: unit.events.after(0, limit=100))
        assert [event.data["place"] for event in events] == [*range(5), *range(5)]
        seqs = [event.seq for event in events]
        assert seqs == sorted({*seqs})
        assert events[1] == Event(NOW, company.id, "kind 1", "file", {"place": 1, "name": "ü"}, events[1].seq)
        assert await store.read(company, lambda unit: unit.events.after(seqs[2], limit=4)) == events[3:7]
        assert await store.read(company, lambda unit: unit.events.last()) == seqs[-1]
        assert await store.read(company, lambda unit: unit.events.after(seqs[-1], limit=4)) == ()

    async def test_a_seq_is_given_out_once(self, store: Store, company: Company) -> None:
        async def add() -> int:
            await store.tell(company)
            return await store.read(company, lambda unit: unit.events.last())

        async def forget(unit: Unit) -> int:
            late = NOW + HOUR
            return await unit.housekeeping.forget(idempotency_before=late, events_before=late, jobs_before=late)

        first = await add()
        await store.write(None, forget)
        assert await add() > first

    async def test_watching_answers_at_once_with_what_is_there(self, store: Store, company: Company) -> None:
        await store.tell(company)
        (event,) = await store.records.watch(company.id, 0, HOUR)
        assert event.kind == "kind"
        assert await store.records.watch(company.id, event.seq, timedelta()) == ()

    async def test_watching_ends_with_its_time(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        watching = asyncio.create_task(store.records.watch(company.id, 0, timedelta(milliseconds=50)))
        await store.tell(other)
        assert await watching == ()

    async def test_all_who_watch_hear(self, store: Store, company: Company) -> None:
        watching = [asyncio.create_task(store.records.watch(company.id, 0, HOUR)) for _ in range(10)]
        await asyncio.sleep(0.05)  # until they wait; they hear it either way
        await store.tell(company)
        for events in await asyncio.wait_for(asyncio.gather(*watching), SOON):
            assert [event.kind for event in events] == ["kind"]

    async def test_no_event_falls_between_two_looks(self, store: Store, company: Company) -> None:
        async def follow() -> list[int]:
            after, places = 0, list[int]()
            while len(places) < 100:
                for event in await store.records.watch(company.id, after, HOUR):
                    after = event.seq
                    places.append(event.data["place"])
            return places

        async def add() -> None:
            for place in range(100):
                await store.tell(company, place=place)

        places, _ = await asyncio.wait_for(asyncio.gather(follow(), add()), SOON)
        assert places == [*range(100)]

    async def test_events_of_another_process_are_heard(self, store: Store, company: Company) -> None:
        async with store.twin() as twin:
            watching = asyncio.create_task(store.records.watch(company.id, 0, HOUR))
            await asyncio.sleep(0.05)
            await twin.tell(company)
            (event,) = await asyncio.wait_for(watching, SOON)
        assert event.kind == "kind"

    async def test_a_watch_that_is_given_up_leaves_the_others(self, store: Store, company: Company) -> None:
        watching = [asyncio.create_task(store.records.watch(company.id, 0, HOUR)) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in watching[::2]:
            task.cancel()
        await store.tell(company)
        answers = await asyncio.wait_for(asyncio.gather(*watching, return_exceptions=True), SOON)
        assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False] * 2


@pytest.mark.security(33)
class IdempotencyContract(StoreContract):
    RESPONSE = StoredResponse("print", 201, {"content-type": "application/json"}, b'{"\xff\x00": 1}')

    async def test_an_answer_is_kept_under_its_key(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            assert await unit.idempotency.begin("key", "print", NOW) is None
            assert await unit.idempotency.begin("key", "print", NOW) == StoredResponse("print")
            assert await unit.idempotency.begin("key", "other", NOW) == StoredResponse("print")
            await unit.idempotency.finish("key", self.RESPONSE)
            for fingerprint in ("print", "other"):
                assert await unit.idempotency.begin("key", fingerprint, NOW) == self.RESPONSE
            await unit.idempotency.release("key")
            assert await unit.idempotency.begin("key", "print", NOW) == self.RESPONSE

        await store.write(company, work)

    async def test_an_answer_may_be_empty(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            await unit.idempotency.begin("key", "print", NOW)
            await unit.idempotency.finish("key", StoredResponse("print", 204))
            assert await unit.idempotency.begin("key", "print", NOW) == StoredResponse("print", 204)

        await store.write(company, work)

    async def test_a_released_key_is_new_again(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            await unit.idempotency.begin("key", "print", NOW)
            await unit.idempotency.release("key")
            await unit.idempotency.release("never held")
            assert await unit.idempotency.begin("key", "other", NOW) is None

        await store.write(company, work)

    async def test_what_is_not_held_is_not_finished(self, store: Store, company: Company) -> None:
        with pytest.raises(NotFound):
            await store.write(company, lambda unit: unit.idempotency.finish("key", self.RESPONSE))

    async def test_one_of_many_holds_the_key(self, store: Store, company: Company) -> None:
        async def begin() -> StoredResponse | None:
            return await store.write(company, lambda unit: unit.idempotency.begin("key", "print", NOW))

        answers = await asyncio.gather(*(begin() for _ in range(30)))
        assert answers.count(None) == 1
