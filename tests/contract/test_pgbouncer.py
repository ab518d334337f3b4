"""A proxy in front of PostgreSQL: one that pools sessions is not noticed, any other is refused at the start."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.core.errors import Conflict
from loadingdock.core.model.companies import Usage
from loadingdock.testing.records.store import NOW, SOON, Store
from tests.contract.test_postgres import opened
from tests.engines.pgbouncer import pgbouncer
from tests.engines.postgres import Postgres, name_of, postgres

__all__ = ["postgres"]
pytestmark = [pytest.mark.engine("postgres"), pytest.mark.slow]


async def test_sessions_are_pooled(postgres: Postgres) -> None:
    with pgbouncer(postgres, "session") as proxy:
        url = proxy.url(name_of(postgres.database()))
        async with opened(url) as here, opened(url) as there:
            await here.migrate()
            store = Store(here, here.jobs, lambda: pytest.fail("not asked for"))
            company = await store.company()
            heard = asyncio.create_task(there.watch(company.id, 0, timedelta(seconds=SOON)))
            await asyncio.gather(
                *(
                    store.write(company, lambda unit: unit.ledger.charge(1, 1, max_bytes=None, max_files=None))
                    for _ in range(100)
                )
            )
            assert await store.read(company, lambda unit: unit.ledger.get()) == Usage(100, 100)
            await store.write(company, lambda unit: unit.events.add(NOW, "kind", "file", {}))
            assert len(await heard) == 1


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_what_hands_sessions_on_is_refused(postgres: Postgres, mode: str) -> None:
    with pgbouncer(postgres, mode) as proxy:
        records = await PostgresRecords.open(proxy.url(name_of(postgres.database())))
        try:
            with pytest.raises(Conflict, match="a proxy that pools transactions or statements; name the server itself"):
                await records.migrate()
        finally:
            await records.close()
