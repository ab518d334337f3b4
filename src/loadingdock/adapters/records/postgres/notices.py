"""Telling the other processes what was committed, and hearing it from them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

import psycopg

from loadingdock.adapters.records.bell import Bell
from loadingdock.adapters.records.executor import IDENTITY
from loadingdock.adapters.records.postgres.connection import connect
from loadingdock.adapters.records.postgres.pool import Pool
from loadingdock.core.errors import Unavailable

log = logging.getLogger(__name__)

_CHANNEL = "loadingdock"
_LONGEST = 7_900  # bytes; NOTIFY takes less than 8,000
_PAUSES = (0.1, 0.5, 1.0, 2.0)  # seconds before the next attempt to listen


class Notices:
    """Rings the bell for what this and other processes committed.

    NOTIFY is sent after the commit it tells of, in a transaction of its own: within, every commit that notifies waits
    for every other one's to be on the disk, for the queue of notifications is kept in the order of commits by one lock.
    What is committed while one is on its way goes with the next. A process that dies in between leaves the others to
    the looks that they take at intervals anyway. `forget` is called with the subject whose record another process
    changed, None where it may have been anybody's.
    """

    def __init__(self, info: str, pool: Pool, bell: Bell) -> None:
        self._info = info
        self._pool = pool
        self._bell = bell
        self._self = secrets.token_hex(6)  # our own are heard too, and were rung already
        self._untold: set[str] = set()
        self._something = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.forget: Callable[[str | None], None] = _nothing

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._tell_all(), name="postgres-notify"),
            asyncio.create_task(self._listen(), name="postgres-listen"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def tell(self, topics: Iterable[str]) -> None:
        self._bell.ring(topics)
        self._untold.update(topics)
        self._something.set()

    async def _tell_all(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            untold, self._untold = self._untold, set()
            try:
                async with self._pool.connection() as connection:
                    for payload in _payloads(self._self, untold):
                        await connection.execute("SELECT pg_notify(%s, %s)", (_CHANNEL, payload))
            except (psycopg.Error, Unavailable) as error:
                log.warning("other processes were not told: %s", error)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                connection = await connect(self._info)
                async with connection:
                    await connection.execute(f"LISTEN {_CHANNEL}")
                    failures = 0
                    self._bell.ring_all()  # for what was told while nobody listened
                    self.forget(None)
                    async for notice in connection.notifies():
                        sender, *topics = notice.payload.split(" ")
                        if sender != self._self:
                            self._hear(topics)
            except psycopg.Error as error:
                if not failures:
                    log.warning("not listening: %s", str(error).strip().partition("\n")[0])
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1

    def _hear(self, topics: list[str]) -> None:
        self._bell.ring(topics)
        for topic in topics:
            if topic.startswith(IDENTITY):
                self.forget(unquote(topic.removeprefix(IDENTITY)) or None)


def _nothing(_: str | None) -> None:
    pass


def _payloads(sender: str, topics: Iterable[str]) -> Iterator[str]:
    payload = sender
    for topic in topics:
        if len(payload) + len(topic) >= _LONGEST:
            yield payload
            payload = sender
        payload = f"{payload} {topic}"
    yield payload
