"""The contract of imports on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from loadingdock.adapters.contacts.importing.importer import ChildImporter
from loadingdock.adapters.contacts.tables.postgres import PostgresContacts
from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import ContactImporter
from loadingdock.testing.contacts.importing import ImportingContract
from tests.contract.hostile_imports import HostileImports
from tests.contract.import_files import packed
from tests.contract.import_kills import KilledImports
from tests.engines.postgres import Postgres, postgres

__all__ = ["packed", "postgres"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def records(postgres: Postgres) -> AsyncIterator[PostgresRecords]:
    url = await asyncio.to_thread(postgres.database)
    records = await PostgresRecords.open(url)
    yield records
    await records.close()
    await asyncio.to_thread(postgres.drop, url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def contacts(records: PostgresRecords) -> AsyncIterator[ContactStore]:
    store = PostgresContacts(*records.place)
    yield store
    await store.close()


@pytest.fixture(scope="module")
def place(records: PostgresRecords) -> str:
    return records.place[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def importer(place: str) -> AsyncIterator[ContactImporter]:
    importer = ChildImporter(place)
    yield importer
    await importer.close()


@pytest.mark.engine("postgres")
class TestPostgresImports(KilledImports, HostileImports, ImportingContract):
    """All of it."""
