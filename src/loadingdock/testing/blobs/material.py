"""Stores to be tried, bytes to fill them with, and how they are put and read."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest

from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.ports.blobs import BlobStore, BlobWriter

OpenStore = Callable[[], AbstractAsyncContextManager[BlobStore]]

MIB = 1 << 20
SIZES = [0, 1, 16 << 10, MIB - 1, MIB, MIB + 1, 3 * MIB + 5]
LARGE = [8 * MIB, 8 * MIB + 1, 17 * MIB]
HOUR = timedelta(hours=1)
NOWHERE = [
    "",
    "nothing",
    "2026/01/02/0304/" + "0" * 32,
    "2026-01-02-0304-" + "0" * 32,
    "../" * 8 + "etc/passwd",
    "/etc/passwd",
    "2026/01/02/0304/../../../../../../etc/passwd",
    "2026/01/02/0304/" + "0" * 32 + "\0",
    "2026/01/02/0304/" + "0" * 32 + "\n",
    "2026/01/02/0304/" + "A" * 32,
    "٢٠٢٦/01/02/0304/" + "0" * 32,
    "a" * 5000,
]


def material(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # must be the same in every run, not secret


def batches(data: bytes, piece: int = 65536, batch: int = MIB) -> Iterator[list[bytes]]:
    """As a server hands them over."""
    for at in range(0, len(data), batch):
        part = data[at : at + batch]
        yield [part[i : i + piece] for i in range(0, len(part), piece)]


async def send(writer: BlobWriter, data: bytes) -> None:
    for batch in batches(data):
        await writer.write(batch)


async def put(store: BlobStore, data: bytes) -> BlobRef:
    async with store.writer(length=len(data)) as writer:
        await send(writer, data)
        return await writer.commit()


async def get(store: BlobStore, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, length)])


async def keys(store: BlobStore, before: datetime | None = None) -> set[str]:
    return {key async for key in store.list(before=before or datetime.now(UTC) + HOUR)}


async def suspended(store: BlobStore, data: bytes) -> str:
    async with store.writer() as writer:
        await send(writer, data)
        assert await writer.suspend() == len(data)
        return writer.key


class StoreContract:
    """What the suites stand on: a store that is empty again behind each test."""

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[BlobStore]:
        async with open_store() as store:
            yield store
            await store.delete(*await keys(store))
            assert await keys(store) == set()
