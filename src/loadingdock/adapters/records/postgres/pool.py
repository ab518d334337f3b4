"""The connections of a process: taken for one transaction each, and made anew by themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
import psycopg_pool

from loadingdock.adapters.records.postgres.connection import Connection, configure, first_line
from loadingdock.core.errors import Unavailable
from loadingdock.core.ports.records import Connections

log = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds to wait for a connection before a caller is told to come again
_IMPATIENCE = 1.0  # the same, once one has waited in vain
_RECONNECT = 4.0  # seconds of attempts with growing pauses; whoever asks next begins new ones


class _Observed(psycopg.AsyncConnection[tuple[Any, ...]]):
    """Tells `failed`, an option besides libpq's, why there is no connection; the pool tells its own log alone."""

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        failed: Callable[[psycopg.Error], None] = options.pop("failed")
        try:
            return await super().connect(conninfo, **options)
        except psycopg.Error as error:
            failed(error)
            raise


class Pool:
    """At most `size` connections. Those that broke are replaced; what a caller cannot be given in time is
    Unavailable."""

    def __init__(self, info: str, size: int) -> None:
        self._pool: psycopg_pool.AsyncConnectionPool[Connection] = psycopg_pool.AsyncConnectionPool(
            info,
            kwargs={"autocommit": True, "prepare_threshold": 2, "failed": self._failed},
            connection_class=_Observed,
            configure=configure,
            min_size=min(2, size),
            max_size=size,
            reconnect_timeout=_RECONNECT,
            name="records",
            open=False,
        )
        self._size = size
        self._out = 0
        self._given = True
        self._cause = ""  # of the last attempt to connect that failed since one was given
        self._told = ""
        self._checking: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._pool.open()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        connection = await self.take()
        try:
            yield connection
        finally:
            await self.give_back(connection)

    async def take(self) -> Connection:
        try:
            connection = await self._pool.getconn(_PATIENCE if self._given else _IMPATIENCE)
        except psycopg_pool.PoolClosed:
            raise Unavailable("database") from None
        except psycopg_pool.PoolTimeout:
            taken = self._out >= self._size
            why = f"all {self._size} connections of this process are taken" if taken else "it gives no connection"
            self._tell(why if taken or not self._cause else f"{why}: {self._cause}")
            self._given = False
            raise Unavailable("database", why=why) from None
        if not self._given:
            log.warning("the database answers again")
        self._given = True
        self._cause = self._told = ""
        self._out += 1
        return connection

    def _failed(self, error: psycopg.Error) -> None:
        self._cause = first_line(error)

    def _tell(self, why: str) -> None:
        """Once, and again when it is for another reason. The reason is for the log: it may name hosts and users."""
        if why != self._told:
            log.warning("the database is not available: %s", why)
        self._told = why

    def counted(self) -> Connections:
        """One that is being made is counted among those that are there."""
        found = self._pool.get_stats()
        there, idle = found["pool_size"], found["pool_available"]
        return Connections(found["pool_max"], there, there - idle, found.get("requests_waiting", 0))

    async def give_back(self, connection: Connection) -> None:
        self._out -= 1
        if connection.closed:
            self._look_at_the_others()
        await self._pool.putconn(connection)

    def _look_at_the_others(self) -> None:
        """Where one connection was lost, others were: they are found now, not one by one by those who take them."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check(), name="postgres-check")

    async def _check(self) -> None:
        try:
            await self._pool.check()
        except (psycopg.Error, psycopg_pool.PoolClosed) as error:
            log.warning("connections could not be checked: %s", error)

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)
        await self._pool.close()
