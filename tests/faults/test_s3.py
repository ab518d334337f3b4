"""The S3 server killed in the middle of whatever it does: what was acknowledged stays, nothing half is readable, what
is left over is swept, and the service goes on by itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loadingdock.adapters.blobs.s3 import S3Blobs, staging
from loadingdock.adapters.blobs.s3.multipart import Multipart
from loadingdock.adapters.blobs.s3.place import Place, parse, provider
from loadingdock.core.errors import Conflict, NotFound, Unavailable
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.companies import Company
from loadingdock.testing.blobs.material import MIB, get, keys, material, put, send, suspended
from tests.engines.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS
from tests.faults.check import fsck, once, verify
from tests.faults.flows import Receipt, flows
from tests.faults.load import Load
from tests.service import Service

pytestmark = [pytest.mark.engine("s3"), pytest.mark.timeout(600)]

_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """Killed here, so it is nobody else's."""
    server = SeaweedFS(tmp_path_factory.mktemp("killed"))
    try:
        yield server.start()
    finally:
        server.kill()


@asynccontextmanager
async def opened(server: SeaweedFS, url: str, **options: Any) -> AsyncIterator[S3Blobs]:
    bucket, prefix = parse(url)
    place = Place(bucket, prefix, server.endpoint, **{"timeout": timedelta(seconds=5), "retries": 1, **options})
    store = S3Blobs(place, provider(ACCESS_KEY, SECRET_KEY))
    try:
        yield store
    finally:
        await store.close()


async def swept(store: S3Blobs, *but: str) -> None:
    """As the sweep does it. Nothing is left behind those that a record points at."""
    found = await keys(store)
    await store.delete(*(found - set(but)))
    assert await keys(store, datetime.now(UTC) + _HOUR) == set(but)


@pytest.mark.parametrize("after", [0, 9, 33])
async def test_killed_in_the_midst_of_a_large_upload(server: SeaweedFS, after: int) -> None:
    async with opened(server, server.fresh_url()) as store:
        kept = await put(store, material(MIB))
        key = ""
        with pytest.raises(Unavailable):  # noqa: PT012 - where in it the death is noticed is not said
            async with store.writer() as writer:
                key = writer.key
                await send(writer, material(after * MIB))
                await asyncio.to_thread(server.kill)
                await send(writer, material(40 * MIB))
                await writer.commit()
        await asyncio.to_thread(server.start)
        with pytest.raises(NotFound):
            await get(store, key)
        assert await get(store, kept.key) == material(MIB)
        await swept(store, kept.key)


@pytest.mark.cycles(3, all=20)
async def test_killed_while_it_completes_an_upload(
    server: SeaweedFS, monkeypatch: pytest.MonkeyPatch, cycles: int, chance: random.Random
) -> None:
    """The request was sent; whether it was done before the end nobody knows. Whole or not at all, in either case."""
    complete = Multipart.complete
    async with opened(server, server.fresh_url()) as store:
        acknowledged: list[BlobRef] = []
        loop = asyncio.get_running_loop()
        for _ in range(cycles):
            completing = asyncio.Event()

            def told(*args: Any, completing: asyncio.Event = completing) -> None:
                loop.call_soon_threadsafe(completing.set)
                complete(*args)

            monkeypatch.setattr(Multipart, "complete", told)
            writing = asyncio.ensure_future(put(store, material(20 * MIB)))
            await completing.wait()
            await asyncio.sleep(chance.uniform(0, 0.03))
            await asyncio.to_thread(server.kill)
            with suppress(Unavailable):
                acknowledged.append(await writing)
            await asyncio.to_thread(server.start)
            for ref in acknowledged:
                assert await get(store, ref.key) == material(20 * MIB)
            for key in await keys(store):
                assert await store.head(key) in {None, 20 * MIB}
        await swept(store, *(ref.key for ref in acknowledged))


async def test_a_server_that_is_back_in_time_is_not_missed(server: SeaweedFS) -> None:
    """Within the further attempts that are made at every request."""
    async with opened(server, server.fresh_url(), retries=8, timeout=timedelta(seconds=10)) as store:
        async with store.writer() as writer:
            await send(writer, material(17 * MIB))
            await asyncio.to_thread(server.kill)
            back = asyncio.ensure_future(asyncio.to_thread(server.start))
            await send(writer, material(17 * MIB, 1))
            ref = await writer.commit()
            await back
        assert await get(store, ref.key) == material(17 * MIB) + material(17 * MIB, 1)
        await swept(store, ref.key)


async def test_what_was_suspended_outlives_the_server(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "LEASE", 3.0)
    async with opened(server, server.fresh_url()) as store:
        key = await suspended(store, material(9 * MIB))
        with pytest.raises(Unavailable):  # noqa: PT012 - likewise
            async with store.resume(key, 9 * MIB) as writer:
                await send(writer, material(9 * MIB, 1))
                await asyncio.to_thread(server.kill)
                await writer.suspend()
        await asyncio.to_thread(server.start)
        async with opened(server, f"s3://{store.place.path_of_prefix}") as other:  # the first one's lock is of no use
            ref = None
            while ref is None:
                with suppress(Conflict):  # until the lock of the one whose server died is nobody's any more
                    async with other.resume(key, 9 * MIB) as writer:
                        await writer.write([b"end"])
                        ref = await writer.commit()
            assert await get(other, key) == material(9 * MIB) + b"end"
            await swept(other, key)


async def test_a_server_that_hangs_is_given_up(server: SeaweedFS) -> None:
    url = server.fresh_url()
    async with opened(server, url, timeout=timedelta(seconds=1), retries=0) as store, opened(server, url) as patient:
        ref = await put(store, b"bytes")
        server.freeze()
        try:
            for deed in (put(store, b"small"), put(store, material(9 * MIB)), get(store, ref.key), store.ping()):
                started = time.monotonic()
                with pytest.raises(Unavailable):
                    await deed
                assert time.monotonic() - started < 30
        finally:
            server.thaw()
        # Awake again, it has to catch up first, which on a busy machine takes it more than that second.
        assert await get(patient, ref.key) == b"bytes"
        await swept(patient, ref.key)


# --- the whole service -------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.cycles(4, all=20)
def test_acknowledged_uploads_survive_a_killed_store(
    server: SeaweedFS, make_service: Callable[..., Service], cycles: int, chance: random.Random
) -> None:
    settings = {**server.settings, "store_url": server.fresh_url(), "store_timeout": "5s", "store_retries": 1}
    service = make_service(lease="3s", **settings).start()

    async def cycle(company: Company) -> list[Receipt]:
        async with Load(flows(service.desk, company), service.async_client) as load:
            await load.goes_on(1)
            await asyncio.sleep(chance.uniform(0, 1))
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(chance.uniform(0, 0.5))
            await asyncio.to_thread(server.start)
            await load.goes_on()
        assert not load.broken
        return load.ledger

    for _ in range(cycles):
        company = service.desk.company("killed")
        verify(service.desk, asyncio.run(cycle(company)))
        once(service.desk, company)
    service.stop()
    fsck(service.environment)
