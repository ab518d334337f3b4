"""The threads that read."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import apsw

from loadingdock.adapters.records.sqlite.calls import Call, Units
from loadingdock.adapters.records.sqlite.connection import SqliteExecutor, connect, refusal


class Readers:
    """Each has a connection that cannot write, and reads each work in one transaction: one state of the database,
    begun after the work was submitted, so that it shows every write acknowledged by then."""

    def __init__(self, path: Path, count: int) -> None:
        self._inbox: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        connections = [connect(path, readonly=True) for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), name=f"sqlite-reader-{place}", daemon=True)
            for place, connection in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Call) -> None:
        self._inbox.put(call)

    def stop(self) -> None:
        """What was submitted before is still done. Blocks until it is."""
        for _ in self._threads:
            self._inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, connection: apsw.Connection) -> None:
        execute = connection.cursor().execute
        db = SqliteExecutor(connection)
        units = Units(db)
        while (call := self._inbox.get()) is not None:
            if call.future.cancelled():
                continue
            try:
                execute("BEGIN")
                try:
                    call.perform(db, units)
                finally:
                    if not connection.get_autocommit():
                        execute("COMMIT")
            except apsw.Error as error:
                refused = refusal(error)
                call.error = error if refused is None else refused()
            except BaseException as error:
                call.error = error
            call.mailbox.post((call,))
            del call
        connection.close()
