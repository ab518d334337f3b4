"""Writing one blob: in one request if it is small, else in parts while it comes."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, ParamSpec, TypeVar

from loadingdock.adapters.blobs.hashes import Hashes
from loadingdock.adapters.blobs.s3.multipart import Multipart
from loadingdock.adapters.blobs.s3.objects import Objects
from loadingdock.adapters.blobs.s3.staging import LEASE, Staging, State, Tail, names_of
from loadingdock.adapters.blobs.s3.wire import Wire
from loadingdock.core.errors import DockError, NotFound
from loadingdock.core.model.blobs import BlobRef

P = ParamSpec("P")
T = TypeVar("T")

PART = 8 << 20  # S3 takes 10,000 of at least 5 MiB each: blobs of up to 78 GiB
_AHEAD = 2  # parts of one blob on their way while the next is gathered
_SLOTS = 8  # parts of all blobs on their way at once
_INLINE = 32 << 10  # hashed sooner than a thread is asked
_REMEMBERED = 1024  # suspended blobs whose digests' state is kept, some hundred bytes each


def blob_name(key: str) -> str:
    return f"blobs/{key}"


class Workshop:
    """What the writers of one store share. `senders` run requests, `hashers` digests."""

    def __init__(self, wire: Wire, objects: Objects, senders: Executor, hashers: Executor, part: int) -> None:
        self.wire = wire
        self.objects = objects
        self.multipart = Multipart(wire)
        self.staging = Staging(wire)
        self.part = part
        self.slots = asyncio.Semaphore(_SLOTS)
        self.suspended: OrderedDict[str, tuple[str, Hashes]] = OrderedDict()
        self._senders = senders
        self._hashers = hashers

    def ask(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._senders, partial(work, *args, **kwargs))

    def hash(self, hashes: Hashes, pieces: Sequence[bytes]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._hashers, hashes.update, pieces)

    def remember(self, key: str, mark: str, hashes: Hashes) -> None:
        """So that a resumed blob need not be read again; where nothing is remembered of this very state it is."""
        self.suspended[key] = mark, hashes
        self.suspended.move_to_end(key)
        if len(self.suspended) > _REMEMBERED:
            self.suspended.popitem(last=False)


class S3Writer:
    """A `BlobWriter`. Whatever it has asked of the store it waits for, also when its request was cancelled: what
    nobody waits for could still happen after it was undone."""

    def __init__(self, shop: Workshop, key: str, hashes: Hashes) -> None:
        self.key = key
        self.size = 0
        self._shop = shop
        self._name = blob_name(key)
        self._hashes = hashes
        self._hashed = True  # whether `hashes` has seen every byte before those that come
        self._hashing: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._upload: str | None = None
        self._begun: asyncio.Future[str] | None = None
        self._parts: list[asyncio.Task[str] | str] = []
        self._resumed: State | None = None
        self._token: str | None = None
        self._ending: asyncio.Task[Any] | None = None
        self._kept = False
        self._closed = False

    # --- the way in ----------------------------------------------------------

    async def write(self, batch: Sequence[bytes]) -> None:
        await self._digested()
        size = sum(map(len, batch))
        if size and self._resumed is not None and self._resumed.size > self.size:
            await self._cut_off(self._resumed)
        self.size += size
        self._held += size
        self._pieces += batch
        if self._hashed:
            if size < _INLINE:
                self._hashes.update(batch)
            else:
                self._hashing = self._shop.hash(self._hashes, batch)
        while self._held > self._shop.part:
            await self._send(self._take(self._shop.part))

    async def commit(self) -> BlobRef:
        ref = await self._end(self._commit())
        self._kept = True
        return ref

    async def suspend(self) -> int:
        size = await self._end(self._suspend())
        self._kept = True
        return size

    async def _end(self, ending: Coroutine[Any, Any, T]) -> T:
        task = self._ending = asyncio.ensure_future(ending)
        return await asyncio.shield(task)

    # --- parts ---------------------------------------------------------------

    async def _digested(self) -> None:
        hashing, self._hashing = self._hashing, None
        if hashing is not None:
            await hashing

    def _take(self, size: int) -> list[bytes]:
        """The first `size` bytes held."""
        self._held -= size
        at = 0
        while size >= len(self._pieces[at]):
            size -= len(self._pieces[at])
            at += 1
            if at == len(self._pieces):
                break
        taken, self._pieces = self._pieces[:at], self._pieces[at:]
        if size:
            taken.append(self._pieces[0][:size])
            self._pieces[0] = self._pieces[0][size:]
        return taken

    async def _send(self, pieces: list[bytes]) -> None:
        if self._upload is None:
            self._begun = self._shop.ask(self._shop.multipart.begin, self._name)
            self._upload = await asyncio.shield(self._begun)
        under_way = [part for part in self._parts if isinstance(part, asyncio.Task) and not part.done()]
        if len(under_way) >= _AHEAD:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        await self._arrived(only_done=True)
        self._parts.append(asyncio.create_task(self._part(self._upload, len(self._parts) + 1, pieces)))

    async def _part(self, upload: str, number: int, pieces: list[bytes]) -> str:
        async with self._shop.slots:
            if self._closed:
                return ""
            return await self._shop.ask(_send_joined, self._shop.multipart, self._name, upload, number, pieces)

    async def _arrived(self, *, only_done: bool = False) -> list[str]:
        """The ETags of the parts so far. Raises what one of them ran into."""
        for index, part in enumerate(self._parts):
            if isinstance(part, asyncio.Task) and (part.done() or not only_done):
                self._parts[index] = await part
        return [part for part in self._parts if isinstance(part, str)]

    # --- the end of it -------------------------------------------------------

    async def _commit(self) -> BlobRef:
        await self._digested()
        await self._held_still()
        if not self._parts:
            await self._put_whole()
        else:
            await self._complete()
        if self._resumed is not None:
            self._shop.suspended.pop(self.key, None)
            await self._shop.objects.delete(names_of(self.key))
            self._token = None
        return self._hashes.ref(self.key, self.size)

    async def _put_whole(self) -> None:
        data = b"".join(self._pieces)
        if not self._hashed:
            await self._shop.hash(self._hashes, (data,))
        await self._shop.objects.put(self._name, data)
        if self._upload is not None:  # begun for more bytes than there are now
            await self._shop.ask(self._shop.multipart.abort, self._name, self._upload)

    async def _complete(self) -> None:
        assert self._upload is not None
        if self._held:
            await self._send(self._take(self._held))
        etags = await self._arrived()
        try:
            await self._shop.ask(self._shop.multipart.complete, self._name, self._upload, etags)
        except NotFound:
            # Completed by an attempt whose answer was lost: nobody else writes under this key.
            if await self._shop.objects.head(self._name) != self.size:
                raise
        if not self._hashed:
            async for piece in self._shop.objects.read(self._name, 0, None):
                await self._shop.hash(self._hashes, (piece,))

    async def _suspend(self) -> int:
        await self._digested()
        await self._held_still()
        etags = await self._arrived()
        start = len(etags) * self._shop.part
        before = self._resumed.tails if self._resumed is not None else ()
        data = b"".join(self._pieces)
        tail = await self._shop.ask(self._shop.staging.keep_tail, self.key, start, data, before)
        kept = [one for one in before[:1] if one.start < start]
        state = State(secrets.token_hex(8), self.size, self._upload, tuple(etags), (tail, *kept))
        await self._shop.ask(self._shop.staging.save, self.key, state)
        if self._hashed:
            self._shop.remember(self.key, state.mark, self._hashes)
        return self.size

    async def _held_still(self) -> None:
        """Nobody has taken a resumed blob over."""
        if self._token is not None:
            await self._shop.ask(self._shop.staging.check, self.key, self._token)

    # --- resuming ------------------------------------------------------------

    async def take_up(self, offset: int, token: str, state: State, tail: Tail) -> None:
        """The blob as it was suspended, up to `offset`, which lies in `tail`."""
        self._token = token
        whole = tail.start // self._shop.part
        held = await self._shop.ask(self._shop.staging.tail, self.key, tail) if offset > tail.start else b""
        # First the tail that was loaded: a suspension keeps it beside its own.
        self._resumed = replace(state, tails=(tail, *(one for one in state.tails if one is not tail)))
        self.size = offset
        self._upload = state.upload
        self._parts = list(state.etags[:whole])
        self._pieces = [held[: offset - tail.start]]
        self._held = offset - tail.start
        mark, known = self._shop.suspended.get(self.key, ("", self._hashes))
        if mark == state.mark and known.names == self._hashes.names and known.size == offset:
            self._hashes = known.copy()
        elif not self._parts:
            self._hashes.update(self._pieces)
        else:
            self._hashed = False

    async def _cut_off(self, state: State) -> None:
        """What lies behind the offset is no longer there: its parts are about to be replaced."""
        tail = replace(state.tails[0], size=self._held)
        cut = State(secrets.token_hex(8), self.size, self._upload, tuple(await self._arrived()), (tail,))
        await self._shop.ask(self._shop.staging.save, self.key, cut)
        self._resumed = cut

    async def keep_lock(self) -> None:
        """Renews the lock until it is cancelled. One that was lost is noticed at the end."""
        assert self._token is not None
        while True:
            await asyncio.sleep(LEASE / 3)
            with suppress(DockError):
                await self._shop.ask(self._shop.staging.renew, self.key, self._token)

    # --- leaving -------------------------------------------------------------

    async def close(self) -> None:
        self._closed = True
        if self._kept and self._token is None:
            return  # without a turn of the loop, in which a cancelled request would take back what it was told
        await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        self._pieces = []
        waiting: list[asyncio.Future[Any]] = [
            one for one in (self._hashing, self._begun, self._ending, *self._parts) if isinstance(one, asyncio.Future)
        ]
        if waiting:
            await asyncio.wait(waiting)
        for one in waiting:
            if not one.cancelled():
                one.exception()  # raised already to whoever asked, or of no interest to anyone
        if self._begun is not None and self._upload is None and self._begun.exception() is None:
            self._upload = self._begun.result()
        if not self._kept and self._resumed is None:
            await self._undo()
        if self._token is not None:
            await _attempt(self._shop.ask(self._shop.staging.unlock, self.key, self._token))

    async def _undo(self) -> None:
        """What cannot be removed is an orphan, which the sweep takes."""
        if self._upload is not None:
            await _attempt(self._shop.ask(self._shop.multipart.abort, self._name, self._upload))
        if self._ending is not None:
            await _attempt(self._shop.objects.delete([self._name, *names_of(self.key)]))


def _send_joined(multipart: Multipart, name: str, upload: str, number: int, pieces: list[bytes]) -> str:
    data = b"".join(pieces)
    pieces.clear()  # in memory once, not twice, while it is sent
    return multipart.send(name, upload, number, data)


async def _attempt(deed: Awaitable[object]) -> None:
    with suppress(DockError):
        await deed
