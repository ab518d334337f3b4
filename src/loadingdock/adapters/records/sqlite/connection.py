"""Connections and how they are set, running named queries, and what SQLite's errors mean to the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from loadingdock.adapters.records import sealing
from loadingdock.adapters.records.executor import Row
from loadingdock.adapters.records.queries import Queries
from loadingdock.core.errors import DockError, InvalidInput, NotFound, Sealed, StorageFull, Unavailable

# SQLite's words for what the shared SQL leaves open.
WORDS = {
    "serial": "INTEGER PRIMARY KEY",
    "text": "TEXT",
    "bytes": "BLOB",
    "each": "SELECT value FROM json_each({0})",
    "among": "{0} IN (SELECT value FROM json_each({1}))",
    "contains": "instr({0}, {1}) > 0",
    # Who writes is alone: there is nobody to lock out, to pass over or to wait for.
    "held": "",
    "passing_over": "",
    "turn": "1",
    "turn_of": "1",
    "free_turn": "1",
    "append_only": "\n".join(
        f"CREATE TRIGGER {{0}}_no_{deed} BEFORE {deed} ON {{0}} BEGIN SELECT RAISE(ABORT, '{{0}} is append-only'); END;"
        for deed in ("UPDATE", "DELETE")
    ),
}
QUERIES = Queries(WORDS)
_PLAIN = {name: query.plain for name, query in QUERIES.items() if query.plain is not None}

_BUSY_MS = 15_000  # how long another process, the command line beside the server, may hold the write lock
_STATEMENTS = 256

Refusal = Callable[[], DockError]


def connect(path: Path, *, readonly: bool = False) -> apsw.Connection:
    """No mmap: a failing disk would then end the process by a signal instead of one call by an error."""
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags=flags, statementcachesize=_STATEMENTS)
    connection.set_busy_timeout(_BUSY_MS)
    # One plan for a query whatever its parameters: where partial indexes are about, SQLite otherwise plans anew at
    # every execution, which takes seven times as long as a point read itself. https://sqlite.org/queryplanner-ng.html
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.execute(f"PRAGMA cache_size = {-8192 if readonly else -16384}")  # KiB
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA trusted_schema = OFF")
    if not readonly:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_size_limit = 67108864")
    return connection


def refusal(error: BaseException) -> Refusal | None:
    """What to tell the core when the engine as a whole cannot go on; None if it can."""
    match error:
        case apsw.FullError():
            return StorageFull
        case apsw.BusyError() | apsw.LockedError():
            return lambda: Unavailable("database", retry_after=1)
        case apsw.IOError() | apsw.CantOpenError() | apsw.CorruptError() | apsw.NotADBError() | apsw.PermissionsError():
            return lambda: Unavailable("database")
        case _:
            return None


class SqliteExecutor:
    """Runs queries inside the transaction that its thread has open. Nothing here suspends.

    `refused` says that a statement ran into something after which the transaction cannot be trusted, even if the
    work went on; `topics` is what is to be rung when it is committed.
    """

    __slots__ = ("_changes", "_execute", "refused", "topics")
    alone = True

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.cursor().execute
        self._changes = connection.changes
        self.refused: Refusal | None = None
        self.topics: list[str] = []

    async def one(self, query: str, /, **params: Any) -> Row | None:
        rows = self._rows(query, params)
        return rows[0] if rows else None

    async def all(self, query: str, /, **params: Any) -> list[Row]:
        return self._rows(query, params)

    async def run(self, query: str, /, **params: Any) -> int:
        for value in params.values():
            if type(value) is str and "\0" in value:  # which other engines cannot hold
                raise InvalidInput("A text must not hold a NUL.")
        try:
            self._execute(_PLAIN.get(query) or QUERIES[query].text(params), params)
        except (apsw.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._meaning(error) from error
        return self._changes()

    async def add(self, query: str, /, **params: Any) -> None:
        await self.run(query, **params)

    async def hold(self, query: str, /, **params: Any) -> bool:
        return True

    def signal(self, topic: str) -> None:
        self.topics.append(topic)

    def _rows(self, query: str, params: dict[str, Any]) -> list[Row]:
        try:
            # To the end, even for one row: a statement left open would keep its transaction alive.
            return self._execute(_PLAIN.get(query) or QUERIES[query].text(params), params).fetchall()
        except (apsw.Error, OverflowError, UnicodeEncodeError) as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Exception) -> Exception:
        if (refused := refusal(error)) is not None:
            self.refused = refused
            return refused()
        match error:
            case apsw.ReadOnlyError():
                return RuntimeError("a read wrote; this belongs into a write")
            case apsw.ConstraintError() if sealing.WORDS in str(error):
                return Sealed()
            case apsw.ConstraintError() if getattr(error, "extendedresult", 0) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
                return NotFound("company")  # of other references every query has made sure
            case OverflowError():
                return InvalidInput("A number is too large to be kept.")
            case UnicodeEncodeError():
                return InvalidInput("A text is not valid Unicode.")
            case _:
                return error
