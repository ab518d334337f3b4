"""The jobs table, from the unit's side and from the worker's."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from loadingdock.adapters.records.bell import Bell
from loadingdock.adapters.records.executor import JOBS, Engine, Executor, Part, Row
from loadingdock.adapters.records.values import from_json, micros, micros_of, moment, moment_or_none, new_id, to_json
from loadingdock.core.model.jobs import Job, JobState


class JobRows(Part):
    __slots__ = ()

    async def enqueue(
        self,
        kind: str,
        subject: str,
        payload: Mapping[str, Any] | None = None,
        *,
        at: datetime,
        run_at: datetime | None = None,
        dedupe_key: str | None = None,
    ) -> str | None:
        id = new_id()
        row = {
            "id": id,
            "company_id": self._tenant(),
            "kind": kind,
            "subject": subject,
            "payload": to_json(payload) if payload else None,
            "at": micros(at),
            "run_at": micros(at if run_at is None else run_at),
            "dedupe_key": dedupe_key,
        }
        if dedupe_key is None:
            await self._db.add("job_add", **row)
        elif not await self._db.run("job_add", **row):
            return None
        self._db.signal(JOBS)
        return id

    async def requeue(self, id: str, now: datetime) -> int | None:
        row = await self._db.one("job_requeue", id=id, now=micros(now), company_id=self._company_id)
        if row is None:
            return None
        self._db.signal(JOBS)
        return int(row[0])

    async def holds(self, job: Job) -> bool:
        row = await self._db.one("job_holds", company_id=self._company_id, id=job.id, fence=job.fence)
        return row is not None


class SqlJobQueue:
    """A job goes back to the queue when its lease has run out and anyone claims: from then on its old holder's word
    counts no more, even before it is claimed anew."""

    def __init__(self, engine: Engine, bell: Bell) -> None:
        self._engine = engine
        self._bell = bell

    async def claim(
        self, worker: str, *, lease: timedelta, limit: int, cap: int, now: datetime, kinds: Sequence[str] | None = None
    ) -> tuple[Job, ...]:
        self._bell.listen(JOBS)  # what rings from here on ends a `wait` that follows
        at = micros(now)
        among = None if kinds is None else json.dumps(list(kinds))

        async def work(db: Executor) -> tuple[Job, ...] | None:
            await db.run("jobs_release_lost", now=at)
            companies = await _companies(db, at, among, limit, cap)
            if companies is None:
                return None
            chosen = await _choose(db, at, among, limit, companies)
            if not chosen:
                return ()
            until = at + micros_of(lease)
            claimed = map(_job, await db.all("jobs_claim", ids=json.dumps(chosen), worker=worker, lease_until=until))
            return tuple(sorted(claimed, key=lambda job: chosen.index(job.id)))

        while (jobs := await self._engine.transact(work)) is None:
            pass  # others claimed meanwhile what was seen; each time round one of them went on
        return jobs

    async def heartbeat(self, job: Job, *, lease: timedelta, now: datetime) -> bool:
        return await self._held(job, "job_heartbeat", lease_until=micros(now) + micros_of(lease))

    async def remember(self, job: Job, memo: Mapping[str, Any]) -> bool:
        return await self._held(job, "job_remember", memo=to_json(memo))

    async def finish(self, job: Job, now: datetime) -> bool:
        return await self._held(job, "job_finish", JOBS, now=micros(now))

    async def retry(self, job: Job, *, run_at: datetime, error: str, counts: bool = True) -> bool:
        return await self._held(job, "job_retry", JOBS, run_at=micros(run_at), error=error, forgiven=0 if counts else 1)

    async def bury(self, job: Job, *, error: str, now: datetime) -> bool:
        return await self._held(job, "job_bury", JOBS, error=error, now=micros(now))

    async def _held(self, job: Job, query: str, topic: str | None = None, **params: Any) -> bool:
        """Runs what only the holder may; ending a job rings, because it makes room under its company's cap."""

        return bool(await self._engine.once(query, topic, id=job.id, fence=job.fence, **params))

    async def list(
        self, *, state: str | None = None, company_id: int | None = None, limit: int = 100
    ) -> tuple[Job, ...]:
        finished = True if state in (JobState.DONE, JobState.DEAD) else None

        async def work(db: Executor) -> tuple[Job, ...]:
            rows = await db.all("job_list", state=state, company_id=company_id, finished=finished, limit=limit)
            return tuple(map(_job, rows))

        return await self._engine.look(work)

    async def depth(self, now: datetime) -> tuple[int, int, int, float]:
        at = micros(now)

        async def work(db: Executor) -> Row | None:
            return await db.one("jobs_depth", now=at)

        row = await self._engine.look(work)
        if row is None:
            return 0, 0, 0, 0.0
        due, running, dead, *oldest = row
        since = min((run_at for run_at in oldest if run_at is not None), default=at)
        return due, running, dead, (at - since) / 1_000_000

    async def due(self, name: str, every: timedelta, now: datetime) -> bool:
        return bool(await self._engine.once("schedule_due", None, name=name, every=micros_of(every), now=micros(now)))

    async def wait(self, timeout: timedelta) -> None:
        """What was committed since this task's last `claim` counts: nothing falls between the two. A job that only
        time makes due does not ring."""
        await self._bell.wait(JOBS, timeout.total_seconds())


async def _companies(db: Executor, now: int, kinds: str | None, limit: int, cap: int) -> Sequence[Row] | None:
    """The companies whose jobs may be claimed here: (id, cap, running). None if that changed while it was found out.

    Where others claim at the same time, a company that one of them is looking at is passed over; if all of them are
    being looked at, this waits for the first. Their jobs are then counted again, as they are by now.
    """
    seen = await db.all("jobs_companies_due", now=now, kinds=kinds, cap=cap, limit=limit)
    if db.alone or not seen:
        return seen
    turns = await db.all("jobs_turns", companies=json.dumps([id for id, _, _ in seen]))
    mine = {id for (id,) in turns}
    if not mine:
        await db.hold("jobs_turn", company_id=seen[0][0])
        mine = {seen[0][0]}
    counted = await db.all("jobs_companies_due", now=now, kinds=kinds, cap=cap, limit=limit)
    return [company for company in counted if company[0] in mine] or None


async def _choose(db: Executor, now: int, kinds: str | None, limit: int, companies: Sequence[Row]) -> list[str]:
    """The ids to claim: the n-th job of a company competes as if n-1 more of its jobs were running; among equals the
    one that is due longest goes first. A company beyond the first `limit` in that order cannot be reached."""
    candidates: list[tuple[int, int, str]] = []
    for company_id, room, running in companies:
        rows = await db.all("jobs_due", company_id=company_id, now=now, kinds=kinds, limit=min(limit, room - running))
        candidates += [(running + place, run_at, id) for place, (run_at, id) in enumerate(rows)]
    return [id for _, _, id in heapq.nsmallest(limit, candidates)]


def _job(row: Row) -> Job:
    (
        id,
        company_id,
        kind,
        subject,
        payload,
        state,
        attempts,
        run_at,
        created_at,
        fence,
        lease_until,
        worker,
        memo,
        dedupe_key,
        last_error,
        finished_at,
    ) = row
    return Job(
        id,
        company_id,
        kind,
        subject,
        from_json(payload),
        JobState(state),
        attempts,
        moment(run_at),
        moment(created_at),
        fence,
        moment_or_none(lease_until),
        worker,
        from_json(memo),
        dedupe_key,
        last_error,
        moment_or_none(finished_at),
    )
