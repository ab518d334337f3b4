"""The records' contract on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from loadingdock.testing.records import OpenStore, RecordsContract
from tests.contract.postgres_store import migrated, opener
from tests.engines.postgres import Postgres, postgres

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def template(postgres: Postgres) -> str:
    return asyncio.run(migrated(postgres))


@pytest.mark.engine("postgres")
class TestPostgresRecords(RecordsContract):
    @pytest.fixture
    def open_store(self, postgres: Postgres, template: str) -> OpenStore:
        return opener(postgres, template)
