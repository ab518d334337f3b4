"""What comes next is made ready while a database works."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_READY = 1  # batch that waits, beside the one in the making and the one in use


@contextmanager
def ahead(items: Iterable[T]) -> Iterator[Iterator[T]]:
    """The same ones, taken by a thread of its own, which has ended when this has. Raises what taking them does."""
    ready: queue.Queue[T | BaseException | None] = queue.Queue(_READY)
    stopped = threading.Event()

    def put(item: T | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def take() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # told to whoever waits
            put(error)

    def given() -> Iterator[T]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=take, name="contacts-ahead", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        stopped.set()
        thread.join()
