"""How far a backup or its restoration has come, and the threads that it is done in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 8  # fsyncs that wait together share the journal's commits
_BATCH = 64


class Progress:
    """Bytes done, of about `total_bytes`. `told` hears both whenever they have changed, from any thread."""

    def __init__(self, told: Callable[[int, int], None] = lambda _done, _total: None) -> None:
        self.total_bytes = 0
        self._bytes = 0
        self._told = told
        self._lock = Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._bytes += count
        self._told(self._bytes, self.total_bytes)


def in_batches(work: Callable[[T], R], items: Iterable[T]) -> Iterator[list[R]]:
    """Does the work in threads, a batch after the other, so that nothing gathers in memory. The first exception ends
    it, once its batch has ended."""
    source = iter(items)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="backup") as pool:
        while batch := [*islice(source, _BATCH)]:
            yield [*pool.map(work, batch)]
