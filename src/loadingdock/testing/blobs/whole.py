"""Blobs that are written in one go: what was committed is there, and nothing else is."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress

import pytest

from loadingdock.core.errors import NotFound
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.testing.blobs.material import (
    LARGE,
    MIB,
    NOWHERE,
    SIZES,
    OpenStore,
    StoreContract,
    get,
    keys,
    material,
    put,
    send,
)


class WholeContract(StoreContract):
    @pytest.mark.parametrize("size", SIZES)
    async def test_what_was_committed_is_read(self, store: BlobStore, size: int) -> None:
        data = material(size)
        ref = await put(store, data)
        assert (ref.size, ref.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert await get(store, ref.key) == data
        assert await store.head(ref.key) == size

    @pytest.mark.parametrize("length", [None, 0, 1, MIB, 3 * MIB, 200 * MIB])
    async def test_a_wrong_length_is_only_a_wrong_guess(self, store: BlobStore, length: int | None) -> None:
        data = material(2 * MIB + 7)
        async with store.writer(length=length) as writer:
            await send(writer, data)
            ref = await writer.commit()
        assert ref.size == len(data)
        assert await store.head(ref.key) == len(data)
        assert await get(store, ref.key) == data

    async def test_pieces_of_any_size(self, store: BlobStore) -> None:
        sizes = [0, 1, 0, 70_000, 1, 0, MIB, 3, *([1] * 3000), 500_000, 0]
        pieces = [material(size, seed) for seed, size in enumerate(sizes)]
        async with store.writer() as writer:
            await writer.write([])
            await writer.write(pieces)
            assert writer.size == sum(sizes)
            ref = await writer.commit()
        assert await get(store, ref.key) == b"".join(pieces)

    @pytest.mark.parametrize("size", [100, 2 * MIB])
    async def test_the_digests_asked_for(self, store: BlobStore, size: int) -> None:
        data = material(size)
        async with store.writer(digests=["md5", "sha512"]) as writer:
            await send(writer, data)
            ref = await writer.commit()
        assert dict(ref.digests) == {"md5": hashlib.md5(data).digest(), "sha512": hashlib.sha512(data).digest()}  # noqa: S324 - digests that clients ask for
        assert ref.sha256 == hashlib.sha256(data).hexdigest()

    async def test_every_blob_has_its_own_key(self, store: BlobStore) -> None:
        refs = [await put(store, b"the same bytes") for _ in range(20)]
        assert len({ref.key for ref in refs}) == 20
        assert len({ref.key[-32:] for ref in refs}) == 20

    @pytest.mark.parametrize("size", [16 << 10, 3 * MIB + 5])
    async def test_a_copy_keeps_the_key_of_the_other_store(self, store: BlobStore, size: int) -> None:
        key = "2026/01/02/0304/" + "c" * 32
        for seed in (1, 2):  # again, as after a loss: the last one counts
            async with store.writer(length=size, key=key) as writer:
                await send(writer, material(size, seed))
                ref = await writer.commit()
            assert (ref.key, ref.sha256) == (key, hashlib.sha256(material(size, seed)).hexdigest())
        assert await get(store, key) == material(size, 2)

    @pytest.mark.parametrize("key", NOWHERE[:2] + NOWHERE[4:])
    async def test_a_copy_under_no_key_at_all(self, store: BlobStore, key: str) -> None:
        with pytest.raises(NotFound):
            async with store.writer(key=key):
                pass

    async def test_many_at_once(self, store: BlobStore) -> None:
        datas = [material(seed * 997 % 40_000, seed) for seed in range(100)] + [material(MIB * 2, 100)]
        refs = await asyncio.gather(*(put(store, data) for data in datas))
        assert [ref.sha256 for ref in refs] == [hashlib.sha256(data).hexdigest() for data in datas]
        assert [await get(store, ref.key) for ref in refs] == datas
        assert await keys(store) == {ref.key for ref in refs}

    async def test_another_process_sees_it(self, store: BlobStore, open_store: OpenStore) -> None:
        ref = await put(store, b"bytes")
        async with open_store() as other:
            assert await get(other, ref.key) == b"bytes"

    @pytest.mark.parametrize("size", [*LARGE, 5 * 8 * MIB + 1])
    async def test_a_large_one(self, store: BlobStore, size: int) -> None:
        """Of the sizes around which stores that send parts may err."""
        data = material(size)
        ref = await put(store, data)
        assert (ref.size, ref.sha256) == (size, hashlib.sha256(data).hexdigest())
        assert await get(store, ref.key) == data
        assert await get(store, ref.key, size - 5 * MIB, 5 * MIB - 1) == data[-5 * MIB : -1]
        assert await store.head(ref.key) == size

    # --- nothing left --------------------------------------------------------

    @pytest.mark.parametrize("size", [100, 3 * MIB])
    async def test_it_is_not_there_before_the_commit(self, store: BlobStore, size: int) -> None:
        async with store.writer() as writer:
            await send(writer, material(size))
            assert await store.head(writer.key) is None
            with pytest.raises(NotFound):
                await get(store, writer.key)
            assert store.local_path(writer.key) is None
            await writer.commit()
            assert await store.head(writer.key) == size

    @pytest.mark.parametrize("size", [0, 100, 3 * MIB])
    async def test_without_commit_nothing_stays(self, store: BlobStore, size: int) -> None:
        async with store.writer(length=size) as writer:
            await send(writer, material(size))
        with suppress(KeyError):
            async with store.writer(length=size) as writer:
                await send(writer, material(size))
                raise KeyError
        assert await keys(store) == set()

    @pytest.mark.parametrize("size", [100, 100_000, 3 * MIB])
    @pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
    async def test_a_cancelled_writer_leaves_nothing(self, store: BlobStore, size: int, turns: int) -> None:
        """Whatever it was at: the loop is given some turns before, and the threads some time."""
        writing = [asyncio.ensure_future(put(store, material(size))) for _ in range(6)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0005 * turns)
        for task in writing:
            task.cancel()
        done = await asyncio.gather(*writing, return_exceptions=True)
        assert await keys(store) == {ref.key for ref in done if isinstance(ref, BlobRef)}
