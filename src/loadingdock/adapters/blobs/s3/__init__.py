"""Blobs as objects in a bucket of an S3 store, which any number of processes and machines may share.

    <prefix>/blobs/2026/11/22/0517/<32 hex>       what was committed, one object each
    <prefix>/staging/2026-11-22-0517-<32 hex>/    what was suspended (see `staging`)
    <prefix>/incoming/<company>/<upload>          what clients put there themselves (see `inbox`)

The store's checksums and ETags are never asked for what was received: SHA-256 is computed here, over the bytes as
they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from loadingdock.adapters.blobs.hashes import Hashes
from loadingdock.adapters.blobs.keys import KEY, fresh_key, split
from loadingdock.adapters.blobs.observing import Observe, unobserved
from loadingdock.adapters.blobs.s3 import staging
from loadingdock.adapters.blobs.s3.examination import examine
from loadingdock.adapters.blobs.s3.inbox import S3Inbox
from loadingdock.adapters.blobs.s3.multipart import Unfinished
from loadingdock.adapters.blobs.s3.objects import Objects
from loadingdock.adapters.blobs.s3.place import Place, Provider
from loadingdock.adapters.blobs.s3.troubles import code_of, refusal
from loadingdock.adapters.blobs.s3.wire import Wire
from loadingdock.adapters.blobs.s3.writer import PART, S3Writer, Workshop, blob_name
from loadingdock.core.errors import OffsetMismatch
from loadingdock.core.ports.examination import Examination

_SENDERS = 16
_HASHERS = 4
_PROBE = "probe"
_ABSENT = frozenset({404})
_BLOBS = "blobs/"


class S3Blobs:
    """A `BlobStore`. `observe` is told how many seconds each request to the store took. `part` is the size of the
    parts in which large blobs are sent, the same for all processes: S3 takes none of less than 5 MiB."""

    def __init__(self, place: Place, keys: Provider, observe: Observe = unobserved, *, part: int = PART) -> None:
        self.place = place
        self._senders = ThreadPoolExecutor(_SENDERS, thread_name_prefix="s3")
        # Threads of their own: digests wait for no request.
        self._hashers = ThreadPoolExecutor(_HASHERS, thread_name_prefix="digest")
        self._wire = Wire(place, keys, observe)
        self._objects = Objects(place, keys, observe)
        self.inbox = S3Inbox(self._wire, self._objects, self._senders)
        self._shop = Workshop(self._wire, self._objects, self._senders, self._hashers, part)

    # --- writing -------------------------------------------------------------

    @asynccontextmanager
    async def writer(
        self, *, length: int | None = None, digests: Iterable[str] = (), key: str | None = None
    ) -> AsyncIterator[S3Writer]:
        """`length` is of no use here: nothing can be reserved."""
        if key is None:
            key = fresh_key()
        else:
            split(key)
        writer = S3Writer(self._shop, key, Hashes(digests))
        try:
            yield writer
        finally:
            await writer.close()

    @asynccontextmanager
    async def resume(self, key: str, offset: int, *, digests: Iterable[str] = ()) -> AsyncIterator[S3Writer]:
        split(key)
        writer = S3Writer(self._shop, key, Hashes(digests))
        token = await self._shop.ask(self._shop.staging.lock, key)
        try:
            state = await self._shop.ask(self._shop.staging.load, key)
            tail = state.tail_at(offset)
            if offset > state.size or tail is None:
                raise OffsetMismatch(current=state.size, claimed=offset)
            await writer.take_up(offset, token, state, tail)
        except BaseException:
            await asyncio.shield(self._shop.ask(self._shop.staging.unlock, key, token))
            raise
        renewing = asyncio.create_task(writer.keep_lock())
        try:
            yield writer
        finally:
            renewing.cancel()
            await writer.close()

    # --- everything else -----------------------------------------------------

    async def read(self, key: str, start: int = 0, length: int | None = None) -> AsyncGenerator[bytes, None]:
        split(key)
        async with aclosing(self._objects.read(blob_name(key), start, length)) as pieces:
            async for piece in pieces:
                yield piece

    def local_path(self, key: str) -> Path | None:
        return None

    async def download_url(self, key: str, *, expires_in: timedelta, content_type: str, disposition: str) -> str | None:
        query = {"response-content-type": content_type, "response-content-disposition": disposition}
        return await self._shop.ask(self._wire.presigned, "GET", blob_name(key), expires_in, query=query)

    async def head(self, key: str) -> int | None:
        return await self._objects.head(blob_name(key)) if KEY.fullmatch(key) else None

    async def delete(self, *keys: str) -> None:
        known = {key for key in keys if KEY.fullmatch(key)}
        if not known:
            return
        for key in known:
            self._shop.suspended.pop(key, None)
        names = [name for key in known for name in (blob_name(key), *staging.names_of(key))]
        folder = blob_name(next(iter(known))) if len(known) == 1 else _BLOBS
        await asyncio.gather(self._objects.delete(names), self._shop.ask(self._abort, folder, known))

    def _abort(self, folder: str, keys: set[str]) -> None:
        for one in self._unfinished(folder):
            if one.name.removeprefix(_BLOBS) in keys:
                self._shop.multipart.abort(one.name, one.upload)

    def _unfinished(self, folder: str) -> list[Unfinished]:
        return list(self._shop.multipart.unfinished(folder))

    async def list(self, *, before: datetime) -> AsyncIterator[str]:
        async for name, at in self._objects.list(_BLOBS):
            key = name.removeprefix(_BLOBS)
            if at < before and KEY.fullmatch(key):
                yield key
        last = None
        async for name, at in self._objects.list(staging.FOLDER):
            found = staging.key_of(name)
            if at < before and found is not None and found != last:
                last = found
                yield found
        for one in await self._shop.ask(self._unfinished, _BLOBS):
            key = one.name.removeprefix(_BLOBS)
            if one.begun < before and KEY.fullmatch(key):
                yield key

    async def free_bytes(self) -> int | None:
        return None

    async def ping(self) -> None:
        """One cheap read: that there is a bucket, that it answers, and that the keys are right."""
        answer = await self._shop.ask(self._wire.request, "GET", _PROBE, doing="s3:GetObject", passed=_ABSENT)
        if code_of(answer.text) == "NoSuchBucket":
            raise refusal(self.place, answer.status, answer.text, "s3:GetObject")

    async def examine(self) -> Examination:
        return await examine(self._shop)

    async def close(self) -> None:
        """Waits for what is under way."""
        await asyncio.to_thread(self._senders.shutdown)
        await asyncio.to_thread(self._hashers.shutdown)
        self._wire.close()
