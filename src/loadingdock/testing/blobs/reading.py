"""Blobs that are read, listed and deleted, and keys under which there is none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from loadingdock.core.errors import NotFound
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.testing.blobs.material import HOUR, MIB, NOWHERE, StoreContract, get, keys, material, put, suspended


class ReadingContract(StoreContract):
    @pytest.mark.parametrize(
        ("start", "length"),
        [(0, 1), (0, 0), (5, None), (MIB - 1, 2), (MIB, MIB), (1, 2 * MIB), (2 * MIB, 10 * MIB), (9 * MIB, None)],
    )
    async def test_a_range(self, store: BlobStore, start: int, length: int | None) -> None:
        data = material(2 * MIB + 100)
        ref = await put(store, data)
        end = None if length is None else start + length
        assert await get(store, ref.key, start, length) == data[start:end]

    async def test_pieces_are_neither_empty_nor_large(self, store: BlobStore) -> None:
        ref = await put(store, material(3 * MIB + 1))
        sizes = [len(piece) async for piece in store.read(ref.key)]
        assert all(0 < size <= MIB for size in sizes)

    async def test_a_reader_may_stop(self, store: BlobStore) -> None:
        ref = await put(store, material(5 * MIB))
        pieces = store.read(ref.key)
        await anext(pieces)
        await pieces.aclose()
        await store.delete(ref.key)
        assert await store.head(ref.key) is None

    # --- what is not there ---------------------------------------------------

    @pytest.mark.security(9)
    @pytest.mark.security(10)
    @pytest.mark.parametrize("key", NOWHERE)
    async def test_a_key_that_was_never_given_out(self, store: BlobStore, key: str) -> None:
        with pytest.raises(NotFound):
            await get(store, key)
        assert await store.head(key) is None
        assert store.local_path(key) is None
        with pytest.raises(NotFound):
            async with store.resume(key, 0):
                pass
        await store.delete(key)

    async def test_deleted_is_gone(self, store: BlobStore) -> None:
        kept, *refs = [await put(store, b"bytes") for _ in range(5)]
        await store.delete(*(ref.key for ref in refs), refs[0].key)
        assert await keys(store) == {kept.key}
        for ref in refs:
            assert await store.head(ref.key) is None
            with pytest.raises(NotFound):
                await get(store, ref.key)
        await store.delete()

    # --- the store -----------------------------------------------------------

    async def test_only_older_ones_are_listed(self, store: BlobStore) -> None:
        ref = await put(store, b"bytes")
        key = await suspended(store, b"0123")
        assert await keys(store, datetime.now(UTC) - HOUR) == set()
        assert await keys(store) == {ref.key, key}

    async def test_a_long_list(self, store: BlobStore) -> None:
        refs = await asyncio.gather(*(put(store, b"%d" % number) for number in range(1100)))
        expected = {ref.key for ref in refs}
        assert await asyncio.gather(*(keys(store) for _ in range(3))) == [expected] * 3

    async def test_a_local_path_has_the_bytes(self, store: BlobStore) -> None:
        data = material(MIB + 1)
        path = store.local_path((await put(store, data)).key)
        assert path is None or path.read_bytes() == data

    async def test_it_is_well(self, store: BlobStore) -> None:
        await store.ping()
        free = await store.free_bytes()
        assert free is None or free > 0
        assert await keys(store) == set()
