"""The records' contract on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadingdock.testing.records import OpenStore, RecordsContract
from tests.contract.sqlite_store import opener


class TestSqliteRecords(RecordsContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        return opener(tmp_path)
