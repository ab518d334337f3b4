"""Bytes go from one store to another under their keys, each read back and compared before it counts as arrived.

What has arrived is written into a ledger that outlives the process, so that no run carries anything twice. Memory does
not grow with what is carried.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from loadingdock.core.errors import NotFound, Unavailable
from loadingdock.core.inspection import CHECKED, sha256_of
from loadingdock.core.model.companies import Usage
from loadingdock.core.model.files import Version
from loadingdock.core.pointing import pointing, unpointed, written
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit

_PAGE = 200
_AT_ONCE = 8  # blobs on their way
_SHOWN = 100  # problems that are told one by one


@dataclass(slots=True)
class Progress:
    """How far a move is, by bytes while files are carried and by rows while records are. `told` is called, from any
    thread, whenever that has changed."""

    told: Callable[[Progress], None] = lambda _: None
    phase: str = ""
    bytes: int = 0
    total_bytes: int = 0
    rows: int = 0
    total_rows: int = 0

    def add_bytes(self, count: int) -> None:
        self.bytes += count
        self.told(self)

    def add_rows(self, count: int) -> None:
        self.rows += count
        self.told(self)


@dataclass(frozen=True, slots=True)
class Problem:
    """`subject` is a file's id, or the destination's name."""

    subject: str
    detail: str
    company_id: int | None = None
    version: int | None = None


class Ledger(Protocol):
    """What has arrived at the destination."""

    async def unfinished(self) -> tuple[str, ...]:
        """The keys that were begun and have not arrived."""
        ...

    async def arrived(self, keys: Collection[str]) -> frozenset[str]:
        """Which of the keys have."""
        ...

    async def see(self, keys: Collection[str]) -> frozenset[str]:
        """Which of the keys, which lie at the destination, were begun by us."""
        ...

    async def forget_unseen(self) -> None:
        """What has arrived and was not seen is no longer there."""
        ...

    async def begin(self, key: str) -> None: ...
    async def arrive(self, key: str, size: int, sha256: str) -> None: ...
    async def clear(self) -> None:
        """Everything is done, and nobody will ask again."""
        ...


@dataclass(frozen=True, slots=True)
class _Blob:
    version: Version
    key: str
    size: int | None
    sha256: str | None


class Carrier:
    """`target` is None for a look at a destination that is not there yet."""

    def __init__(
        self,
        records: Records,
        stores: tuple[BlobStore, BlobStore | None],
        ledger: Ledger,
        clock: Clock,
        progress: Progress,
        name: str,
    ) -> None:
        self._records = records
        self._source, self._target = stores
        self._ledger = ledger
        self._clock = clock
        self._progress = progress
        self._name = name
        self._here: set[str] = set()  # on their way
        self._first = True
        self.files = self.bytes = 0
        self.copied = self.copied_bytes = self.already = 0
        self.problems: list[Problem] = []
        self.problems_left_out = 0

    async def unfit(self) -> list[Problem]:
        """What the destination does not do of all that the service will ask of it: writing, if there are no bytes to
        carry, would fail only afterwards."""
        assert self._target is not None
        return [Problem(self._name, problem) for problem in (await self._target.examine()).problems]

    async def strangers(self) -> list[Problem]:
        """Whether there are blobs at the destination that are none of ours: those of another installation, whose sweep
        would take ours for orphans, as ours would take its. What is listed is also the proof that what the ledger
        says is there."""
        if self._target is None:
            return []
        strange = 0
        async for keys in self._listed(self._target):
            strange += len(await unpointed(self._records, set(keys) - await self._ledger.see(keys)))
        await self._ledger.forget_unseen()
        if not strange:
            return []
        return [Problem(self._name, f"{strange} files lie there already that are not of this installation")]

    def _listed(self, store: BlobStore) -> AsyncIterator[list[str]]:
        return written(store, self._clock.now() + timedelta(days=1), _PAGE)

    async def look(self) -> None:
        """Whether everything can be carried."""
        await self._each(self._look)

    async def round(self) -> int:
        """Carries all that has not arrived; how many blobs those were."""
        assert self._target is not None
        await self._target.delete(*await self._ledger.unfinished())
        before = self.copied
        await self._each(self._carry)
        return self.copied - before

    async def end(self) -> None:
        await self._ledger.clear()

    # --- all of them -------------------------------------------------------------------------------

    async def _each(self, deed: Callable[[_Blob], Awaitable[None]]) -> None:
        """Problems are those of this round: what an earlier one met may have been deleted since, or mended."""
        first, self._first = self._first, False
        self.files = self.bytes = 0
        self.problems, self.problems_left_out = [], 0
        self._progress.bytes = 0
        self._progress.total_bytes = await self._used()
        blobs: asyncio.Queue[_Blob | None] = asyncio.Queue(2 * _AT_ONCE)

        async def work() -> None:
            while (blob := await blobs.get()) is not None:
                await deed(blob)
                if blob.size is not None:
                    self._progress.add_bytes(blob.size)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())
            async for some in self._blobs():
                arrived = await self._ledger.arrived([blob.key for blob in some])
                for blob in some:
                    if blob.key in arrived:
                        self._progress.add_bytes(blob.size or 0)
                    elif blob.key not in self._here:
                        self._here.add(blob.key)
                        await blobs.put(blob)
                self.already += len(arrived) if first else 0
            for _ in range(_AT_ONCE):
                await blobs.put(None)
        self._here.clear()

    async def _blobs(self) -> AsyncIterator[list[_Blob]]:
        async for versions in pointing(self._records, _PAGE):
            found: list[_Blob] = []
            for version in versions:
                if version.blob_key is not None:
                    self.files += 1
                    self.bytes += version.size
                    found.append(_Blob(version, version.blob_key, version.size, version.sha256))
                if version.text_key is not None:
                    found.append(_Blob(version, version.text_key, None, None))
            yield found

    async def _used(self) -> int:
        async def companies(unit: Unit) -> tuple[int, ...]:
            return tuple(company.id for company in await unit.companies.list())

        async def usage(unit: Unit) -> Usage:
            return await unit.ledger.get()

        ids = await self._records.read(None, companies)
        return sum([(await self._records.read(id, usage)).bytes for id in ids])

    # --- one of them -------------------------------------------------------------------------------

    async def _look(self, blob: _Blob) -> None:
        size = await self._source.head(blob.key)
        if size is None:
            await self._wrong(blob, "its bytes are missing")
        elif blob.size is not None and size != blob.size:
            await self._wrong(blob, f"{size} bytes are there, and {blob.size} were received")

    async def _carry(self, blob: _Blob) -> None:
        await self._ledger.begin(blob.key)
        try:
            for last in (False, True):
                try:
                    if await self._copy(blob):
                        return
                except Unavailable:
                    if last:
                        raise
                await self._must().delete(blob.key)  # also what an attempt before this run left, unknown to the ledger
        except NotFound:
            await self._wrong(blob, "its bytes are missing")
        else:
            await self._wrong(blob, f"{self._name} gave other bytes back than it was given", certain=True)

    async def _copy(self, blob: _Blob) -> bool:
        """False if the destination does not have what was sent."""
        target = self._must()
        async with target.writer(length=blob.size, key=blob.key) as writer:
            async for piece in self._source.read(blob.key):
                await writer.write((piece,))
            sent = await writer.commit()
        if blob.sha256 is not None and sent.sha256 != blob.sha256 and blob.version.state in CHECKED:
            await target.delete(blob.key)
            await self._wrong(blob, f"its bytes have SHA-256 {sent.sha256}, received were {blob.sha256}")
            return True
        if await sha256_of(target, blob.key) != sent.sha256:
            return False
        await self._ledger.arrive(blob.key, sent.size, sent.sha256)
        self.copied += 1
        self.copied_bytes += sent.size
        return True

    def _must(self) -> BlobStore:
        assert self._target is not None
        return self._target

    async def _wrong(self, blob: _Blob, detail: str, *, certain: bool = False) -> None:
        """Unless its file was deleted while we looked, or nobody can read it."""
        version = blob.version
        if version.state not in CHECKED and not certain:
            return

        async def work(unit: Unit) -> Version | None:
            return await unit.files.version(version.file_id, version.number)

        now = await self._records.read(version.company_id, work)
        if now is None or (now.blob_key, now.text_key) != (version.blob_key, version.text_key):
            return
        if len(self.problems) >= _SHOWN:
            self.problems_left_out += 1
            return
        what = "" if blob.key == version.blob_key else "of its text "
        self.problems.append(Problem(version.file_id, what + detail, version.company_id, version.number))
