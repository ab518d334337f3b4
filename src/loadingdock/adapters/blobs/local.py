"""Blobs as plain files in a folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import ParamSpec, TypeVar

from loadingdock.adapters.blobs.hashes import Hashes
from loadingdock.adapters.blobs.keys import fresh_key, split
from loadingdock.adapters.blobs.observing import Observe, unobserved
from loadingdock.adapters.blobs.reader import Reader
from loadingdock.adapters.blobs.spool import PIECE, Disk, Spool, engine_errors
from loadingdock.adapters.blobs.tree import Tree
from loadingdock.adapters.blobs.writer import LocalWriter, Workshop
from loadingdock.core.errors import NotFound
from loadingdock.core.ports.examination import Examination

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16
_HELPERS = 8
_AHEAD = 16 << 20  # bytes that all readers together are given at once
_LEAST = 64 << 10
_LISTED = 1000  # keys in one thread job


class LocalBlobs:
    """A `BlobStore` in the folder `root`, which several processes of one machine may share. `observe` is told how many
    seconds each commit, suspend, read (until its first piece) and delete took."""

    def __init__(self, root: Path, observe: Observe = unobserved) -> None:
        self._disk = Disk()
        with engine_errors():
            self._tree = Tree(root, self._disk.fsync)
        self._root = root
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        # Threads of their own: those that wait for them may fill the pool.
        self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="fsync")
        self._workshop = Workshop(self._disk, self._pool, self._helpers, observe)
        self._observe = observe
        self._readers = 0

    async def _blocking(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with engine_errors():
            return await self._workshop.job(work, *args, **kwargs)

    # --- writing -------------------------------------------------------------

    @asynccontextmanager
    async def writer(
        self, *, length: int | None = None, digests: Iterable[str] = (), key: str | None = None
    ) -> AsyncIterator[LocalWriter]:
        self._disk.check()
        if key is None:
            key = fresh_key()
        else:
            split(key)
        spool = Spool(self._tree, self._disk, key, Hashes(digests), length=length or 0)
        writer = LocalWriter(self._workshop, spool, opened=False)
        try:
            yield writer
        finally:
            await writer.close()

    @asynccontextmanager
    async def resume(self, key: str, offset: int, *, digests: Iterable[str] = ()) -> AsyncIterator[LocalWriter]:
        self._disk.check()
        split(key)
        hashes = Hashes(digests)
        known = self._workshop.suspended.get(key)
        if known is not None and known.names == hashes.names and known.size <= offset:
            hashes = known.copy()
        spool = Spool(self._tree, self._disk, key, hashes, suspended=offset)
        writer = LocalWriter(self._workshop, spool, opened=True)
        try:
            await self._workshop.job(spool.reopen)
            yield writer
        finally:
            await writer.close()

    # --- everything else -----------------------------------------------------

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        reader = Reader(self._tree, key, start, length)
        self._readers += 1
        started: float | None = time.perf_counter()
        ahead = self._workshop.job(reader.piece, self._piece())
        try:
            while piece := await ahead:
                if started is not None:
                    self._observe("read", time.perf_counter() - started)
                    started = None
                if reader.closed:
                    yield piece
                    break
                ahead = self._workshop.job(reader.piece, self._piece())  # while the consumer is busy with this one
                yield piece
        finally:
            self._readers -= 1
            if not reader.closed:
                await asyncio.shield(self._workshop.job(reader.close))
            if not ahead.cancel() and not ahead.cancelled():
                ahead.exception()  # nobody waits for it any more

    def _piece(self) -> int:
        """Pieces of slow readers wait in memory; the more there are, the smaller they get."""
        return max(_LEAST, min(PIECE, _AHEAD // self._readers))

    def local_path(self, key: str) -> Path | None:
        """None where there is no such blob."""
        try:
            with engine_errors():
                self._tree.size(key)
        except NotFound:
            return None
        return self._tree.path(key)

    async def download_url(self, key: str, *, expires_in: timedelta, content_type: str, disposition: str) -> str | None:
        return None

    async def head(self, key: str) -> int | None:
        try:
            return await self._blocking(self._tree.size, key)
        except NotFound:
            return None

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self._workshop.suspended.pop(key, None)
        started = time.perf_counter()
        await self._blocking(self._tree.unlink_all, keys)
        self._observe("delete", time.perf_counter() - started)

    async def list(self, *, before: datetime) -> AsyncIterator[str]:
        walk = self._tree.walk(before)
        while keys := await self._blocking(lambda: [*islice(walk, _LISTED)]):
            for key in keys:
                yield key

    async def free_bytes(self) -> int | None:
        return await self._blocking(self._tree.free_bytes)

    async def ping(self) -> None:
        await self._blocking(self._tree.probe)

    async def examine(self) -> Examination:
        await self.ping()
        return Examination(f"folder {self._root}")

    async def close(self) -> None:
        """Waits for what is under way."""
        await asyncio.to_thread(self._pool.shutdown)
        self._helpers.shutdown()
        self._tree.close()
