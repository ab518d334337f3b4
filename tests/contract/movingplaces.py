"""Databases that records and contacts move between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadingdock.adapters.moving.postgres import PostgresDatabase
from loadingdock.adapters.moving.sqlite import SqliteDatabase
from loadingdock.adapters.moving.tables import Database
from loadingdock.bootstrap import System, system
from loadingdock.core.model.companies import Company
from loadingdock.core.ports.records import Unit
from loadingdock.settings import Settings

NOW = datetime(2026, 11, 22, 5, 17, tzinfo=UTC)
ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.engine("postgres"))]


class Place:
    """An empty database, the settings that name it, and its side of a move."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    def make(engine: str) -> Place:
        data = tmp_path / f"place{len(list(tmp_path.iterdir()))}"
        data.mkdir()
        if engine == "sqlite":
            return Place(Settings(data=data), SqliteDatabase(data / "loadingdock.sqlite3"))
        url = request.getfixturevalue("postgres").database()
        return Place(Settings(data=data, database_url=url), PostgresDatabase(url))

    return make


@pytest.fixture(params=ENGINES)
def source(request: pytest.FixtureRequest, place: Callable[[str], Place]) -> Place:
    return place(request.param)


@pytest.fixture(params=ENGINES)
def target(request: pytest.FixtureRequest, place: Callable[[str], Place]) -> Place:
    return place(request.param)


@asynccontextmanager
async def furnished(place: Place) -> AsyncIterator[tuple[System, Company]]:
    """Values of every kind: none, texts beyond the basic plane, bytes, the largest number."""
    async with system(place.settings) as opened:
        company = await opened.services.administration.add_company("acme", name="Ä 漢字 \U0001f4e6 \\N")

        async def work(unit: Unit) -> None:
            await unit.events.add(NOW, "kind", "subject", {"n": 2**63 - 1, "s": "\x7f\u2028"})
            await unit.idempotency.begin("\\N \\\t\r\n", "fingerprint", NOW)

        await opened.records.write(company.id, work)
        yield opened, company
