"""What comes next is made ready while a database works."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """The same ones, taken by a thread of its own, which has ended when this has. Raises what taking them does.

    The next one is begun when the last was asked for: there are two of them at any time, each of which may be large.
    """
    ready: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()
    wanted = threading.Semaphore(1)
    stopped = threading.Event()

    def take() -> None:
        try:
            taken = iter(items)
            while wanted.acquire() and not stopped.is_set():
                if (item := next(taken, None)) is None:
                    break
                ready.put(item)
                del item  # or it would be held while the next one is made
            ready.put(None)
        except BaseException as error:  # told to whoever waits
            ready.put(error)

    def given() -> Iterator[T]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            wanted.release()
            yield item
            del item

    thread = threading.Thread(target=take, name="contacts-ahead", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        stopped.set()
        wanted.release()
        thread.join()
