"""What has arrived, in an SQLite file beside the data: it outlives a process that is killed, and after a power failure
it may have forgotten its last lines, which costs no more than carrying those again."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

import apsw

from loadingdock.core.errors import Conflict

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blobs (key TEXT PRIMARY KEY, size INTEGER, sha256 TEXT, seen INTEGER NOT NULL DEFAULT 0)
WITHOUT ROWID
"""
_ARRIVED = "SELECT key FROM blobs WHERE key IN (SELECT value FROM json_each(?)) AND sha256 IS NOT NULL"
_SEE = "UPDATE blobs SET seen = 1 WHERE key IN (SELECT value FROM json_each(?)) RETURNING key"

_PATIENCE = 10_000  # milliseconds, for whoever else looks at it


class CopyLedger:
    """A `Ledger`. One process at a time has its folder; None for a path is one in memory, which is forgotten."""

    def __init__(self, path: Path | None, *, like: Path | None = None) -> None:
        """`like` is a file whose content this one begins with, if there is one. Raises Conflict while another process
        has the file."""
        self._path = path
        self._lock = Lock()
        self._held = -1 if path is None else _hold(path.parent)
        self._connection = apsw.Connection(":memory:" if path is None else str(path))
        self._connection.set_busy_timeout(_PATIENCE)
        if like is not None and like.exists():
            known = apsw.Connection(str(like), flags=apsw.SQLITE_OPEN_READONLY)
            known.set_busy_timeout(_PATIENCE)
            with closing(known), self._connection.backup("main", known, "main") as backup:
                backup.step()
        if path is not None:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(_SCHEMA)
        self._connection.execute("UPDATE blobs SET seen = 0 WHERE seen <> 0")

    async def unfinished(self) -> tuple[str, ...]:
        return tuple(await self._keys("SELECT key FROM blobs WHERE sha256 IS NULL"))

    async def arrived(self, keys: Collection[str]) -> frozenset[str]:
        return frozenset(await self._keys(_ARRIVED, keys))

    async def see(self, keys: Collection[str]) -> frozenset[str]:
        return frozenset(await self._keys(_SEE, keys))

    async def forget_unseen(self) -> None:
        await self._keys("DELETE FROM blobs WHERE seen = 0 AND sha256 IS NOT NULL")

    async def begin(self, key: str) -> None:
        await self._do("INSERT OR REPLACE INTO blobs (key, seen) VALUES (?, 1)", key)

    async def arrive(self, key: str, size: int, sha256: str) -> None:
        await self._do("INSERT OR REPLACE INTO blobs (key, size, sha256, seen) VALUES (?, ?, ?, 1)", key, size, sha256)

    async def clear(self) -> None:
        await self._do("DELETE FROM blobs")

    async def _keys(self, statement: str, keys: Collection[str] = ()) -> list[str]:
        given = (json.dumps(list(keys)),) if "?" in statement else ()
        return await self._threaded(lambda: [str(row[0]) for row in self._connection.execute(statement, given)])

    async def _do(self, statement: str, *values: str | int) -> None:
        await self._threaded(lambda: self._connection.execute(statement, values).fetchall())

    async def _threaded(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._lock:
                return work()

        return await asyncio.to_thread(alone)

    def close(self) -> None:
        """Nothing stays where nothing is to be remembered."""
        known = self._connection.execute("SELECT 1 FROM blobs LIMIT 1").fetchall()
        self._connection.close()
        if self._path is not None:
            if not known:
                self._path.unlink(missing_ok=True)
                with suppress(OSError):  # another destination's is there
                    self._path.parent.rmdir()
            os.close(self._held)


def _hold(folder: Path) -> int:
    """A lock that goes with the process. Not the file's: SQLite's own would go when that is closed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Conflict("Another `loadingdock move` is at it; wait until it has ended.") from None
    return fd
