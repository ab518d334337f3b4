"""The one thread that writes, many works to a commit."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path

import apsw

from loadingdock.adapters.records.bell import Bell
from loadingdock.adapters.records.sqlite.calls import Call, Units, post
from loadingdock.adapters.records.sqlite.connection import Refusal, SqliteExecutor, connect, refusal
from loadingdock.core.errors import Unavailable

_MOST = 128  # works in one commit
_POLL = 0.1  # seconds between looks at what other processes wrote
_CHECKPOINT = 4_000  # pages of write-ahead log, of 4 KiB


class Writer:
    """Group commit without a timer: what queued while the last commit ran is the next batch.

    Each work has its savepoint in the batch's transaction; its exception undoes that much and goes to its caller.
    Callers are answered after the commit. A failed commit fails the whole batch; after an I/O error the writer stays
    `broken`, for nobody knows what of the log is on the disk.
    """

    def __init__(self, path: Path, bell: Bell) -> None:
        self.broken = False
        self._bell = bell
        self._inbox: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._connection = connect(path)
        self._connection.set_wal_hook(self._committed)
        self._execute = self._connection.cursor().execute
        self._db = SqliteExecutor(self._connection)
        self._units = Units(self._db)
        self._wal_pages = 0
        self._checkpoint_at = _CHECKPOINT
        self._seen = 0
        self._poll_at = 0.0
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        self._inbox.put(call)

    def stop(self) -> None:
        """What was submitted before is still done. Blocks until it is."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            try:
                calls = [self._inbox.get(timeout=_POLL)]
                calls += [self._inbox.get_nowait() for _ in range(min(self._inbox.qsize(), _MOST - 1))]
            except queue.Empty:
                self._poll()
                continue
            stopping = None in calls
            self._write([call for call in calls if call is not None])
            self._checkpoint()
            self._poll()
        self._connection.close()

    def _write(self, calls: list[Call]) -> None:
        # A caller that was cancelled before its turn wants nothing any more.
        calls = [call for call in calls if not call.future.cancelled()]
        topics: set[str] = set()
        try:
            if (refused := self._transact(calls, topics)) is not None:
                for call in calls:
                    call.error = refused()
        except BaseException as error:  # a fault of this file must not leave callers waiting for ever
            self._roll_back()
            for call in calls:
                call.error = error
        post(calls)
        if topics:
            self._bell.ring(topics)

    def _transact(self, calls: list[Call], topics: set[str]) -> Refusal | None:
        """Runs and commits the works. What it returns is the end of all of them; nothing is then kept or rung."""
        if self.broken:
            return _unavailable
        db = self._db
        refused: Refusal | None
        try:
            self._execute("BEGIN IMMEDIATE")
            for call in calls:
                self._execute("SAVEPOINT work")
                try:
                    call.perform(db, self._units)
                except BaseException as error:
                    call.error = error
                    if db.refused is None:
                        self._execute("ROLLBACK TO work")
                else:
                    topics.update(db.topics)
                db.topics.clear()
                if db.refused is not None:
                    break
                self._execute("RELEASE work")
            else:
                self._execute("COMMIT")
                return None
            refused, db.refused = db.refused, None
        except apsw.Error as error:
            refused = refusal(error)
            if refused is None:
                raise
            self.broken = isinstance(error, apsw.IOError | apsw.CorruptError)
        topics.clear()
        self._roll_back()
        return refused

    def _roll_back(self) -> None:
        # Some errors have rolled back already.
        if not self._connection.get_autocommit():
            try:
                self._execute("ROLLBACK")
            except apsw.Error:
                self.broken = True

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """After the callers were answered, not within a commit as SQLite does by itself, where they would wait."""
        if self._wal_pages < self._checkpoint_at:
            self._checkpoint_at = max(_CHECKPOINT, min(self._checkpoint_at, self._wal_pages + _CHECKPOINT))
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except (apsw.BusyError, apsw.FullError):
            pass  # the log holds everything; the next one takes it
        except apsw.Error:
            self.broken = True
        # A long reader keeps the log from starting over: try again when it has grown by as much again.
        self._checkpoint_at = self._wal_pages + _CHECKPOINT

    def _poll(self) -> None:
        """Rings for what other processes wrote: SQLite counts those commits on each connection, its own left out."""
        now = time.monotonic()
        if now < self._poll_at or not self._bell.awaited:
            return
        self._poll_at = now + _POLL
        try:
            seen = self._connection.pragma("data_version")
        except apsw.Error:
            return  # the next write will say what is wrong
        if seen != self._seen:
            self._seen = seen
            self._bell.ring_all()


def _unavailable() -> Unavailable:
    return Unavailable("database")
