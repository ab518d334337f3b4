"""Reading one blob. Everything here blocks and belongs in a thread."""

from __future__ import annotations

import os
from threading import Lock

from loadingdock.adapters.blobs.spool import engine_errors
from loadingdock.adapters.blobs.tree import Tree


class Reader:
    """The bytes from `start`, `length` of them or all there are. Opened by the first `piece` and closed by the last,
    so that a small blob costs one thread job."""

    def __init__(self, tree: Tree, key: str, start: int, length: int | None) -> None:
        self.closed = False
        self._tree = tree
        self._key = key
        self._at = start
        self._left = length
        self._lock = Lock()
        self._fd = -1

    def piece(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end."""
        with engine_errors(), self._lock:
            if self.closed:
                return b""
            if self._fd < 0:
                self._fd = self._tree.open_blob(self._key)
            if self._left is None:
                self._left = max(0, os.fstat(self._fd).st_size - self._at)
            found = os.pread(self._fd, min(size, self._left), self._at)
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
