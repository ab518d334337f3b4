"""The contract of blob stores on a real S3 store, and what only such a store can get wrong."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from loadingdock.adapters.blobs.keys import fresh_key
from loadingdock.adapters.blobs.s3 import S3Blobs, staging
from loadingdock.adapters.blobs.s3 import writer as writing
from loadingdock.adapters.blobs.s3.objects import Objects
from loadingdock.adapters.blobs.s3.place import Place, parse, provider
from loadingdock.core.errors import Conflict, Unavailable
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.testing.blobs import BlobStoreContract
from loadingdock.testing.blobs.material import MIB, OpenStore, get, keys, material, put, send, suspended
from tests.engines.seaweedfs import ACCESS_KEY, SECRET_KEY, S3Server, SeaweedFS, seaweedfs

__all__ = ["seaweedfs"]

pytestmark = pytest.mark.engine("s3")


def place(server: S3Server, url: str, **options: Any) -> Place:
    bucket, prefix = parse(url)
    return Place(bucket, prefix, server.endpoint, **{"timeout": timedelta(seconds=20), **options})


def opener(place: Place, **options: Any) -> OpenStore:
    @asynccontextmanager
    async def open_store() -> AsyncIterator[S3Blobs]:
        store = S3Blobs(place, provider(ACCESS_KEY, SECRET_KEY), **options)
        try:
            yield store
        finally:
            await store.close()

    return open_store


def left(server: S3Server, where: Place) -> set[str]:
    """Everything under the prefix, unfinished uploads too, as another client sees it."""
    client = server.client()
    objects = client.list_objects_v2(Bucket=where.bucket, Prefix=where.path("")).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=where.bucket, Prefix=where.path("")).get("Uploads", [])
    return {one["Key"].removeprefix(where.path("")) for one in (*objects, *uploads)}


class TestS3Blobs(BlobStoreContract):
    @pytest.fixture
    def open_store(self, seaweedfs: SeaweedFS) -> Iterator[OpenStore]:
        where = place(seaweedfs, seaweedfs.fresh_url())
        yield opener(where)
        assert left(seaweedfs, where) == set()


@pytest_asyncio.fixture
async def where(seaweedfs: SeaweedFS) -> Place:
    return place(seaweedfs, seaweedfs.fresh_url())


@pytest_asyncio.fixture
async def store(where: Place) -> AsyncIterator[BlobStore]:
    async with opener(where)() as store:
        yield store


# --- what it is asked for ----------------------------------------------------


async def test_nothing_is_left_of_a_large_upload_that_was_given_up(
    seaweedfs: SeaweedFS, where: Place, store: BlobStore
) -> None:
    with suppress(KeyError):
        async with store.writer() as writer:
            await send(writer, material(20 * MIB))
            raise KeyError
    assert left(seaweedfs, where) == set()


async def test_what_a_crash_left_is_listed_and_deleted(seaweedfs: SeaweedFS, where: Place, store: BlobStore) -> None:
    """A process that was killed aborts nothing: another one finds its parts."""
    key = fresh_key()
    client = seaweedfs.client()
    name = where.path(f"blobs/{key}")
    upload = client.create_multipart_upload(Bucket=where.bucket, Key=name)["UploadId"]
    client.upload_part(Bucket=where.bucket, Key=name, UploadId=upload, PartNumber=1, Body=bytes(5 * MIB))
    assert await keys(store) == {key}
    assert await keys(store, datetime.now(UTC) - timedelta(hours=1)) == set()
    kept = await put(store, b"kept")
    await store.delete(key)
    assert await keys(store) == {kept.key}
    assert left(seaweedfs, where) == {f"blobs/{kept.key}"}


async def test_one_blob_is_one_object(seaweedfs: SeaweedFS, where: Place, store: BlobStore) -> None:
    small, large = await put(store, b"small"), await put(store, material(20 * MIB))
    key = await suspended(store, material(20 * MIB))
    async with store.resume(key, 20 * MIB) as writer:
        await writer.commit()
    assert left(seaweedfs, where) == {f"blobs/{one}" for one in (small.key, large.key, key)}


async def test_strange_objects_are_passed_over(seaweedfs: SeaweedFS, where: Place, store: BlobStore) -> None:
    for name in ("blobs/readme", f"blobs/{fresh_key()}x", "staging/readme", "staging/a/state", "readme"):
        seaweedfs.client().put_object(Bucket=where.bucket, Key=where.path(name), Body=b"")
    assert await keys(store) == set()


async def test_stores_under_two_prefixes_do_not_see_each_other(seaweedfs: SeaweedFS, where: Place) -> None:
    async with opener(where)() as one, opener(replace(where, prefix=where.prefix + "0"))() as other:
        ref = await put(one, b"bytes")
        assert await keys(other) == set()
        assert await other.head(ref.key) is None


async def test_other_bytes_of_the_same_length_were_suspended_elsewhere(where: Place) -> None:
    """What a process remembers of a suspended blob holds for that very state of it."""
    async with opener(where)() as one, opener(where)() as other:
        key = await suspended(one, material(9 * MIB))
        async with one.resume(key, 9 * MIB) as writer:
            await writer.write([b"0123"])
            await writer.suspend()
        async with other.resume(key, 9 * MIB) as writer:
            await writer.write([b"abcd"])
            await writer.suspend()
        async with one.resume(key, 9 * MIB + 4) as writer:
            ref = await writer.commit()
        assert ref.sha256 == hashlib.sha256(material(9 * MIB) + b"abcd").hexdigest()


async def test_a_lock_of_a_process_that_died_is_taken_over(
    where: Place, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await suspended(store, b"0123")
    async with store.resume(key, 4) as writer:
        await writer.write([b"lost"])
        monkeypatch.setattr(staging, "LEASE", -1.0)  # as if nobody had renewed it for long
        async with opener(where)() as other, other.resume(key, 4) as another:
            await another.write([b"45"])
            monkeypatch.undo()
            with pytest.raises(Conflict):  # he is not dead at all, but too late
                await writer.commit()
            with pytest.raises(Conflict):
                await writer.suspend()
            ref = await another.commit()
    assert await get(store, key) == b"012345"
    assert ref.sha256 == hashlib.sha256(b"012345").hexdigest()


async def test_a_lock_is_renewed(where: Place, store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LEASE", 0.3)
    renewed = asyncio.Event()
    renew, loop = staging.Staging.renew, asyncio.get_running_loop()

    def seen(self: staging.Staging, key: str, token: str) -> None:
        renew(self, key, token)
        loop.call_soon_threadsafe(renewed.set)

    monkeypatch.setattr(staging.Staging, "renew", seen)
    key = await suspended(store, b"0123")
    async with store.resume(key, 4) as writer:
        await asyncio.wait_for(renewed.wait(), 20)
        await writer.commit()


@pytest.mark.parametrize("start", [0, 2 * MIB])
async def test_a_read_goes_on_where_its_connection_broke(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch, start: int
) -> None:
    data = material(6 * MIB)
    ref = await put(store, data)
    stream, begun = Objects._stream, []

    async def breaking(self: Objects, name: str, at: int, end: int | None) -> AsyncIterator[bytes]:
        begun.append(at)
        async with aclosing(stream(self, name, at, end)) as pieces:
            async for piece in pieces:
                yield piece
                if len(begun) < 3:
                    raise Unavailable("store")

    monkeypatch.setattr(Objects, "_stream", breaking)
    assert await get(store, ref.key, start) == data[start:]
    assert (begun[0], len(begun)) == (start, 3)


# --- what is wrong with it ---------------------------------------------------


@pytest.mark.parametrize(
    ("change", "keys_", "advice"),
    [
        ({"bucket": "nowhere"}, (ACCESS_KEY, SECRET_KEY), "there is no bucket nowhere; create it"),
        ({}, (ACCESS_KEY, "wrong"), "check store_access_key and store_secret_key"),
        ({}, ("wrong", SECRET_KEY), "check store_access_key and store_secret_key"),
        ({"endpoint": "http://127.0.0.1:1", "retries": 0}, (ACCESS_KEY, SECRET_KEY), "check store_endpoint"),
    ],
)
async def test_what_is_wrong_is_said(where: Place, change: dict[str, Any], keys_: tuple[str, str], advice: str) -> None:
    store = S3Blobs(replace(where, **change), provider(*keys_))
    try:
        for deed in (store.ping(), put(store, b"bytes"), put(store, material(9 * MIB)), get(store, fresh_key())):
            with pytest.raises(Unavailable) as raised:
                await deed
            assert advice in raised.value.why
        problems = (await store.examine()).problems
        assert problems
        assert advice in problems[0]
        with pytest.raises(Unavailable):
            await store.delete(fresh_key())
        with pytest.raises(Unavailable):
            await keys(store)
    finally:
        await store.close()


async def test_keys_that_may_read_only(where: Place) -> None:
    store = S3Blobs(where, provider("READER", "READERSECRETSECRET"))
    try:
        await store.ping()
        problems = (await store.examine()).problems
        assert any("may not s3:PutObject" in problem for problem in problems), problems
    finally:
        await store.close()


async def test_it_is_examined_without_a_trace(seaweedfs: SeaweedFS, where: Place, store: BlobStore) -> None:
    examination = await store.examine()
    assert examination.problems == ()
    assert where.bucket in examination.engine
    assert left(seaweedfs, where) == set()
