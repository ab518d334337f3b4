"""The database ends at once or is out of reach while the service is under load: refusals are told in time, nothing
acknowledged is lost, and the service goes on by itself."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadingdock.core.model.companies import Company
from tests.engines.link import Link, link
from tests.engines.postgres import Postgres, server
from tests.engines.seaweedfs import SeaweedFS
from tests.faults.check import fsck, once, verify
from tests.faults.fleet import Fleet
from tests.faults.flows import flows
from tests.faults.load import Load
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.engine("postgres")]

TOLD_WITHIN = 30.0  # seconds in which everybody has an answer, whatever it is


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with server() as running:
        yield running


@pytest.mark.engine("s3")
@pytest.mark.timeout(3600)
@pytest.mark.cycles(3, all=20)
def test_a_database_that_ends_at_once_under_load(
    own_postgres: Postgres, seaweedfs: SeaweedFS, tmp_path: Path, cycles: int, chance: random.Random
) -> None:
    settings = {"database_url": own_postgres.database(), "store_url": seaweedfs.fresh_url(), **seaweedfs.settings}
    fleet = Fleet(tmp_path, {**settings, "lease": "3s"}, web=2, workers=1)

    async def cycle(company: Company) -> Load:
        async with Load(flows(fleet.desk, company), lambda: fleet.client(chance)) as load:
            await load.goes_on()
            await asyncio.sleep(chance.uniform(0, 1))
            await asyncio.to_thread(own_postgres.stop, "immediate")
            await asyncio.sleep(chance.uniform(0, 6))
            await asyncio.to_thread(own_postgres.start)
            print(f"went on after {await load.goes_on():.1f} s;", end=" ")
        print(len(load.ledger), "acknowledged,", load.refused, f"refused, the longest after {load.longest:.1f} s")
        return load

    try:
        fleet.start()
        for _ in range(cycles):
            company = fleet.desk.company("away")
            load = asyncio.run(cycle(company))
            assert not load.broken
            assert load.longest < TOLD_WITHIN
            verify(fleet.desk, load.ledger)
            once(fleet.desk, company)
        fleet.stop()
        fsck(fleet.environment)
    finally:
        fleet.close()


# --- out of reach ------------------------------------------------------------


@pytest.fixture
def far() -> Iterator[tuple[Link, Postgres]]:
    """A server in another network namespace, and the link to it."""
    with link() as made, server(host=made.there, inside=made.inside) as running:
        yield made, running


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lost", ["everything", "answers"])
def test_a_link_that_is_cut_without_a_word(
    far: tuple[Link, Postgres], make_service: Callable[..., Service], lost: str
) -> None:
    """For longer than a connection is held to be alive. What only lost its answer may have been done, and is not
    acknowledged."""
    between, postgres = far
    service = make_service(database_url=postgres.database(), lease="3s").start()
    company = service.desk.company("cut")

    async def cycle() -> Load:
        async with Load(flows(service.desk, company), service.async_client) as load:
            await load.goes_on()
            await asyncio.to_thread(between.cut if lost == "everything" else between.lose_answers)
            cut = time.monotonic()
            async with service.async_client() as client:
                while time.monotonic() - cut < 15:
                    await asyncio.sleep(1)
                    assert (await client.get("/healthz")).status_code == 200
                    ready = await client.get("/readyz")
                assert ready.json()["checks"]["database"]["status"] == "down"
            await load.is_refused()
            refused = load.refused
            await asyncio.to_thread(between.mend)
            print(f"went on after {await load.goes_on():.1f} s;", end=" ")
        print(len(load.ledger), "acknowledged,", refused, f"refused, the longest after {load.longest:.1f} s")
        return load

    load = asyncio.run(cycle())
    assert not load.broken
    assert load.longest < TOLD_WITHIN
    verify(service.desk, load.ledger)
    once(service.desk, company)
    service.stop()
    fsck(service.environment)
