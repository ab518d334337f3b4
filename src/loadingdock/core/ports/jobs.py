"""Jobs: asked for in the transaction of what they are about, claimed by workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from loadingdock.core.model.jobs import Job


class JobRecords(Protocol):
    """The unit's side of the queue: jobs join the transaction of what they are about."""

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
        """The job's id; None if a job with that dedupe key is waiting or running already."""
        ...

    async def holds(self, job: Job) -> bool:
        """Whether the job is still running under this fence. A unit that writes a job's result asks first."""
        ...

    async def requeue(self, id: str, now: datetime) -> int | None:
        """A dead job becomes waiting again, its attempts forgotten, and workers are woken after the commit. The id of
        its company; None if there is no such dead job, or another with its dedupe key is waiting or running. A unit
        without a tenant may requeue any company's."""
        ...


class JobQueue(Protocol):
    """The worker's side of the jobs table.

    A job is claimed by at most one worker at a time; a lease that ran out is claimable again with a higher fence.
    Claims are fair between companies: no company gets a second job while another one waits for its first, and no
    company has more running than its setting `job-cap` says, `cap` where it has none.
    """

    async def claim(
        self, worker: str, *, lease: timedelta, limit: int, cap: int, now: datetime, kinds: Sequence[str] | None = None
    ) -> tuple[Job, ...]: ...

    async def heartbeat(self, job: Job, *, lease: timedelta, now: datetime) -> bool:
        """Extends the lease; False if the job is no longer ours."""
        ...

    async def remember(self, job: Job, memo: Mapping[str, Any]) -> bool:
        """Stores the results of the finished steps; False, and nothing stored, if the job is no longer ours."""
        ...

    async def finish(self, job: Job, now: datetime) -> bool: ...
    async def retry(self, job: Job, *, run_at: datetime, error: str, counts: bool = True) -> bool:
        """Back to waiting. `counts=False`: the attempt is not counted (the scanner was down, not the job wrong)."""
        ...

    async def bury(self, job: Job, *, error: str, now: datetime) -> bool: ...
    async def list(
        self, *, state: str | None = None, company_id: int | None = None, limit: int = 100
    ) -> tuple[Job, ...]:
        """Newest first; of one company, or of all of them."""
        ...

    async def depth(self, now: datetime) -> tuple[int, int, int, float]:
        """(waiting and due, running, dead, age in seconds of the oldest due)."""
        ...

    async def due(self, name: str, every: timedelta, now: datetime) -> bool:
        """True for one caller in the installation each time the schedule `name` has come round."""
        ...

    async def wait(self, timeout: timedelta) -> None:
        """Returns when a job may have become claimable, or when the time is up."""
        ...
