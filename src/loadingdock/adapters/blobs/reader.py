"""Reading one blob. Everything here blocks and belongs in a thread."""

from __future__ import annotations

import os
from threading import Lock
from time import monotonic

from loadingdock.adapters.blobs.spool import PIECE, engine_errors
from loadingdock.adapters.blobs.tree import Tree

_FIRST = 256 << 10
_LEAST = 64 << 10
_QUICK = 0.25  # seconds for one piece


class Reader:
    """The bytes from `start`, `length` of them or all there are. Opened by the first `piece` and closed by the last,
    so that a small blob costs one thread job."""

    def __init__(self, tree: Tree, key: str, start: int, length: int | None) -> None:
        self.closed = False
        self._tree = tree
        self._key = key
        self._at = start
        self._left = length
        self._size = _FIRST
        self._asked = 0.0
        self._lock = Lock()
        self._fd = -1

    def piece(self) -> bytes:
        """At most 1 MiB; empty at the end. Larger for who takes them quickly, smaller for who does not: hundreds of
        slow downloads are not to fill the memory."""
        with engine_errors(), self._lock:
            if self.closed:
                return b""
            asked = monotonic()
            if self._asked:
                self._size = min(self._size * 2, PIECE) if asked - self._asked < _QUICK else _LEAST
            self._asked = asked
            if self._fd < 0:
                self._fd = self._tree.open_blob(self._key)
            if self._left is None:
                self._left = max(0, os.fstat(self._fd).st_size - self._at)
            found = os.pread(self._fd, min(self._size, self._left), self._at)
            self._at += len(found)
            self._left -= len(found)
            if not found or not self._left:
                self._close()
            return found

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        self.closed = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
