"""The contract of contact tables on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts import ContactContract
from tests.contract.hostile_names import HostileNames


class TestSqliteContacts(HostileNames, ContactContract):
    @pytest.fixture
    async def contacts(self, tmp_path: Path) -> AsyncIterator[ContactStore]:
        store = SqliteContacts(tmp_path / "contacts")
        yield store
        await store.close()
