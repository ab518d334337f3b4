"""Single statements, many to a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from loadingdock.adapters.records.postgres.connection import LONGEST, WRITING, Connection, Statements, roll_back
from loadingdock.adapters.records.postgres.executor import unavailable
from loadingdock.adapters.records.postgres.pool import Pool

_STATEMENTS = Statements(WRITING)
_MOST = 64  # statements in one commit


@dataclass(slots=True)
class Asked:
    query: str
    params: dict[str, Any]
    written: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Group:
    """Group commit without a timer: what was asked while the last commit ran is sent with the next one, in one go.

    Where one of them fails, none is kept, and each is run `alone`, so that none suffers by its neighbours.
    """

    def __init__(self, pool: Pool, alone: Callable[[str, dict[str, Any]], Awaitable[int]]) -> None:
        self._pool = pool
        self._alone = alone
        self._asked: list[Asked] = []
        self._task: asyncio.Task[None] | None = None

    async def run(self, query: str, params: dict[str, Any]) -> int:
        """The number of rows written, once that is committed. A caller that is cancelled does not stop it."""
        asked = Asked(query, params)
        self._asked.append(asked)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._all(), name="records-group")
        return await asyncio.shield(asked.written)

    async def settle(self) -> None:
        if self._task is not None:
            await self._task

    async def _all(self) -> None:
        while self._asked:
            batch, self._asked = self._asked[:_MOST], self._asked[_MOST:]
            try:
                together = len(batch) > 1 and await self._commit(batch)
            except Exception as error:
                for asked in batch:
                    _answer(asked, error)
            else:
                if not together:
                    await asyncio.gather(*map(self._one, batch))

    async def _one(self, asked: Asked) -> None:
        try:
            _answer(asked, await self._alone(asked.query, asked.params))
        except Exception as error:
            _answer(asked, error)

    async def _commit(self, batch: list[Asked]) -> bool:
        """False if nothing of it is kept. Raises Unavailable if nobody knows."""
        connection = await self._pool.take()
        try:
            async with asyncio.timeout(LONGEST):
                written = await _send(connection, batch)
        except (psycopg.Error, OverflowError, ValueError):
            await roll_back(connection)
            if connection.closed:
                raise unavailable() from None
            return False
        except TimeoutError:
            await connection.close()
            raise unavailable() from None
        finally:
            await self._pool.give_back(connection)
        for asked, rows in zip(batch, written, strict=True):
            _answer(asked, rows)
        return True


async def _send(connection: Connection, batch: list[Asked]) -> list[int]:
    """Raises what the first one met, and leaves its transaction open."""
    cursors = []
    async with connection.pipeline():
        await connection.execute("BEGIN", prepare=False)
        for asked in batch:
            cursor = psycopg.AsyncRawCursor(connection)
            await cursor.execute(*_STATEMENTS.of(asked.query, asked.params))
            cursors.append(cursor)
        await connection.execute("COMMIT", prepare=False)
    return [cursor.rowcount for cursor in cursors]


def _answer(asked: Asked, answer: int | Exception) -> None:
    if asked.written.done():  # cancelled with its loop
        return
    if isinstance(answer, Exception):
        asked.written.set_exception(answer)
        asked.written.exception()  # its caller may be gone
    else:
        asked.written.set_result(answer)
