"""Claims jobs, keeps their leases alive, runs them, and says how they ended. Sweeps come round by their schedules.

A job's effects are at least once, their result once: every write of a handler asks whether the lease still holds.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from loadingdock.core import settings
from loadingdock.core.errors import DockError, Sealed, StorageFull, Unavailable, seen
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.processing import Delayed, Lost, backoff
from loadingdock.core.scratch import clear

log = structlog.get_logger("loadingdock.worker")

Handler = Callable[[Job], Coroutine[Any, Any, None]]
_IDLE = timedelta(seconds=1)
_LONGEST = 300.0  # seconds before the next attempt of a job that failed
_SOON = 8.0  # the same where only an engine was away: its return is found out by trying
_SEALED = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A sweep that runs once in the installation each time `every` has passed."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Limits:
    """`at_most` of a kind of job run at once: one that waits for others must not hold up those that work."""

    concurrency: int
    lease: timedelta
    max_attempts: int
    drain: timedelta
    at_most: Mapping[str, int] = field(default_factory=dict)


class Worker:
    def __init__(
        self,
        queue: JobQueue,
        handlers: Mapping[str, Handler],
        schedules: tuple[Schedule, ...],
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._handlers = handlers
        self._schedules = schedules
        self._clock = clock
        self._limits = limits
        self._stopping = asyncio.Event()
        self._running: dict[asyncio.Task[None], str] = {}  # and the kinds of their jobs
        # A name that no other life of this or another process ever has.
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    async def run(self) -> None:
        """Until `stop`; then what is running may end within the drain time, and goes back to the queue if not."""
        await asyncio.to_thread(clear)  # after one that was killed
        sweeps = asyncio.create_task(self._sweep())
        try:
            while not self._stopping.is_set():
                try:
                    await self._turn()
                except Sealed:  # whoever works where the installation is moved to will do them
                    await self._pause(_SEALED)
                except DockError as error:
                    log.warning("queue not available", reason=seen(error))
                    await self._pause(_IDLE)
        finally:
            sweeps.cancel()
            await self._drain()

    def stop(self) -> None:
        self._stopping.set()

    async def _turn(self) -> None:
        free = self._limits.concurrency - len(self._running)
        if free == 0:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            return
        limit, kinds = self._room(free)
        jobs = await self._queue.claim(
            self.name,
            lease=self._limits.lease,
            limit=limit,
            cap=settings.JOB_CAP.default,
            now=self._clock.now(),
            kinds=kinds,
        )
        for job in jobs:
            task = asyncio.create_task(self._work(job))
            self._running[task] = job.kind
            task.add_done_callback(self._running.pop)
        if not jobs:
            await self._wait_for_work()

    def _room(self, free: int) -> tuple[int, tuple[str, ...]]:
        """(how many jobs, of which kinds): no more than each of these kinds has room for, as all may be of one."""
        running = list(self._running.values())
        left = {kind: most - running.count(kind) for kind, most in self._limits.at_most.items()}
        kinds = tuple(kind for kind in self._handlers if left.get(kind, free) > 0)
        return min(left.get(kind, free) for kind in kinds) if kinds else 0, kinds

    async def _wait_for_work(self) -> None:
        wait = asyncio.ensure_future(self._queue.wait(_IDLE))
        stop = asyncio.ensure_future(self._stopping.wait())
        _, pending = await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

    async def _pause(self, time: timedelta) -> None:
        try:
            async with asyncio.timeout(time.total_seconds()):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _work(self, job: Job) -> None:
        try:
            await self._attempt(job)
        except Lost:
            log.warning("job lost to another worker", job=job.id, kind=job.kind, reason="its lease had run out")
        except DockError as error:  # it comes round again when its lease has run out
            log.warning("end of job not written", job=job.id, kind=job.kind, reason=seen(error))

    async def _attempt(self, job: Job) -> None:
        """Raises Lost if the job is not ours any more: then nothing of it was written."""
        handler = asyncio.create_task(self._handlers[job.kind](job))
        beat = asyncio.create_task(self._beat(job, handler))
        try:
            await handler
            _held(await self._queue.finish(job, self._clock.now()))
        except Lost:
            raise
        except asyncio.CancelledError:  # by the end of the worker, or because a heartbeat found the lease gone
            if not handler.done():
                handler.cancel()
            _held(await self._queue.retry(job, run_at=self._clock.now(), error="the worker stopped", counts=False))
            log.info("job given back", job=job.id, kind=job.kind)
        except Delayed as delay:
            await self._later(job, str(delay), counts=False, until=delay.until)
        except (Unavailable, StorageFull) as away:  # whatever the job is, this is not its fault
            await self._later(job, str(away), counts=False, logged=seen(away))
        except Exception as error:
            log.error("job failed", job=job.id, kind=job.kind, attempts=job.attempts, exc_info=error)
            if job.attempts >= self._limits.max_attempts:
                _held(await self._queue.bury(job, error=f"{type(error).__name__}: {error}", now=self._clock.now()))
            else:
                await self._later(job, f"{type(error).__name__}: {error}", counts=True)
        finally:
            beat.cancel()

    async def _later(
        self, job: Job, reason: str, *, counts: bool, logged: str = "", until: datetime | None = None
    ) -> None:
        """`logged` is for the log alone, in place of the reason."""
        now = self._clock.now()
        if until is None:
            until = now + backoff(job.attempts, random.random(), cap=_LONGEST if counts else _SOON)  # noqa: S311 - jitter
        _held(await self._queue.retry(job, run_at=until, error=reason, counts=counts))
        seconds = round((until - now).total_seconds(), 1)
        log.info("job delayed", job=job.id, kind=job.kind, reason=logged or reason, seconds=seconds)

    async def _beat(self, job: Job, handler: asyncio.Task[None]) -> None:
        """A job whose lease is lost is stopped: another worker has it."""
        while True:
            await asyncio.sleep(self._limits.lease.total_seconds() / 3)
            try:
                if not await self._queue.heartbeat(job, lease=self._limits.lease, now=self._clock.now()):
                    handler.cancel()
                    return
            except DockError as error:
                log.warning("heartbeat missed", job=job.id, reason=seen(error))

    async def _sweep(self) -> None:
        while not self._stopping.is_set():
            for schedule in self._schedules:
                try:
                    if await self._queue.due(schedule.name, schedule.every, self._clock.now()):
                        count = await schedule.run()
                        if count:
                            log.info("swept", sweep=schedule.name, count=count)
                except Sealed:
                    break
                except (Unavailable, StorageFull) as error:  # what it needs is away, and it comes round again
                    log.warning("sweep not done", sweep=schedule.name, reason=seen(error))
                except Exception as error:
                    log.error("sweep failed", sweep=schedule.name, exc_info=error)
            await self._pause(min((s.every for s in self._schedules), default=_IDLE) / 2)

    async def _drain(self) -> None:
        if not self._running:
            return
        _, pending = await asyncio.wait(self._running, timeout=self._limits.drain.total_seconds())
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


def _held(written: bool) -> None:
    if not written:
        raise Lost
