"""Waking those who wait for something to be committed: for jobs, for a company's events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Bell:
    """Rung from the thread that commits, heard in any event loop.

    Every topic counts its rings. Who reads the count before looking into the database, and hands it to `wait`
    afterwards, misses nothing that was committed in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._strikes = 0
        self._waiters: dict[str, set[_Waiter]] = {}

    @property
    def awaited(self) -> bool:
        return bool(self._waiters)

    def count(self, topic: str) -> int:
        return self._counts.get(topic, 0) + self._strikes

    def listen(self, topic: str) -> None:
        """Keeps the count for the `wait` that follows in this task, or in one that it starts."""
        _heard.set((self, topic, self.count(topic)))

    def ring(self, topics: Iterable[str]) -> None:
        with self._lock:
            for topic in topics:
                self._counts[topic] = self._counts.get(topic, 0) + 1
                self._wake(self._waiters.pop(topic, ()))

    def ring_all(self) -> None:
        """Another process wrote: who knows what."""
        with self._lock:
            self._strikes += 1
            for topic in list(self._waiters):
                self._wake(self._waiters.pop(topic))

    async def wait(self, topic: str, timeout: float, seen: int | None = None) -> None:
        """Returns when the topic was rung after `seen`, or after `timeout` seconds. Without `seen`: after this
        task's last `listen`."""
        if seen is None:
            bell, heard, seen = _heard.get()
            if bell is not self or heard != topic:
                seen = self.count(topic)
        loop = asyncio.get_running_loop()
        waiter = (loop, loop.create_future())
        with self._lock:
            if self.count(topic) != seen:
                return
            self._waiters.setdefault(topic, set()).add(waiter)
        try:
            await asyncio.wait({waiter[1]}, timeout=timeout)
        finally:
            with self._lock:
                if waiters := self._waiters.get(topic):
                    waiters.discard(waiter)
                    if not waiters:
                        del self._waiters[topic]

    @staticmethod
    def _wake(waiters: Iterable[_Waiter]) -> None:
        for loop, future in waiters:
            with suppress(RuntimeError):  # that loop is closed, and nobody waits in it any more
                loop.call_soon_threadsafe(_end, future)


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


# By context rather than by task: a worker that waits for several things at once waits in a task of its own for each.
_heard: ContextVar[tuple[Bell | None, str, int]] = ContextVar("_heard", default=(None, "", 0))
