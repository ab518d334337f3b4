"""Records and jobs in one SQLite file: one thread writes, a few read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import apsw

from loadingdock.adapters.records.bell import Bell
from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.jobs import SqlJobQueue
from loadingdock.adapters.records.sqlite import schema
from loadingdock.adapters.records.sqlite.calls import Call, Mailboxes
from loadingdock.adapters.records.sqlite.connection import refusal
from loadingdock.adapters.records.sqlite.readers import Readers
from loadingdock.adapters.records.sqlite.writer import Writer
from loadingdock.adapters.records.watching import watch
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.journal import Event
from loadingdock.core.ports.examination import Examination
from loadingdock.core.ports.records import Unit

T = TypeVar("T")

_READERS = 3


class SqliteRecords:
    """Usable from any event loop, several at once too.

    A caller that is cancelled while its write is under way does not stop it: the write may be committed all the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bell = Bell()
        self._mailboxes = Mailboxes()
        self._closed = False
        self._writer = Writer(path, self._bell)
        try:
            self._readers = Readers(path, _READERS)
        except apsw.Error:  # too many open files, say
            self._writer.stop()
            raise
        self.jobs = SqlJobQueue(self, self._bell)

    @classmethod
    def open(cls, path: Path) -> SqliteRecords:
        """Makes the file if there is none; `migrate` makes its tables. Raises Unavailable("database")."""
        try:
            return cls(path)
        except apsw.Error as error:
            if (refused := refusal(error)) is None:
                raise
            raise refused() from error

    async def write(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._submit(self._writer, work, company_id, False)

    async def read(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self._submit(self._readers, work, company_id, False)

    async def transact(self, work: Callable[[Executor], Awaitable[T]]) -> T:
        return await self._submit(self._writer, work, None, True)

    async def look(self, work: Callable[[Executor], Awaitable[T]]) -> T:
        return await self._submit(self._readers, work, None, True)

    async def once(self, query: str, topic: str | None, /, **params: Any) -> int:
        async def work(db: Executor) -> int:
            written = await db.run(query, **params)
            if written and topic is not None:
                db.signal(topic)
            return written

        return await self.transact(work)

    async def _submit(
        self,
        threads: Writer | Readers,
        work: Callable[[Any], Awaitable[T]],
        company_id: int | None,
        raw: bool,
    ) -> T:
        if self._closed:
            raise Unavailable("database")
        call = Call(self._mailboxes.here(), work, company_id, raw)
        threads.submit(call)
        result: T = await call.future
        return result

    async def watch(self, company_id: int, after: int, timeout: timedelta) -> tuple[Event, ...]:
        return await watch(self, self._bell, company_id, after, timeout)

    async def ping(self) -> None:
        """Raises Unavailable("database"); for good once a commit has met an I/O error."""
        if self._writer.broken:
            raise Unavailable("database")

        async def work(unit: Unit) -> None:
            await unit.companies.by_id(0)

        await self.read(None, work)

    async def migrate(self) -> tuple[int, int]:
        return await self._blocking(schema.migrate)

    async def schema_version(self) -> tuple[int, int]:
        return await self._blocking(schema.version), schema.known_version()

    async def sealed(self) -> str:
        return await self._blocking(schema.sealed)

    def connections(self) -> None:
        """There is no server."""

    async def examine(self) -> Examination:
        return await self._blocking(schema.examine)

    async def _blocking(self, what: Callable[[Path], T]) -> T:
        try:
            return await asyncio.to_thread(what, self.path)
        except apsw.Error as error:
            if (refused := refusal(error)) is None:
                raise
            raise refused() from error

    async def close(self) -> None:
        """What was asked for before is still done and answered."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._readers.stop)
            await asyncio.to_thread(self._writer.stop)


__all__ = ["SqliteRecords"]
