"""Who gets a job: one at a time, another when the first is lost, and every company in its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from loadingdock.core.model.companies import Company
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.records import Unit
from loadingdock.testing.jobs.asking import claim, ended, enqueue, holds, the_job
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SECOND, Store, StoreContract


class LeaseContract(StoreContract):
    async def test_a_lease_that_ran_out_is_taken_over(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (lost,) = await claim(store, worker="lost")
        assert await claim(store, now=NOW + MINUTE - SECOND) == []
        (taken,) = await claim(store, now=NOW + MINUTE, worker="next")
        assert (taken.id, taken.fence, taken.attempts, taken.worker) == (lost.id, 2, 2, "next")
        assert await ended(store, lost) == [False] * 6
        assert await the_job(store, lost.id) == taken
        assert await holds(store, taken)
        assert await store.jobs.finish(taken, NOW)

    async def test_who_is_late_but_not_replaced_still_holds(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (job,) = await claim(store)
        late = NOW + HOUR
        assert await holds(store, job)
        assert await store.jobs.heartbeat(job, lease=MINUTE, now=late)
        assert await claim(store, now=late + SECOND) == []
        assert await store.jobs.finish(job, late)

    async def test_a_heartbeat_extends_the_lease(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (job,) = await claim(store)
        assert await store.jobs.heartbeat(job, lease=MINUTE, now=NOW + SECOND * 30)
        assert await claim(store, now=NOW + SECOND * 89) == []
        assert len(await claim(store, now=NOW + SECOND * 90)) == 1

    async def test_a_write_that_asks_first_is_fenced(self, store: Store, company: Company) -> None:
        """A worker that was stopped past its lease and continues changes nothing."""
        await enqueue(store, company)
        (lost,) = await claim(store)
        (taken,) = await claim(store, now=NOW + HOUR)

        async def result_of(job: Job) -> bool:
            async def work(unit: Unit) -> bool:
                if not await unit.jobs.holds(job):
                    return False
                await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
                return True

            return await store.write(company, work)

        assert sorted(await asyncio.gather(*(result_of(job) for job in (lost, taken, lost)))) == [False, False, True]
        assert (await store.read(company, lambda unit: unit.ledger.get())).files == 1


class FairnessContract(StoreContract):
    async def companies(self, store: Store, jobs: Sequence[int]) -> list[Company]:
        """As many companies, each with as many jobs; those of the first are the oldest."""
        companies = [await store.company(f"company{place}") for place in range(len(jobs))]

        for place, (company, count) in enumerate(zip(companies, jobs, strict=True)):
            await self.fill(store, company, count, NOW - HOUR + MINUTE * place)
        return companies

    async def fill(self, store: Store, company: Company, count: int, run_at: datetime) -> None:
        async def work(unit: Unit) -> None:
            for number in range(count):
                await unit.jobs.enqueue("process", str(number), at=NOW, run_at=run_at + SECOND * number)

        await store.write(company, work)

    async def test_no_second_job_before_everyones_first(self, store: Store) -> None:
        big, *small = await self.companies(store, [50, 1, 2, 1])
        first = await claim(store, 4)
        assert {job.company_id for job in first} == {big.id, *(company.id for company in small)}
        second = await claim(store, 2)
        assert {job.company_id for job in second} == {big.id, small[1].id}
        assert {job.company_id for job in await claim(store, 5)} == {big.id}

    async def test_one_at_a_time_is_as_fair(self, store: Store) -> None:
        companies = await self.companies(store, [9, 9, 9])
        claimed = [(await claim(store))[0].company_id for _ in range(9)]
        ids = [company.id for company in companies]
        assert claimed == ids * 3

    async def test_who_has_more_running_waits(self, store: Store) -> None:
        busy, idle = await self.companies(store, [5, 0])
        assert len(await claim(store, 3)) == 3
        await self.fill(store, idle, 5, NOW - MINUTE)
        assert [job.company_id for job in await claim(store, 3)] == [idle.id] * 3
        assert Counter(job.company_id for job in await claim(store, 2)) == {busy.id: 1, idle.id: 1}

    async def test_nobody_has_more_running_than_the_cap(self, store: Store) -> None:
        first, second = await self.companies(store, [9, 2])
        jobs = await claim(store, 9, cap=3)
        assert Counter(job.company_id for job in jobs) == {first.id: 3, second.id: 2}
        assert await claim(store, 9, cap=3) == []
        await store.jobs.finish(next(job for job in jobs if job.company_id == first.id), NOW)
        assert [job.company_id for job in await claim(store, 9, cap=3)] == [first.id]

    async def test_the_cap_holds_however_many_claim(self, store: Store) -> None:
        await self.companies(store, [20, 20, 20])
        async with store.twin() as twin:
            claims = await asyncio.gather(*(claim(each, 2, cap=5) for _ in range(15) for each in (store, twin)))
        assert set(Counter(job.company_id for jobs in claims for job in jobs).values()) == {5}
        assert len({job.id for jobs in claims for job in jobs}) == 15

    async def test_a_company_may_have_a_cap_of_its_own(self, store: Store) -> None:
        first, second = await self.companies(store, [9, 9])
        capped = replace(first, settings={"job-cap": 1})

        async def save(unit: Unit) -> None:
            await unit.companies.save(capped)

        await store.records.write(None, save)
        jobs = await claim(store, 9, cap=3)
        assert Counter(job.company_id for job in jobs) == {first.id: 1, second.id: 3}

    async def test_lost_leases_count_for_nobody(self, store: Store) -> None:
        first, _ = await self.companies(store, [4, 1])
        assert len(await claim(store, 9, cap=2)) == 3
        again = await claim(store, 9, cap=2, now=NOW + HOUR)
        assert Counter(job.company_id for job in again)[first.id] == 2
