"""Shorthand of the suites: jobs are put in and claimed at NOW unless they say otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from loadingdock.core.model.companies import Company
from loadingdock.core.model.jobs import Job
from loadingdock.testing.records.store import MINUTE, NOW, Store


async def enqueue(store: Store, company: Company, subject: str = "file", **options: Any) -> str | None:
    options = {"kind": "process", "at": NOW, **options}
    return await store.write(company, lambda unit: unit.jobs.enqueue(subject=subject, **options))


async def claim(
    store: Store,
    limit: int = 1,
    *,
    cap: int = 100,
    now: datetime = NOW,
    lease: timedelta = MINUTE,
    kinds: Sequence[str] | None = None,
    worker: str = "worker",
) -> list[Job]:
    return list(await store.jobs.claim(worker, lease=lease, limit=limit, cap=cap, now=now, kinds=kinds))


async def holds(store: Store, job: Job) -> bool:
    return await store.records.read(job.company_id, lambda unit: unit.jobs.holds(job))


async def requeue(store: Store, id: str, now: datetime = NOW, *, company: Company | None = None) -> int | None:
    """By a unit of that company, or by one without a tenant."""
    return await store.records.write(None if company is None else company.id, lambda unit: unit.jobs.requeue(id, now))


async def ended(store: Store, job: Job) -> list[bool]:
    """What each word of a job's holder is answered."""
    return [
        await holds(store, job),
        await store.jobs.heartbeat(job, lease=MINUTE, now=NOW),
        await store.jobs.remember(job, {"stolen": True}),
        await store.jobs.retry(job, run_at=NOW, error="stolen"),
        await store.jobs.bury(job, error="stolen", now=NOW),
        await store.jobs.finish(job, NOW),
    ]


async def the_job(store: Store, id: str | None) -> Job:
    (job,) = [job for job in await store.jobs.list() if job.id == id]
    return job
