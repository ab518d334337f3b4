"""The contract of blob stores on a real S3 store, and what only such a store can get wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from loadingdock.adapters.blobs.s3 import S3Blobs
from loadingdock.adapters.blobs.s3.place import Place, parse, provider
from loadingdock.testing.blobs import BlobStoreContract, OpenStore
from tests.engines.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS, seaweedfs

__all__ = ["seaweedfs"]

pytestmark = pytest.mark.engine("s3")


def place(server: SeaweedFS, url: str, **options: Any) -> Place:
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


def left(server: SeaweedFS, where: Place) -> set[str]:
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
