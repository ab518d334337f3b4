"""The contract of contact tables on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from loadingdock.adapters.contacts.tables.postgres import PostgresContacts
from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts import ContactContract
from tests.contract.hostile_names import HostileNames
from tests.engines.postgres import Postgres, postgres

__all__ = ["postgres"]


@pytest.mark.engine("postgres")
class TestPostgresContacts(HostileNames, ContactContract):
    @pytest.fixture
    async def contacts(self, postgres: Postgres) -> AsyncIterator[ContactStore]:
        url = await asyncio.to_thread(postgres.database)
        records = await PostgresRecords.open(url)
        store = PostgresContacts(*records.place)
        yield store
        await store.close()
        await records.close()
        await asyncio.to_thread(postgres.drop, url)
