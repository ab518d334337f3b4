"""The child's end of the pipes."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from loadingdock.adapters.contacts.importing.messages import LENGTH, Message, framed, parsed


class Link:
    """Says what it is told, and hears all the time: the process ends as soon as the parent is gone, whatever it does.

    `on_heard` is called with whether to go on, in the thread that hears.
    """

    on_heard: Callable[[bool], None] | None = None

    def __init__(self, hears: BinaryIO, says: BinaryIO) -> None:
        self._hears = hears
        self._says = says
        self._saying = threading.Lock()
        self._asked: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._commit = threading.Event()
        threading.Thread(target=self._hear, name="import-parent", daemon=True).start()

    def next(self) -> Message:
        """The place, then jobs."""
        return self._asked.get()

    def say(self, kind: str, **facts: Any) -> None:
        frame = framed(kind, **facts)
        with self._saying:
            self._says.write(frame)
            self._says.flush()

    def wait_for_commit(self) -> None:
        """Returns when the parent wants it: it ends us otherwise, or is gone."""
        self._commit.wait()
        self._commit.clear()

    def _hear(self) -> None:
        # Without any goodbye, whatever other threads do: a transaction that is open is rolled back by that.
        try:
            while head := self._hears.read(LENGTH.size):
                kind, facts = parsed(self._hears.read(LENGTH.unpack(head)[0]))
                match kind:
                    case "commit":
                        self._commit.set()
                    case "heard":
                        if (heard := self.on_heard) is not None:
                            heard(facts["going_on"])
                    case _:
                        self._asked.put((kind, facts))
        finally:
            os._exit(0)
