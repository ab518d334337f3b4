"""What every BlobStore must do.

A test module subclasses `BlobStoreContract` and gives a fixture `open_store`: each call opens the same store anew, as
another process would. Whatever a test leaves is deleted through the store, and then nothing may be left.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from loadingdock.core.errors import Conflict, NotFound, OffsetMismatch
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


class BlobStoreContract:
    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[BlobStore]:
        async with open_store() as store:
            yield store
            await store.delete(*await keys(store))
            assert await keys(store) == set()

    # --- whole blobs ---------------------------------------------------------

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

    # --- ranges --------------------------------------------------------------

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

    # --- suspended -----------------------------------------------------------

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
