"""Records and jobs in PostgreSQL, shared by any number of processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from loadingdock.adapters.records.bell import Bell
from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.jobs import SqlJobQueue
from loadingdock.adapters.records.postgres import schema
from loadingdock.adapters.records.postgres.connection import conninfo, where
from loadingdock.adapters.records.postgres.engine import Engine, unit_of
from loadingdock.adapters.records.postgres.notices import Notices
from loadingdock.adapters.records.postgres.pool import Pool
from loadingdock.adapters.records.watching import watch
from loadingdock.core.model.journal import Event
from loadingdock.core.ports.examination import Examination
from loadingdock.core.ports.records import Connections, Unit

T = TypeVar("T")

POOL = 10  # connections
_LOOK = 5.0  # seconds after which who follows events looks, though nothing was told


class PostgresRecords:
    """Bound to the event loop in which it was opened. Besides its pool it has one connection that listens."""

    def __init__(self, url: str, *, pool: int = POOL) -> None:
        """Raises Conflict for what is no URL of a PostgreSQL database."""
        self._info = conninfo(url)
        self._where = where(url)
        self._bell = Bell()
        self._pool = Pool(self._info, pool)
        self._notices = Notices(self._info, self._pool, self._bell)
        self._engine = Engine(self._pool, self._notices)
        self._closed = False
        self.jobs = SqlJobQueue(self, self._bell)

    @classmethod
    async def open(cls, url: str, *, pool: int = POOL) -> PostgresRecords:
        """Connects in the background; `migrate` makes the tables. Raises Conflict for what is no such URL."""
        records = cls(url, pool=pool)
        await records._pool.open()
        records._notices.start()
        return records

    async def write(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Raises Unavailable too if the connection broke while the commit was under way: it may have happened."""
        return await self._engine.write(unit_of(company_id, work))

    async def read(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._engine.read(unit_of(company_id, work), work)

    async def transact(self, work: Callable[[Executor], Awaitable[T]]) -> T:
        return await self._engine.write(work)

    async def look(self, work: Callable[[Executor], Awaitable[T]]) -> T:
        return await self._engine.read(work, work)

    async def once(self, query: str, topic: str | None, /, **params: Any) -> int:
        return await self._engine.once(query, topic, params)

    async def watch(self, company_id: int, after: int, timeout: timedelta) -> tuple[Event, ...]:
        return await watch(self, self._bell, company_id, after, timeout, longest=_LOOK)

    def when_forgotten(self, forget: Callable[[str | None], None]) -> None:
        """`forget` is called with the user name, key id or client id whose record another process changed; None where
        it may have been anybody's."""
        self._notices.forget = forget

    async def ping(self) -> None:
        """Raises Unavailable("database")."""

        async def work(unit: Unit) -> None:
            await unit.companies.by_id(0)

        await self.read(None, work)

    async def migrate(self) -> tuple[int, int]:
        return await schema.migrate(self._info)

    async def schema_version(self) -> tuple[int, int]:
        return await schema.version(self._info), schema.known_version()

    async def sealed(self) -> str:
        return await schema.sealed(self._info)

    @property
    def place(self) -> tuple[Pool, str]:
        """Its connections, and libpq's string for a further one: for what lives in the same database."""
        return self._pool, self._info

    def connections(self) -> Connections:
        return self._pool.counted()

    async def examine(self) -> Examination:
        return await schema.examine(self._info, self._where, self._pool.counted().most + 1)  # one listens

    async def close(self) -> None:
        """What was asked for before is still done and answered."""
        if not self._closed:
            self._closed = True
            await self._engine.settle()
            await self._notices.stop()
            await self._pool.close()


__all__ = ["POOL", "PostgresRecords"]
