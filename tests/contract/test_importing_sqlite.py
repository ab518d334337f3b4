"""The contract of imports on SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from loadingdock.adapters.contacts.importing.importer import ChildImporter
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import ContactImporter
from loadingdock.testing.contacts.importing import ImportingContract
from tests.contract.hostile_imports import HostileImports
from tests.contract.import_files import packed
from tests.contract.import_kills import KilledImports

__all__ = ["packed"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contacts")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def contacts(place: Path) -> AsyncIterator[ContactStore]:
    store = SqliteContacts(place)
    yield store
    await store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def importer(place: Path) -> AsyncIterator[ContactImporter]:
    importer = ChildImporter(place)
    yield importer
    await importer.close()


class TestSqliteImports(KilledImports, HostileImports, ImportingContract):
    """All of it."""
