"""The job queue's contract on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadingdock.testing.jobs import JobQueueContract
from loadingdock.testing.records import OpenStore
from tests.contract.sqlite_store import opener


class TestSqliteJobs(JobQueueContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return opener(tmp_path)
