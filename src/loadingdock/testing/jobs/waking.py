"""When work comes: a worker that waits is woken, a schedule comes round for one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from loadingdock.core.model.companies import Company
from loadingdock.testing.jobs.asking import claim, enqueue, requeue
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SECOND, SOON, Store, StoreContract


class WakingContract(StoreContract):
    async def test_waiting_ends_with_its_time(self, store: Store) -> None:
        await store.jobs.wait(timedelta(milliseconds=20))
        await store.jobs.wait(timedelta())

    async def test_a_new_job_wakes(self, store: Store, company: Company) -> None:
        assert await claim(store) == []
        waiting = [asyncio.create_task(store.jobs.wait(HOUR)) for _ in range(3)]
        await asyncio.sleep(0.05)  # until they wait; they wake either way
        await enqueue(store, company)
        await asyncio.wait_for(asyncio.gather(*waiting), SOON)

    async def test_a_job_that_came_since_the_claim_wakes(self, store: Store, company: Company) -> None:
        assert await claim(store) == []
        await enqueue(store, company)
        await asyncio.wait_for(store.jobs.wait(HOUR), SOON)

    async def test_room_under_the_cap_wakes(self, store: Store, company: Company) -> None:
        for _ in range(2):
            await enqueue(store, company)
        (job,) = await claim(store, cap=1)
        assert await claim(store, cap=1) == []
        waiting = asyncio.create_task(store.jobs.wait(HOUR))
        await asyncio.sleep(0.05)
        await store.jobs.finish(job, NOW)
        await asyncio.wait_for(waiting, SOON)

    async def test_a_requeued_job_wakes(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (job,) = await claim(store)
        await store.jobs.bury(job, error="", now=NOW)
        assert await claim(store) == []
        await requeue(store, job.id)
        await asyncio.wait_for(store.jobs.wait(HOUR), SOON)

    async def test_a_job_of_another_process_wakes(self, store: Store, company: Company) -> None:
        async with store.twin() as twin:
            assert await claim(store) == []
            waiting = asyncio.create_task(store.jobs.wait(HOUR))
            await asyncio.sleep(0.05)
            await enqueue(twin, company)
            await asyncio.wait_for(waiting, SOON)

    async def test_no_job_is_overslept(self, store: Store, company: Company) -> None:
        done = list[str]()

        async def work() -> None:
            while len(done) < 100:
                for job in await claim(store, 2):
                    await store.jobs.finish(job, NOW)
                    done.append(job.subject)
                if len(done) < 100:
                    await store.jobs.wait(HOUR)

        async def add() -> None:
            for place in range(100):
                await enqueue(store, company, str(place))

        await asyncio.wait_for(asyncio.gather(work(), add()), SOON)
        assert sorted(done, key=int) == [str(place) for place in range(100)]


class ScheduleContract(StoreContract):
    async def test_a_schedule_comes_round_for_one(self, store: Store) -> None:
        async with store.twin() as twin:
            for at in (NOW, NOW + MINUTE, NOW + MINUTE * 2 + SECOND):
                answers = await asyncio.gather(
                    *(each.jobs.due("sweep", MINUTE, at) for _ in range(10) for each in (store, twin))
                )
                assert sum(answers) == 1
                assert not await store.jobs.due("sweep", MINUTE, at + MINUTE - SECOND)

    async def test_schedules_are_apart(self, store: Store) -> None:
        assert await store.jobs.due("sweep", HOUR, NOW)
        assert await store.jobs.due("forget", MINUTE, NOW)
        assert not await store.jobs.due("sweep", HOUR, NOW + MINUTE)
        assert await store.jobs.due("forget", MINUTE, NOW + MINUTE)

    async def test_a_clock_that_was_wrong_holds_nothing_up(self, store: Store) -> None:
        assert await store.jobs.due("sweep", MINUTE, NOW + HOUR)
        assert not await store.jobs.due("sweep", HOUR * 2, NOW)
        assert await store.jobs.due("sweep", MINUTE, NOW)
