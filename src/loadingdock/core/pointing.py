"""Bytes and the records that point at them. A record is written after its bytes and goes before them, so what can be
left over is bytes that nothing points at, and the sweep takes those."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from loadingdock.core.errors import DockError, Unavailable
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.files import Version
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.records import Records, Unit


async def remove(blobs: BlobStore, keys: Collection[str]) -> None:
    """Bytes that no record points at any more. The deed is done already; what stays, the sweep takes."""
    with suppress(Unavailable):
        await blobs.delete(*keys)


@asynccontextmanager
async def kept_if_committed(blobs: BlobStore, blob: BlobRef) -> AsyncIterator[None]:
    """Around the commit of the record that is to point at the bytes: with a refusal they go."""
    try:
        yield
    except Unavailable:
        raise  # the commit may have happened: the bytes stay, and the sweep takes them if it did not
    except DockError:
        await remove(blobs, [blob.key])
        raise


async def pointing(records: Records, limit: int) -> AsyncIterator[tuple[Version, ...]]:
    """Every version of the installation that points at bytes, so many at once."""
    cursor: str | None = None
    while True:

        async def page(unit: Unit, cursor: str | None = cursor) -> tuple[tuple[Version, ...], str | None]:
            found = await unit.housekeeping.versions_with_bytes(limit, cursor)
            return found.items, found.cursor

        versions, cursor = await records.read(None, page)
        yield versions
        if cursor is None:
            return


async def written(blobs: BlobStore, before: datetime, limit: int) -> AsyncIterator[list[str]]:
    """The keys of what was written before that time, so many at once."""
    keys: list[str] = []
    async for key in blobs.list(before=before):
        keys.append(key)
        if len(keys) >= limit:
            yield keys
            keys = []
    if keys:
        yield keys


async def unpointed(records: Records, keys: Collection[str]) -> set[str]:
    """Those that no record points at."""

    async def known(unit: Unit) -> frozenset[str]:
        return await unit.housekeeping.known_blobs(tuple(keys))

    return set(keys) - await records.read(None, known) if keys else set()
