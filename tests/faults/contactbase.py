"""The database that contact tables are in, seen from outside: by SQL of our own, whatever the service says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import apsw
import psycopg

from loadingdock.bootstrap import CONTACTS, DATABASE
from loadingdock.core.loading import Counts
from loadingdock.core.model.contacts import ContactTable
from tests.engines.postgres import Postgres, name_of
from tests.service import Service

OWN = "_dock_"


class ContactBase(Protocol):
    settings: dict[str, object]
    """Of a service that keeps its contacts there."""

    def ask(self, company_id: int, statement: str) -> list[tuple[Any, ...]]:
        """{0} in it is where the company's tables are."""
        ...

    def names(self, company_id: int) -> set[str]:
        """The tables of the company."""
        ...

    def unfinished(self) -> int:
        """Tables that belong to a load under way."""
        ...

    def locked(self, table: ContactTable) -> AbstractContextManager[None]:
        """Nobody writes it meanwhile, and who wants to waits."""
        ...

    def records_locked(self) -> AbstractContextManager[None]:
        """Nobody writes down what becomes of an import meanwhile, and who wants to waits."""
        ...

    def waits(self, pid: int, table: ContactTable) -> bool:
        """Whether that process is about to write a table that is locked."""
        ...

    def hurry(self) -> None:
        """No job waits any longer for its next attempt."""
        ...


class InSqlite:
    def __init__(self, data: Path) -> None:
        self.settings: dict[str, object] = {}
        self._data = data

    def ask(self, company_id: int, statement: str) -> list[tuple[Any, ...]]:
        path = self._data / CONTACTS / f"{company_id}.sqlite"
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.set_busy_timeout(10_000)
            return connection.execute(statement.format("main.")).fetchall()

    def names(self, company_id: int) -> set[str]:
        found = self.ask(company_id, "SELECT name FROM {0}sqlite_schema WHERE type = 'table'")
        return {name for (name,) in found if not name.startswith("sqlite_")}

    def unfinished(self) -> int:
        return 0  # they are in the memory of the process that has made them

    def locked(self, table: ContactTable) -> AbstractContextManager[None]:
        return self._locked(self._data / CONTACTS / f"{table.company_id}.sqlite")

    def records_locked(self) -> AbstractContextManager[None]:
        return self._locked(self._data / DATABASE)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(10_000)
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def waits(self, pid: int, table: ContactTable) -> bool:
        """It opens the file to write it, and for nothing else."""
        path = (self._data / CONTACTS / f"{table.company_id}.sqlite").resolve()
        return any(each.resolve() == path for each in Path(f"/proc/{pid}/fd").iterdir())

    def hurry(self) -> None:
        path = self._data / DATABASE
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.set_busy_timeout(10_000)
            connection.execute("UPDATE jobs SET run_at = 0 WHERE state = 'waiting'")


class InPostgres:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._url = postgres.database()
        self.settings: dict[str, object] = {"database_url": self._url}

    def ask(self, company_id: int, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(statement.format(f"contacts_{company_id}.").encode()).fetchall()

    def names(self, company_id: int) -> set[str]:
        found = self.ask(0, f"SELECT tablename FROM pg_tables WHERE schemaname = 'contacts_{company_id}'")
        return {str(name) for (name,) in found}

    def locked(self, table: ContactTable) -> AbstractContextManager[None]:
        return self._locked(f'contacts_{table.company_id}."{table.code}"')

    def records_locked(self) -> AbstractContextManager[None]:
        return self._locked("imports")

    @contextmanager
    def _locked(self, home: str) -> Iterator[None]:
        with psycopg.connect(self._url) as connection:
            connection.execute(f"LOCK TABLE {home} IN SHARE ROW EXCLUSIVE MODE".encode())
            yield

    def waits(self, pid: int, table: ContactTable) -> bool:
        """Somebody does: there is nobody else."""
        return bool(self.ask(0, "SELECT 1 FROM pg_locks WHERE locktype = 'relation' AND NOT granted"))

    def unfinished(self) -> int:
        found = self.ask(0, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relpersistence = 't'")
        return int(found[0][0])

    def hurry(self) -> None:
        self._postgres.ask("UPDATE jobs SET run_at = 0 WHERE state = 'waiting'", name_of(self._url))


MakeBase = Callable[[Path], ContactBase]
"""For a service with that folder."""


def made(folder: Path, make_base: MakeBase, *options: str, lease: str = "1s") -> tuple[Service, ContactBase]:
    """A service in that folder, to be started and closed, and the database of its contacts."""
    data = folder / "dock" / "data"
    base = make_base(data)
    settings = {"lease": lease, "callback_allow": "127.0.0.1/32", **base.settings}
    return Service(data, settings, options=options), base


def committed(base: ContactBase, table: ContactTable, number: int) -> Counts | None:
    """What the tables themselves know of an import's load."""
    if OWN + "loads" not in base.names(table.company_id):
        return None
    found = base.ask(table.company_id, f'SELECT counts FROM {{0}}"{OWN}loads" WHERE number = {number:d}')
    return Counts(*json.loads(found[0][0])) if found else None
