"""The contract of loads on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from loadingdock.adapters.contacts.loading.postgres import PostgresLoader
from loadingdock.adapters.contacts.tables.postgres import PostgresContacts
from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.core.loading import ContactLoader
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.loading import BatchOf, LoadingContract
from tests.contract import batches
from tests.contract.loading_deleted import DeletedContacts
from tests.contract.loading_kills import KilledLoads
from tests.contract.loading_older import OlderLoads
from tests.engines.postgres import Postgres, postgres

__all__ = ["postgres"]


@pytest.mark.engine("postgres")
class TestPostgresLoads(DeletedContacts, KilledLoads, OlderLoads, LoadingContract):
    @pytest.fixture
    async def records(self, postgres: Postgres) -> AsyncIterator[PostgresRecords]:
        url = await asyncio.to_thread(postgres.database)
        records = await PostgresRecords.open(url)
        yield records
        await records.close()
        await asyncio.to_thread(postgres.drop, url)

    @pytest.fixture
    async def contacts(self, records: PostgresRecords) -> AsyncIterator[ContactStore]:
        store = PostgresContacts(*records.place)
        yield store
        await store.close()

    @pytest.fixture
    def loader(self, records: PostgresRecords) -> ContactLoader:
        return PostgresLoader(records.place[1])

    @pytest.fixture
    def batch_of(self) -> BatchOf:
        return batches.batch_of

    @pytest.fixture
    def place(self, records: PostgresRecords) -> tuple[str, str]:
        return "postgres", records.place[1]
