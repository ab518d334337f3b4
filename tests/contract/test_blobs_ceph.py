"""The contract of blob stores on Ceph's RADOS gateway: an older and stricter S3 than SeaweedFS's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio

from loadingdock.adapters.blobs.s3.place import Place
from loadingdock.core.errors import NotFound
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.testing.blobs import BlobStoreContract
from loadingdock.testing.blobs.material import MIB, OpenStore, get, keys, material, put, send, suspended
from tests.contract.test_blobs_s3 import left, opener, place
from tests.contract.test_blobs_s3_options import encryption, known_below_localhost
from tests.engines.ceph import KMS_KEY, Ceph, ceph

__all__ = ["ceph"]

pytestmark = [pytest.mark.engine("ceph"), pytest.mark.timeout(300)]


class TestCephBlobs(BlobStoreContract):
    @pytest.fixture
    def open_store(self, ceph: Ceph) -> Iterator[OpenStore]:
        where = place(ceph, ceph.fresh_url())
        yield opener(where)
        assert left(ceph, where) == set()


@pytest.fixture
def where(ceph: Ceph) -> Place:
    return place(ceph, ceph.fresh_url())


@pytest_asyncio.fixture
async def store(where: Place) -> AsyncIterator[BlobStore]:
    async with opener(where)() as store:
        yield store


async def test_it_is_examined_without_a_trace(ceph: Ceph, where: Place, store: BlobStore) -> None:
    assert (await store.examine()).problems == ()
    assert left(ceph, where) == set()


async def test_bytes_that_become_fewer_begin_anew(store: BlobStore) -> None:
    """This store completes no upload that once had more parts. What is suspended is then as good as gone."""
    key = await suspended(store, b"0123")
    async with store.resume(key, 4) as writer:
        await send(writer, material(40 * MIB))
        await writer.suspend()
    async with store.resume(key, 4) as writer:
        await send(writer, material(9 * MIB))
        with pytest.raises(NotFound):
            await writer.commit()
    await store.delete(key)
    ref = await put(store, material(9 * MIB))
    assert await keys(store) == {ref.key}


@pytest.mark.parametrize("data", [b"small", material(20 * MIB)], ids=["small", "large"])
async def test_it_encrypts_with_a_key_that_is_named(ceph: Ceph, where: Place, data: bytes) -> None:
    where = replace(where, encryption="aws:kms", kms_key=KMS_KEY)
    async with opener(where)() as store:
        assert (await store.examine()).problems == ()
        ref = await put(store, data)
        assert await get(store, ref.key, 3, 9 * MIB) == data[3 : 3 + 9 * MIB]
        assert encryption(ceph, where, f"blobs/{ref.key}") == "aws:kms"


async def test_a_store_that_does_not_encrypt_as_asked(where: Place) -> None:
    """Up to its release 16 it knows no keys of its own, and passes over being asked for them."""
    async with opener(replace(where, encryption="AES256"))() as store:
        (problem,) = (await store.examine()).problems
    assert "change store_encryption" in problem


async def test_buckets_as_hosts(ceph: Ceph, where: Place) -> None:
    known_below_localhost()
    async with opener(replace(where, endpoint=ceph.by_name, virtual_hosted=True))() as store:
        assert (await store.examine()).problems == ()
        ref = await put(store, b"bytes")
        assert await get(store, ref.key) == b"bytes"
