"""Blobs that are suspended and resumed: here, elsewhere, after a crash."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest

from loadingdock.core.errors import Conflict, NotFound, OffsetMismatch
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.testing.blobs.material import (
    LARGE,
    MIB,
    OpenStore,
    StoreContract,
    get,
    keys,
    material,
    put,
    send,
    suspended,
)


class SuspendingContract(StoreContract):
    @pytest.mark.parametrize("first", [0, 1, 3 * MIB + 5])
    @pytest.mark.parametrize("second", [0, 100, 2 * MIB])
    @pytest.mark.parametrize("elsewhere", [False, True])
    async def test_a_suspended_blob_is_resumed(
        self, store: BlobStore, open_store: OpenStore, first: int, second: int, elsewhere: bool
    ) -> None:
        data = material(first + second)
        key = await suspended(store, data[:first])
        async with (
            open_store() as other,
            (other if elsewhere else store).resume(key, first, digests=["md5"]) as writer,
        ):
            assert (writer.key, writer.size) == (key, first)
            await send(writer, data[first:])
            ref = await writer.commit()
        assert ref.key == key
        assert ref.sha256 == hashlib.sha256(data).hexdigest()
        assert ref.digests["md5"] == hashlib.md5(data).digest()  # noqa: S324  # what Content-MD5 asks for
        assert await get(store, key) == data

    @pytest.mark.parametrize("first", LARGE)
    @pytest.mark.parametrize("second", [0, 9 * MIB])
    @pytest.mark.parametrize("elsewhere", [False, True])
    async def test_a_large_one_is_resumed(
        self, store: BlobStore, open_store: OpenStore, first: int, second: int, elsewhere: bool
    ) -> None:
        data = material(first + second)
        key = await suspended(store, data[:first])
        async with open_store() as other, (other if elsewhere else store).resume(key, first) as writer:
            await send(writer, data[first:])
            ref = await writer.commit()
        assert (ref.size, ref.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert await get(store, key) == data

    @pytest.mark.parametrize("first", [1, 8 * MIB + 1])
    @pytest.mark.parametrize("second", [1, 9 * MIB])
    @pytest.mark.parametrize("third", [0, 9 * MIB])
    async def test_a_large_one_goes_on_from_the_suspension_before_the_last(
        self, store: BlobStore, first: int, second: int, third: int
    ) -> None:
        """What a crash between a suspension and its record leads to. What the attempt after it leaves, too."""
        lost = material(first + second)
        data = lost[:first] + material(third, 1)
        key = await suspended(store, lost[:first])
        async with store.resume(key, first) as writer:
            await send(writer, lost[first:])
            assert await writer.suspend() == len(lost)
        with suppress(KeyError):
            async with store.resume(key, first) as writer:
                await send(writer, material(third, 2))
                raise KeyError
        async with store.resume(key, first) as writer:
            await send(writer, data[first:])
            assert await writer.suspend() == len(data)
        async with store.resume(key, len(data)) as writer:
            ref = await writer.commit()
        assert (ref.size, ref.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert await get(store, key) == data

    async def test_many_times(self, store: BlobStore) -> None:
        data = material(300_000)
        key = await suspended(store, data[:1])
        for at in range(1, 250_000, 50_000):
            async with store.resume(key, at) as writer:
                await send(writer, data[at : at + 50_000])
                assert await writer.suspend() == at + 50_000
        async with store.resume(key, 250_001) as writer:
            await send(writer, data[250_001:])
            assert (await writer.commit()).sha256 == hashlib.sha256(data).hexdigest()

    async def test_what_lies_behind_the_offset_is_dropped(self, store: BlobStore) -> None:
        key = await suspended(store, b"0123456789")
        async with store.resume(key, 4) as writer:
            await writer.write([b"abc"])
            ref = await writer.commit()
        assert await get(store, key) == b"0123abc"
        assert ref.sha256 == hashlib.sha256(b"0123abc").hexdigest()

    @pytest.mark.parametrize("more", [b"", b"x", bytes(2 * MIB)])
    async def test_leaving_keeps_what_was_suspended(self, store: BlobStore, more: bytes) -> None:
        key = await suspended(store, b"0123")
        with suppress(KeyError):
            async with store.resume(key, 4) as writer:
                await send(writer, more)
                raise KeyError
        async with store.resume(key, 4) as writer:
            await writer.write([b"45"])
            ref = await writer.commit()
        assert ref.sha256 == hashlib.sha256(b"012345").hexdigest()
        assert await get(store, key) == b"012345"

    async def test_nothing_is_dropped_before_the_first_write(self, store: BlobStore) -> None:
        key = await suspended(store, b"0123456789")
        async with store.resume(key, 4):
            pass
        async with store.resume(key, 10) as writer:
            await writer.commit()
        assert await get(store, key) == b"0123456789"

    async def test_one_at_a_time(self, store: BlobStore, open_store: OpenStore) -> None:
        key = await suspended(store, b"0123")
        async with store.resume(key, 4) as writer, open_store() as other:
            for one in (store, other):
                with pytest.raises(Conflict):
                    async with one.resume(key, 4):
                        pass
            await writer.write([b"45"])
            await writer.commit()
        assert await get(store, key) == b"012345"

    async def test_it_cannot_be_resumed_behind_its_end(self, store: BlobStore) -> None:
        key = await suspended(store, b"0123")
        with pytest.raises(OffsetMismatch) as raised:
            async with store.resume(key, 5):
                pass
        assert raised.value.current == 4

    async def test_it_cannot_be_resumed_after_the_commit(self, store: BlobStore) -> None:
        ref = await put(store, b"bytes")
        with pytest.raises(NotFound):
            async with store.resume(ref.key, 0):
                pass
        assert await get(store, ref.key) == b"bytes"

    async def test_it_is_not_read_but_listed_and_deleted(self, store: BlobStore) -> None:
        key = await suspended(store, b"0123")
        with pytest.raises(NotFound):
            await get(store, key)
        assert await store.head(key) is None
        assert store.local_path(key) is None
        assert await keys(store) == {key}
        await store.delete(key)
        assert await keys(store) == set()
        with pytest.raises(NotFound):
            async with store.resume(key, 4):
                pass
