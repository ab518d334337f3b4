"""What becomes of a job whose attempt did not end well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from loadingdock import worker
from loadingdock.core.errors import NotFound, StorageFull, Unavailable
from loadingdock.core.model.jobs import Job, JobState
from loadingdock.core.ports.records import Unit
from loadingdock.core.processing import Delayed
from loadingdock.testing.clock import SetClock
from loadingdock.testing.records.store import HOUR, MINUTE, SECOND, Store
from loadingdock.worker import Handler, Limits, Schedule, Worker
from tests import sqlite

ATTEMPTS = 3


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    records = sqlite.opened(tmp_path / "records.sqlite3")
    yield Store(records, records.jobs, lambda: pytest.fail("no twin is asked for"))
    await records.close()


class Desk:
    """A worker and its one job. `waits` are what lay between the attempts."""

    def __init__(self, store: Store) -> None:
        self.clock = SetClock()
        self.waits: list[timedelta] = []
        self._store = store

    async def attempt(self, handler: Handler, times: int, *, lease: timedelta = HOUR) -> Job:
        """The job as it stands after so many attempts, each of them begun as soon as it may be."""
        over = asyncio.Event()
        left = times

        async def counted(job: Job) -> None:
            nonlocal left
            left -= 1
            if not left:
                over.set()
            await handler(job)

        limits = Limits(concurrency=1, lease=lease, max_attempts=ATTEMPTS, drain=MINUTE)
        life = Worker(self._store.jobs, {"process": counted}, (), self.clock, limits)
        running = asyncio.create_task(life.run())
        while not over.is_set():
            await asyncio.sleep(0.01)  # what the queue holds is seen only by looking
            job = await self.job()
            if job.state is JobState.WAITING and job.run_at > self.clock.now():
                self.waits.append(job.run_at - self.clock.now())
                self.clock.advance(job.run_at - self.clock.now())
        life.stop()
        await running
        return await self.job()

    async def job(self) -> Job:
        (job,) = await self._store.jobs.list()
        return job


@pytest.fixture
async def desk(store: Store, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(worker, "_IDLE", SECOND / 50)  # it waits by the true clock for what is due by ours
    desk = Desk(store)
    company = await store.company()
    await store.write(company, lambda unit: unit.jobs.enqueue("process", "file", at=desk.clock.now()))
    return desk


def raising(error: Exception) -> Handler:
    async def handler(job: Job) -> None:
        raise error

    return handler


@pytest.mark.parametrize("error", [ValueError("odd"), NotFound("blob")], ids=lambda error: type(error).__name__)
async def test_a_job_that_keeps_failing_is_given_up(desk: Desk, error: Exception) -> None:
    job = await desk.attempt(raising(error), ATTEMPTS)
    assert (job.state, job.attempts) == (JobState.DEAD, ATTEMPTS)
    assert job.last_error == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "error", [Unavailable("store"), StorageFull(), Delayed("scanner: away")], ids=lambda error: type(error).__name__
)
async def test_a_job_outlasts_whatever_it_needs(desk: Desk, error: Exception) -> None:
    """And is never far from its next attempt, so that it goes on soon once that is back."""
    job = await desk.attempt(raising(ValueError("odd")), ATTEMPTS - 1)
    assert job.attempts == ATTEMPTS - 1
    job = await desk.attempt(raising(error), 3 * ATTEMPTS)
    assert (job.state, job.attempts) == (JobState.WAITING, ATTEMPTS - 1)
    assert max(desk.waits) <= 8 * SECOND


async def test_jobs_that_wait_leave_room_for_others(store: Store) -> None:
    """Of one kind no more run than may, however many are due, and another kind goes on meanwhile."""
    company, clock = await store.company(), SetClock()
    over, enough = asyncio.Event(), asyncio.Event()
    waiting, worked = 0, 0

    async def wait(job: Job) -> None:
        nonlocal waiting
        waiting += 1
        await over.wait()
        waiting -= 1

    async def work(job: Job) -> None:
        nonlocal worked
        worked += 1
        if worked == 5:
            assert waiting == 2
            enough.set()

    for n in range(5):
        for kind in ("callback", "process"):

            async def enqueue(unit: Unit, kind: str = kind, subject: str = str(n)) -> None:
                await unit.jobs.enqueue(kind, subject, at=clock.now())

            await store.write(company, enqueue)
    limits = Limits(4, lease=HOUR, max_attempts=ATTEMPTS, drain=MINUTE, at_most={"callback": 2})
    life = Worker(store.jobs, {"process": work, "callback": wait}, (), clock, limits)
    running = asyncio.create_task(life.run())
    async with asyncio.timeout(30):
        await enough.wait()
        life.stop()
        over.set()
        await running


async def test_a_job_that_knows_when_is_tried_then(desk: Desk) -> None:
    until = desk.clock.now() + HOUR
    job = await desk.attempt(raising(Delayed("later", until=until)), 1)
    assert (job.state, job.run_at, job.attempts) == (JobState.WAITING, until, 0)


@pytest.mark.parametrize("ends", ["well", "badly", "late"])
async def test_who_lost_its_job_has_no_say_in_it(desk: Desk, store: Store, ends: str) -> None:
    async def handler(job: Job) -> None:
        desk.clock.advance(2 * HOUR)
        (taken,) = await store.jobs.claim("another", lease=HOUR, limit=1, cap=9, now=desk.clock.now())
        assert await store.jobs.finish(taken, desk.clock.now())
        if ends == "late":
            await asyncio.sleep(60)  # until the heartbeat finds out
        if ends == "badly":
            raise ValueError("odd")

    lease = SECOND / 10 if ends == "late" else HOUR
    job = await desk.attempt(handler, 1, lease=lease)
    assert (job.state, job.attempts, job.last_error) == (JobState.DONE, 2, None)


async def test_a_sweep_that_finds_something_away_says_so_in_a_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every minute, for as long as that is away; what nobody foresaw is told with its traceback."""
    monkeypatch.setattr(worker, "log", structlog.get_logger("loadingdock.worker"))  # another test may have bound it
    last = asyncio.Event()

    async def away() -> int:
        raise Unavailable("store", why="no answer (Connection refused)")

    async def odd() -> int:
        last.set()
        raise ValueError("odd")

    schedules = (Schedule("arrivals", MINUTE, away), Schedule("expire", MINUTE, odd))
    life = Worker(store.jobs, {}, schedules, SetClock(), Limits(1, lease=HOUR, max_attempts=ATTEMPTS, drain=MINUTE))
    with structlog.testing.capture_logs() as logged:
        running = asyncio.create_task(life.run())
        async with asyncio.timeout(30):
            await last.wait()
            life.stop()
            await running
    told = {line["sweep"]: line for line in logged}
    assert told["arrivals"]["reason"] == "store: no answer (Connection refused)"
    assert (told["arrivals"]["log_level"], "exc_info" in told["arrivals"]) == ("warning", False)
    assert isinstance(told["expire"]["exc_info"], ValueError)
