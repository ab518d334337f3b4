"""The job queue's contract on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from loadingdock.testing.jobs import JobQueueContract
from loadingdock.testing.records import OpenStore
from tests.contract.postgres_store import migrated, opener
from tests.engines.postgres import Postgres, postgres

__all__ = ["postgres"]


@pytest.fixture(scope="module")
def template(postgres: Postgres) -> str:
    return asyncio.run(migrated(postgres))


@pytest.mark.engine("postgres")
class TestPostgresJobs(JobQueueContract):
    @pytest.fixture
    def open_store(self, postgres: Postgres, template: str) -> OpenStore:
        return opener(postgres, template)
