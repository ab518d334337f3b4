"""Fresh PostgreSQL stores for the contract suites."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.testing.records import OpenStore, Store
from tests.desk import eventually
from tests.engines.postgres import Postgres, name_of


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Store]:
    records = await PostgresRecords.open(url)
    try:
        await records.migrate()
        yield Store(records, records.jobs, partial(_open, url))
    finally:
        await records.close()


def opener(postgres: Postgres, migrated: str) -> OpenStore:
    """`migrated` is the URL of a database that is copied: with its tables, and nobody connected."""

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        url = await asyncio.to_thread(postgres.database, name_of(migrated))
        async with _open(url) as store:
            yield store
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith(("postgres-", "records-"))}
        await asyncio.to_thread(eventually, lambda: not postgres.connections(url))
        await asyncio.to_thread(postgres.drop, url)

    return open_store


async def migrated(postgres: Postgres) -> str:
    url = postgres.database()
    records = await PostgresRecords.open(url)
    await records.migrate()
    await records.close()
    return url
