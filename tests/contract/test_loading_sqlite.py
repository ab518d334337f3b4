"""The contract of loads on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadingdock.adapters.contacts.loading.sqlite import SqliteLoader
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.core.loading import ContactLoader
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.loading import BatchOf, LoadingContract
from tests.contract import batches
from tests.contract.loading_deleted import DeletedContacts
from tests.contract.loading_kills import KilledLoads
from tests.contract.loading_older import OlderLoads


class TestSqliteLoads(DeletedContacts, KilledLoads, OlderLoads, LoadingContract):
    @pytest.fixture
    async def contacts(self, tmp_path: Path) -> AsyncIterator[ContactStore]:
        store = SqliteContacts(tmp_path / "contacts")
        yield store
        await store.close()

    @pytest.fixture
    def loader(self, tmp_path: Path) -> ContactLoader:
        return SqliteLoader(tmp_path / "contacts")

    @pytest.fixture
    def batch_of(self) -> BatchOf:
        return batches.batch_of

    @pytest.fixture
    def place(self, tmp_path: Path) -> tuple[str, str]:
        return "sqlite", str(tmp_path / "contacts")
