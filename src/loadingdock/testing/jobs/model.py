"""A job queue of a few lines, and a machine that drives it beside a real one, comparing all they say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from loadingdock.core.model.companies import Company
from loadingdock.core.model.jobs import Job, JobState
from loadingdock.testing.jobs.asking import requeue
from loadingdock.testing.records.store import MINUTE, NOW, Store

T = TypeVar("T")
TICK = timedelta(microseconds=1)


@dataclass
class Model:
    jobs: dict[str, Job] = field(default_factory=dict)

    def enqueue(self, id: str, company_id: int, kind: str, dedupe_key: str | None, run_at: datetime) -> None:
        self.jobs[id] = Job(
            id, company_id, kind, "file", {}, JobState.WAITING, 0, run_at, run_at, dedupe_key=dedupe_key
        )

    def taken(self, company_id: int, dedupe_key: str | None) -> bool:
        return any(
            job.dedupe_key == dedupe_key is not None and job.company_id == company_id
            for job in self.jobs.values()
            if job.state in (JobState.WAITING, JobState.RUNNING)
        )

    def claim(self, limit: int, cap: int, kinds: tuple[str, ...] | None, now: datetime, lease: timedelta) -> list[Job]:
        for job in self.running():
            if job.lease_until is not None and job.lease_until <= now:
                self.put(job, state=JobState.WAITING, worker=None, lease_until=None)
        claimed = []
        for _ in range(limit):
            due = [
                (len(self.running(job.company_id)), job.run_at, job)
                for job in self.jobs.values()
                if job.state is JobState.WAITING and job.run_at <= now and (kinds is None or job.kind in kinds)
            ]
            fair = sorted((entry for entry in due if entry[0] < cap), key=lambda entry: entry[:2])
            if not fair:
                break
            job = fair[0][2]
            claimed.append(
                self.put(
                    job,
                    state=JobState.RUNNING,
                    worker="worker",
                    fence=job.fence + 1,
                    attempts=job.attempts + 1,
                    lease_until=now + lease,
                )
            )
        return claimed

    def running(self, company_id: int | None = None) -> list[Job]:
        return [
            job for job in self.jobs.values() if job.state is JobState.RUNNING and company_id in (None, job.company_id)
        ]

    def held(self, job: Job, **changes: Any) -> bool:
        mine = self.jobs[job.id]
        if mine.state is not JobState.RUNNING or mine.fence != job.fence:
            return False
        self.put(mine, **changes)
        return True

    def put(self, job: Job, **changes: Any) -> Job:
        self.jobs[job.id] = replace(job, **changes)
        return self.jobs[job.id]


class JobMachine(RuleBasedStateMachine):
    """Times are all different, so that who is due longest is never a matter of taste."""

    claims = Bundle("claims")

    @staticmethod
    def stores() -> AbstractAsyncContextManager[Store]:
        """A fresh store; a subclass says of which adapter."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.resources = AsyncExitStack()
        self.store: Store = self.run(self.resources.enter_async_context(self.stores()))
        self.model = Model()
        self.companies: list[Company] = []
        self.now = NOW

    def run(self, what: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await what

        return self.runner.run(awaited())

    def teardown(self) -> None:
        self.run(self.resources.aclose())
        self.runner.close()

    def tick(self) -> datetime:
        self.now += TICK
        return self.now

    @initialize()
    def make_companies(self) -> None:
        self.companies = [self.run(self.store.company(code)) for code in ("one", "two", "three")]

    @rule(
        company=st.integers(0, 2),
        kind=st.sampled_from("ab"),
        dedupe_key=st.none() | st.sampled_from("xy"),
        delay=st.sampled_from([timedelta(), MINUTE]),
        count=st.integers(1, 3),
    )
    def enqueue(self, company: int, kind: str, dedupe_key: str | None, delay: timedelta, count: int) -> None:
        owner = self.companies[company]
        for _ in range(count):
            at = self.tick() + delay
            taken = self.model.taken(owner.id, dedupe_key)
            id = self.run(
                self.store.write(owner, lambda unit: unit.jobs.enqueue(kind, "file", at=at, dedupe_key=dedupe_key))  # noqa: B023 - called before the next turn
            )
            assert (id is None) == taken
            if id is not None:
                self.model.enqueue(id, owner.id, kind, dedupe_key, at)

    @rule(target=claims, limit=st.integers(1, 5), cap=st.integers(1, 3), kinds=st.sampled_from([None, ("a",), ()]))
    def claim(self, limit: int, cap: int, kinds: tuple[str, ...] | None) -> Any:
        now = self.tick()
        claimed = self.run(self.store.jobs.claim("worker", lease=MINUTE, limit=limit, cap=cap, now=now, kinds=kinds))
        wanted = self.model.claim(limit, cap, kinds, now, MINUTE)
        assert sorted(claimed, key=lambda job: job.id) == sorted(wanted, key=lambda job: job.id)
        return multiple(*claimed)

    @rule(job=claims)
    def heartbeat(self, job: Job) -> None:
        now = self.tick()
        held = self.run(self.store.jobs.heartbeat(job, lease=MINUTE, now=now))
        assert held == self.model.held(job, lease_until=now + MINUTE)

    @rule(job=claims, memo=st.dictionaries(st.sampled_from("st"), st.integers()))
    def remember(self, job: Job, memo: dict[str, int]) -> None:
        assert self.run(self.store.jobs.remember(job, memo)) == self.model.held(job, memo=memo)

    @rule(job=claims)
    def holds(self, job: Job) -> None:
        held = self.run(self.store.records.read(job.company_id, lambda unit: unit.jobs.holds(job)))
        assert held == self.model.held(job)

    @rule(job=consumes(claims))
    def finish(self, job: Job) -> None:
        now = self.tick()
        held = self.run(self.store.jobs.finish(job, now))
        assert held == self.model.held(job, state=JobState.DONE, finished_at=now, lease_until=None)

    @rule(job=claims, delay=st.sampled_from([timedelta(), MINUTE]), counts=st.booleans())
    def retry(self, job: Job, delay: timedelta, counts: bool) -> None:
        at = self.tick() + delay
        attempts = self.model.jobs[job.id].attempts - (not counts)
        held = self.run(self.store.jobs.retry(job, run_at=at, error="again", counts=counts))
        assert held == self.model.held(
            job,
            state=JobState.WAITING,
            run_at=at,
            last_error="again",
            attempts=attempts,
            lease_until=None,
            worker=None,
        )

    @rule(job=claims)
    def bury(self, job: Job) -> None:
        now = self.tick()
        held = self.run(self.store.jobs.bury(job, error="dead", now=now))
        assert held == self.model.held(job, state=JobState.DEAD, finished_at=now, last_error="dead", lease_until=None)

    @rule(job=claims)
    def requeue(self, job: Job) -> None:
        now = self.tick()
        mine = self.model.jobs[job.id]
        may = mine.state is JobState.DEAD and not self.model.taken(mine.company_id, mine.dedupe_key)
        assert self.run(requeue(self.store, job.id, now)) == (mine.company_id if may else None)
        if may:
            self.model.put(mine, state=JobState.WAITING, attempts=0, run_at=now, finished_at=None, worker=None)

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def they_agree(self) -> None:
        jobs = self.run(self.store.jobs.list(limit=1000))
        assert {job.id: job for job in jobs} == self.model.jobs
