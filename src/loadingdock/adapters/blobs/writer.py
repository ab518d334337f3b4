"""The loop's side of writing: what waits in memory, what is under way in a thread, what commits together."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

from loadingdock.adapters.blobs.commits import Commit, commit_all
from loadingdock.adapters.blobs.hashes import Hashes
from loadingdock.adapters.blobs.observing import Observe
from loadingdock.adapters.blobs.spool import Disk, Spool
from loadingdock.core.model.blobs import BlobRef

P = ParamSpec("P")
T = TypeVar("T")

_SMALL = 1 << 20  # up to here a blob waits in memory and costs one thread job in all
_HELD = 64 << 20  # by all waiting blobs together; beyond it they go to disk at once
_BATCH = 32  # files open in one group commit
_REMEMBERED = 1024  # suspended blobs whose digests' state is kept, some hundred bytes each


class Workshop:
    """What the writers of one store share.

    Group commit without a timer: what queued while the last batch ran is the next batch.
    """

    def __init__(self, disk: Disk, pool: Executor, helpers: Executor, observe: Observe) -> None:
        self.held = 0
        self.observe = observe
        self.suspended: OrderedDict[str, Hashes] = OrderedDict()
        self._disk = disk
        self._pool = pool
        self._helpers = helpers
        self._queue: list[tuple[Commit, asyncio.Future[None]]] = []
        self._busy = False

    def job(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))

    async def commit(self, commit: Commit, *, together: bool) -> None:
        if not together:
            await self.job(commit_all, self._disk, [commit], self._helpers)
            return
        done = asyncio.get_running_loop().create_future()
        self._queue.append((commit, done))
        if not self._busy:
            self._start()
        await done

    def _start(self) -> None:
        batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
        self._busy = bool(batch)
        if batch:
            job = self.job(commit_all, self._disk, [commit for commit, _ in batch], self._helpers)
            job.add_done_callback(partial(self._end, [done for _, done in batch]))

    def _end(self, waiting: Sequence[asyncio.Future[None]], job: asyncio.Future[None]) -> None:
        error = job.exception()
        for done in waiting:
            if done.cancelled():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._start()

    def remember(self, key: str, hashes: Hashes) -> None:
        """So that a resumed blob is not read again from its beginning; where nothing is remembered it is."""
        self.suspended[key] = hashes
        self.suspended.move_to_end(key)
        if len(self.suspended) > _REMEMBERED:
            self.suspended.popitem(last=False)


class LocalWriter:
    """A `BlobWriter`. One batch is under way in a thread while the next is gathered; a small blob waits in memory for
    its commit and then costs one thread job in all, shared with its neighbours."""

    def __init__(self, workshop: Workshop, spool: Spool, *, opened: bool) -> None:
        self.key = spool.key
        self.size = spool.size
        self._workshop = workshop
        self._spool = spool
        self._opened = opened
        self._waiting: list[bytes] = []
        self._held = 0
        self._under_way: asyncio.Future[None] | None = None
        self._kept = False

    async def write(self, batch: Sequence[bytes]) -> None:
        await self._landed()
        size = sum(map(len, batch))
        self.size += size
        if not self._opened and self.size <= _SMALL and self._workshop.held + size <= _HELD:
            self._waiting += batch
            self._held += size
            self._workshop.held += size
            return
        self._opened = True
        self._under_way = self._workshop.job(self._spool.write, [*self._waiting, *batch])
        self._release()

    async def commit(self) -> BlobRef:
        await self._landed()
        commit = Commit(self._spool, self._waiting)
        started = time.perf_counter()
        await self._workshop.commit(commit, together=not self._opened)
        self._workshop.observe("commit", time.perf_counter() - started)
        if commit.error is not None:
            raise commit.error
        assert commit.ref is not None
        self._kept = True
        self._workshop.suspended.pop(self.key, None)
        return commit.ref

    async def suspend(self) -> int:
        await self._landed()
        started = time.perf_counter()
        size = await self._workshop.job(self._spool.suspend, self._waiting)
        self._workshop.observe("suspend", time.perf_counter() - started)
        self._kept = True
        self._workshop.remember(self.key, self._spool.hashes)
        return size

    async def close(self) -> None:
        """Waits for the thread in any case: nothing is to be left when the context has ended, also not by a write that
        was under way when its request was cancelled."""
        self._release()
        if not self._kept:
            await asyncio.shield(self._workshop.job(self._spool.discard))

    async def _landed(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await under_way

    def _release(self) -> None:
        self._workshop.held -= self._held
        self._held = 0
        self._waiting = []
