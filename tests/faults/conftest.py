"""Engines for all that leave them running, what stands on them, and fleets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines.postgres import Postgres, postgres
from tests.engines.seaweedfs import SeaweedFS, seaweedfs
from tests.faults.contactbase import InPostgres, InSqlite, MakeBase
from tests.faults.fleet import Fleet

__all__ = ["postgres", "seaweedfs"]


@pytest.fixture
def make_fleet(postgres: Postgres, seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """`make_fleet(web=3, workers=2, lease="3s").start()`, on a database and a prefix of its own."""
    made: list[Fleet] = []

    def make(*, web: int, workers: int, **settings: object) -> Fleet:
        engines = {"database_url": postgres.database(), "store_url": seaweedfs.fresh_url(), **seaweedfs.settings}
        made.append(Fleet(tmp_path / f"fleet{len(made)}", {**engines, **settings}, web=web, workers=workers))
        return made[-1]

    yield make
    for fleet in made:
        fleet.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.engine("postgres"))])
def make_base(request: pytest.FixtureRequest) -> MakeBase:
    """Contacts in the one database and in the other."""
    if request.param == "sqlite":
        return InSqlite
    postgres: Postgres = request.getfixturevalue("postgres")
    return lambda data: InPostgres(postgres)
