"""The contract of blob stores on Ceph's RADOS gateway: an older and stricter S3 than SeaweedFS's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from loadingdock.adapters.blobs.s3.place import Place
from loadingdock.core.errors import NotFound
from loadingdock.core.ports import BlobStore
from loadingdock.testing.blobs import MIB, BlobStoreContract, OpenStore, keys, material, put, send, suspended
from tests.contract.test_blobs_s3 import left, opener, place
from tests.engines.ceph import Ceph, ceph

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
