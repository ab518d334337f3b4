"""Units of work as transactions: locked, committed, run again where that is safe, and never half done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import CodeType
from typing import Any, TypeVar

from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.postgres.connection import LONGEST, Connection, roll_back
from loadingdock.adapters.records.postgres.executor import Fate, PostgresExecutor, refusal, unavailable
from loadingdock.adapters.records.postgres.group import Group
from loadingdock.adapters.records.postgres.notices import Notices
from loadingdock.adapters.records.postgres.pool import Pool
from loadingdock.adapters.records.unit import SqlUnit
from loadingdock.core.errors import DockError, Unavailable
from loadingdock.core.ports.records import Unit

T = TypeVar("T")
Run = Callable[[Executor], Awaitable[T]]

_TIMES = 10  # that a unit is run while others are in its way, or connections are lost under it


class Engine:
    """READ COMMITTED for what writes, with the rows that a unit decides by locked as it reads them: who comes second
    waits and then sees what the first one did, where SERIALIZABLE would send all who waited back to the beginning. What
    only reads sees one moment (REPEATABLE READ).

    A caller that is cancelled while its transaction runs does not stop it.
    """

    def __init__(self, pool: Pool, notices: Notices) -> None:
        self._pool = pool
        self._notices = notices
        self._group = Group(pool, self._alone)
        self._running: set[asyncio.Task[Any]] = set()
        self._longer: set[CodeType] = set()

    async def write(self, run: Run[T]) -> T:
        return await self._repeat(run, True)

    async def read(self, run: Run[T], work: Callable[..., object]) -> T:
        """`work` is what `run` runs. One that asks a single thing needs no transaction around it, and most do; which of
        them ask for more is learnt by their first time."""
        if work.__code__ in self._longer:
            return await self._repeat(run, False)

        async def single(connection: Connection, _: bool) -> T:
            return await self._transaction(connection, run, writing=False, single=True)

        try:
            return await self._attempts(single)
        except _More:
            self._longer.add(work.__code__)
            return await self._repeat(run, False)

    async def once(self, query: str, topic: str | None, params: dict[str, Any]) -> int:
        """One statement, committed together with others of the same moment. Raises Unavailable where nobody knows
        whether it was."""
        written = await self._group.run(query, params)
        if written and topic is not None:
            self._notices.tell({topic})
        return written

    async def _alone(self, query: str, params: dict[str, Any]) -> int:
        async def statement(connection: Connection, _: bool) -> int:
            db = PostgresExecutor(connection, writing=True, single=True)
            try:
                return await db.run(query, **params)
            except DockError as error:
                if db.fate is Fate.AGAIN:
                    raise _Again(error, careful=False) from error
                raise

        return await self._attempts(statement)

    async def _repeat(self, run: Run[T], writing: bool) -> T:
        async def attempt(connection: Connection, careful: bool) -> T:
            return await self._transaction(connection, run, writing=writing, careful=careful)

        return await self._attempts(attempt)

    async def _attempts(self, attempt: Callable[[Connection, bool], Awaitable[T]]) -> T:
        careful = False
        for left in reversed(range(_TIMES)):
            connection = await self._pool.take()
            task = asyncio.create_task(self._bounded(attempt(connection, careful), connection))
            self._running.add(task)
            task.add_done_callback(self._ended)
            try:
                return await asyncio.shield(task)
            except _Again as again:
                if not left:
                    raise again.instead from again.__cause__
                careful = careful or again.careful
            if not careful:
                await asyncio.sleep(random.random() * 0.02)  # noqa: S311 - so that two do not meet again
        raise AssertionError("the last attempt answers or raises")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone

    async def _bounded(self, attempt: Awaitable[T], connection: Connection) -> T:
        try:
            async with asyncio.timeout(LONGEST):
                return await attempt
        except TimeoutError:
            await connection.close()
            raise Unavailable("database") from None
        finally:
            await self._pool.give_back(connection)

    async def _transaction(
        self, connection: Connection, run: Run[T], *, writing: bool, careful: bool = False, single: bool = False
    ) -> T:
        db = PostgresExecutor(connection, writing=writing, careful=careful, single=single)
        try:
            value = await run(db)
            await db.begin()
        except BaseException as error:
            await roll_back(connection)
            _judge(db, raised=True)
            raise error
        if db.fate is not None:
            await roll_back(connection)
            _judge(db, raised=False)
        if not single:
            await _commit(connection, db)
        if db.topics:
            self._notices.tell(db.topics)
        return value

    async def settle(self) -> None:
        """Until what runs now has ended."""
        await self._group.settle()
        await asyncio.gather(*self._running, return_exceptions=True)


class _More(Exception):
    """A single statement was not all."""


class _Again(Exception):
    """The work is to be run again; `instead` is what to raise once that was done too often."""

    def __init__(self, instead: DockError, *, careful: bool) -> None:
        super().__init__(str(instead))
        self.instead = instead
        self.careful = careful


def _judge(db: PostgresExecutor, *, raised: bool) -> None:
    """What is to be done about a transaction that met an error; returns where the work's own exception says it all."""
    match db.fate:
        case Fate.AGAIN:
            raise _Again(Unavailable("database", retry_after=1), careful=False) from db.error
        case Fate.LOST:  # before the commit was asked for: nothing of it is kept
            raise _Again(unavailable(db.error), careful=False) from db.error
        case Fate.MORE:
            raise _More
        case Fate.REFUSED if db.error is not None:
            raise (refusal(db.error) or unavailable)() from db.error
        case Fate.STATEMENT if db.went_on or not raised:
            raise _Again(unavailable(), careful=True) from db.error


async def _commit(connection: Connection, db: PostgresExecutor) -> None:
    """Raises Unavailable if the server did not say that it is done, whatever became of it: then nobody knows."""
    try:
        await db.commit()
    except DockError:
        await roll_back(connection)
        if connection.closed:
            raise
        _judge(db, raised=False)  # the work ended well: what was pending or the commit itself was refused
        raise


def unit_of(company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> Run[T]:
    async def run(db: Executor) -> T:
        return await work(SqlUnit(db, company_id))

    return run
