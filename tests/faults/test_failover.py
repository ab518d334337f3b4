"""The database's machine is lost and its standby takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from loadingdock.core.model.companies import Company
from tests.engines.postgres import Postgres, server
from tests.faults.check import fsck, once, verify
from tests.faults.flows import flows
from tests.faults.load import Load
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.engine("postgres"), pytest.mark.timeout(300)]


@pytest.fixture
def pair() -> Iterator[tuple[Postgres, Postgres]]:
    """A server, and one that follows it."""
    with server() as first, first.standby() as second:
        yield first, second


def test_the_service_goes_on_with_the_standby(
    pair: tuple[Postgres, Postgres], make_service: Callable[..., Service]
) -> None:
    """The URL names both, the standby first: it is passed over until it writes."""
    first, second = pair
    database = urlsplit(first.database())
    hosts = f"127.0.0.1:{second.port},127.0.0.1:{first.port}"
    service = make_service(database_url=f"postgresql://postgres@{hosts}{database.path}", lease="3s").start()
    assert f"Database: PostgreSQL at {hosts}{database.path}." in service.log()
    company = service.desk.company("both")

    async def cycle(company: Company) -> Load:
        async with Load(flows(service.desk, company), service.async_client) as load:
            await load.goes_on()
            await asyncio.to_thread(first.stop, "immediate")
            await load.is_refused()  # a standby that writes sooner than that is not even noticed
            with service.client() as client:
                await asyncio.to_thread(service.until, lambda: client.get("/readyz").status_code == 503)
            await asyncio.to_thread(second.promote)
            print(f"went on after {await load.goes_on():.1f} s;", end=" ")
        print(len(load.ledger), "acknowledged,", load.refused, f"refused, the longest after {load.longest:.1f} s")
        return load

    load = asyncio.run(cycle(company))
    assert not load.broken
    verify(service.desk, load.ledger)
    once(service.desk, company)
    assert service.stop() == 0
    fsck(service.environment)
