"""Any number of web processes and workers on one PostgreSQL and one S3 store: whichever of them end, and however,
nothing acknowledged is lost and nothing is done twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.model.jobs import Job
from tests.desk import eventually
from tests.faults.check import fsck, jobs_of, once, verify
from tests.faults.fleet import Fleet, Worker
from tests.faults.flows import flows
from tests.faults.load import Load

pytestmark = [pytest.mark.slow, pytest.mark.engine("postgres"), pytest.mark.engine("s3")]

LEASE = timedelta(seconds=3)
_KILLS = 5  # of workers, in one cycle
Make = Callable[..., Fleet]


# --- ended at random ---------------------------------------------------------


class Running:
    """The jobs under way, looked at again and again. `overdue` is the longest time that a lease had run out and nobody
    had taken the job."""

    def __init__(self, fleet: Fleet) -> None:
        self.overdue = timedelta(0)
        self._fleet = fleet

    async def watch(self) -> None:
        while True:
            await asyncio.to_thread(self.jobs)
            await asyncio.sleep(0.2)

    def jobs(self) -> tuple[Job, ...]:
        jobs = self._fleet.desk.ask(lambda services: services.jobs.list(state="running"))
        for job in jobs:
            if job.lease_until is not None:
                self.overdue = max(self.overdue, self._fleet.desk.services.clock.now() - job.lease_until)
        return jobs

    def until_held_by(self, worker: Worker) -> None:
        """If that comes true soon: it may be that there is nothing to do."""
        with suppress(AssertionError):
            eventually(lambda: worker.name in {job.worker for job in self.jobs()}, within=2)


async def web_ended_at_random(fleet: Fleet, times: int, chance: random.Random) -> None:
    """One after the other: mostly killed, sometimes asked to end. The others go on meanwhile."""
    for _ in range(times):
        victim = chance.choice(fleet.web)
        await asyncio.to_thread(victim.stop if chance.random() < 0.2 else victim.kill)
        await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.to_thread(victim.start)
        await asyncio.sleep(chance.uniform(0, 0.5))


async def workers_ended_at_random(fleet: Fleet, running: Running, times: int, chance: random.Random) -> None:
    """Likewise, in the midst of a job where that can be."""
    for _ in range(times):
        victim = chance.choice(fleet.workers)
        await asyncio.to_thread(running.until_held_by, victim)
        await asyncio.to_thread(victim.stop if chance.random() < 0.2 else victim.kill)
        await asyncio.sleep(chance.uniform(0, 0.5))
        await asyncio.to_thread(victim.start)


async def under_load(fleet: Fleet, company: Company, running: Running, chance: random.Random) -> Load:
    """Some of the processes ended meanwhile, and every job done at the end."""
    senders = flows(fleet.desk, company)
    async with Load(senders, lambda: fleet.client(chance), pause=0.5) as load:
        watching = asyncio.create_task(running.watch())
        async with asyncio.TaskGroup() as group:
            group.create_task(workers_ended_at_random(fleet, running, _KILLS, chance))
            group.create_task(web_ended_at_random(fleet, _KILLS // 2, chance))
        await load.goes_on()
    await asyncio.to_thread(fleet.desk.idle)
    watching.cancel()
    return load


@pytest.mark.timeout(7200)
@pytest.mark.cycles(1, all=40)
def test_processes_ended_at_random_lose_and_double_nothing(
    make_fleet: Make, cycles: int, chance: random.Random
) -> None:
    fleet = make_fleet(web=3, workers=2, lease=f"{LEASE.total_seconds():g}s").start()
    running = Running(fleet)
    for _ in range(cycles):
        company = fleet.desk.company("fleet")
        load = asyncio.run(under_load(fleet, company, running, chance))
        jobs = jobs_of(fleet.desk, company)
        over = sum(job.fence > 1 for job in jobs)
        print(len(load.ledger), "acknowledged,", load.refused, "refused,", load.broken, "without an answer")
        print(over, "of", len(jobs), "jobs taken over; the longest wait for that", running.overdue)
        assert load.ledger
        assert running.overdue < LEASE, "a job was stuck for more than two leases"
        verify(fleet.desk, load.ledger)
        once(fleet.desk, company)
    fleet.stop()
    fsck(fleet.environment)
