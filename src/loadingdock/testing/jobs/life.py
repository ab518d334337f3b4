"""A job from its birth in a transaction to its end: done, or dead."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from loadingdock.core.errors import NotFound
from loadingdock.core.model.companies import Company
from loadingdock.core.model.jobs import Job, JobState
from loadingdock.core.ports.records import Unit
from loadingdock.testing.jobs.asking import claim, ended, enqueue, holds, requeue, the_job
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SECOND, Store, StoreContract


class JobLifeContract(StoreContract):
    async def test_a_job_comes_back_as_it_went(self, store: Store, company: Company) -> None:
        id = await enqueue(
            store, company, "file", payload={"version": 2, "ü": [1, None]}, run_at=NOW + SECOND, dedupe_key="d"
        )
        assert id is not None
        waiting = Job(
            id, company.id, "process", "file", {"version": 2, "ü": [1, None]}, JobState.WAITING, 0, NOW + SECOND, NOW,
            dedupe_key="d",
        )  # fmt: skip
        assert await store.jobs.list() == (waiting,)
        assert await claim(store) == []
        (job,) = await claim(store, now=NOW + SECOND, worker="me")
        assert job == replace(
            waiting, state=JobState.RUNNING, attempts=1, fence=1, worker="me", lease_until=NOW + SECOND + MINUTE
        )
        assert await store.jobs.list() == (job,)

    async def test_a_job_joins_the_transaction_of_what_it_is_about(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            assert await unit.jobs.enqueue("process", "file", at=NOW) is not None
            raise NotFound

        with pytest.raises(NotFound):
            await store.write(company, work)
        assert await claim(store) == []
        assert await store.jobs.list() == ()

    async def test_each_job_is_claimed_once(self, store: Store, company: Company) -> None:
        ids = [await enqueue(store, company, str(place)) for place in range(40)]
        async with store.twin() as twin:
            claims = await asyncio.gather(*(claim(each, 3) for _ in range(10) for each in (store, twin)))
        claimed = [job.id for jobs in claims for job in jobs]
        assert sorted(claimed) == sorted(filter(None, ids))

    async def test_the_longest_due_first(self, store: Store, company: Company) -> None:
        for minutes in (3, 1, 2):
            await enqueue(store, company, str(minutes), run_at=NOW - MINUTE * minutes)
        assert [job.subject for job in await claim(store, 5)] == ["3", "2", "1"]

    async def test_kinds(self, store: Store, company: Company) -> None:
        for kind in ("a", "b", "c"):
            await enqueue(store, company, kind=kind)
        assert await claim(store, 5, kinds=["x"]) == []
        assert await claim(store, 5, kinds=[]) == []
        assert {job.kind for job in await claim(store, 5, kinds=["a", "c", "x"])} == {"a", "c"}
        assert {job.kind for job in await claim(store, 5)} == {"b"}

    async def test_a_finished_job_is_done(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (job,) = await claim(store)
        assert await holds(store, job)
        assert await store.jobs.remember(job, {"scan": {"verdict": "clean"}})
        assert await store.jobs.finish(job, NOW + SECOND)
        (done,) = await store.jobs.list(state="done")
        assert (done.state, done.finished_at) == (JobState.DONE, NOW + SECOND)
        assert done.memo == {"scan": {"verdict": "clean"}}
        assert await ended(store, job) == [False] * 6
        assert await claim(store, now=NOW + HOUR) == []

    async def test_the_memo_is_there_at_the_next_attempt(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (job,) = await claim(store)
        assert await store.jobs.remember(job, {"scan": 1})
        assert await store.jobs.remember(job, {"scan": 1, "type": 2})
        assert await store.jobs.retry(job, run_at=NOW, error="the first")
        (again,) = await claim(store)
        assert again.memo == {"scan": 1, "type": 2}
        assert again.last_error == "the first"
        (lost,) = await claim(store, now=NOW + HOUR)
        assert lost.memo == {"scan": 1, "type": 2}

    async def test_a_retry_waits_until_its_time(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        (job,) = await claim(store)
        assert await store.jobs.retry(job, run_at=NOW + MINUTE, error="not yet")
        assert await ended(store, job) == [False] * 6
        assert await claim(store, now=NOW + MINUTE - SECOND) == []
        (again,) = await claim(store, now=NOW + MINUTE)
        assert (again.attempts, again.fence) == (2, 2)

    async def test_an_attempt_may_be_forgiven(self, store: Store, company: Company) -> None:
        await enqueue(store, company)
        for fence in (1, 2, 3):
            (job,) = await claim(store)
            assert (job.attempts, job.fence) == (1, fence)
            assert await store.jobs.retry(job, run_at=NOW, error="the scanner is down", counts=False)

    async def test_a_dead_job_is_seen_and_requeued(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        id = await enqueue(store, company)
        (job,) = await claim(store)
        assert await requeue(store, job.id) is None
        assert await store.jobs.bury(job, error="for good", now=NOW + SECOND)
        assert await ended(store, job) == [False] * 6
        (dead,) = await store.jobs.list(state="dead")
        assert (dead.state, dead.last_error, dead.finished_at) == (JobState.DEAD, "for good", NOW + SECOND)
        assert await claim(store, now=NOW + HOUR) == []
        assert await requeue(store, job.id, company=other) is None
        assert await requeue(store, "none") is None
        assert await requeue(store, job.id, NOW + MINUTE, company=company) == company.id
        assert await requeue(store, job.id, NOW + MINUTE) is None
        waiting = await the_job(store, id)
        assert (waiting.state, waiting.attempts, waiting.finished_at) == (JobState.WAITING, 0, None)
        assert await claim(store, now=NOW + SECOND) == []
        (again,) = await claim(store, now=NOW + MINUTE)
        assert (again.attempts, again.fence) == (1, 2)

    async def test_a_dedupe_key_is_for_one_living_job(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        first = await enqueue(store, company, dedupe_key="d")
        assert first is not None
        assert await enqueue(store, company, dedupe_key="d", kind="other") is None
        assert await enqueue(store, company, dedupe_key="e") is not None
        assert await enqueue(store, other, dedupe_key="d") is not None
        job = next(job for job in await claim(store, 9) if job.id == first)
        assert await enqueue(store, company, dedupe_key="d") is None
        await store.jobs.retry(job, run_at=NOW, error="")
        assert await enqueue(store, company, dedupe_key="d") is None
        (job,) = await claim(store)
        await store.jobs.bury(job, error="", now=NOW)
        assert await enqueue(store, company, dedupe_key="d") is not None
        assert await requeue(store, first) is None, "its place is taken"
        (job,) = await claim(store)
        await store.jobs.finish(job, NOW)
        assert await requeue(store, first) == company.id

    async def test_one_of_many_gets_the_dedupe_key(self, store: Store, company: Company) -> None:
        made = await asyncio.gather(*(enqueue(store, company, dedupe_key="d") for _ in range(20)))
        assert sum(id is not None for id in made) == 1

    async def test_lists(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        made = [
            await enqueue(store, each, at=NOW + SECOND * place) for place, each in enumerate((company, other, company))
        ]
        made.reverse()
        assert [job.id for job in await store.jobs.list()] == made
        assert [job.id for job in await store.jobs.list(limit=2)] == made[:2]
        assert [job.id for job in await store.jobs.list(company_id=company.id)] == made[::2]
        (running,) = await claim(store, now=NOW)
        assert await store.jobs.list(state="running") == (running,)
        assert len(await store.jobs.list(state="waiting")) == 2
        assert await store.jobs.list(state="no such state") == ()

    async def test_depth(self, store: Store, company: Company) -> None:
        assert await store.jobs.depth(NOW) == (0, 0, 0, 0.0)
        for place in range(5):
            await enqueue(store, company, run_at=NOW + MINUTE * place)
        dead, running = await claim(store, 2, now=NOW + MINUTE)
        await store.jobs.bury(dead, error="", now=NOW)
        assert await store.jobs.depth(NOW + MINUTE) == (0, 1, 1, 0.0)
        assert await store.jobs.depth(NOW + MINUTE * 2) == (2, 0, 1, 60.0), "a lost lease is due again"
        await store.jobs.heartbeat(running, lease=HOUR, now=NOW + MINUTE)
        assert await store.jobs.depth(NOW + MINUTE * 3 + SECOND / 2) == (2, 1, 1, 60.5)
