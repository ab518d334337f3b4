"""Running named queries inside a transaction, and what PostgreSQL's errors mean to the core."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any

import psycopg
from psycopg import errors

from loadingdock.adapters.records import sealing
from loadingdock.adapters.records.executor import Row
from loadingdock.adapters.records.postgres.connection import READING, WRITING, Connection, Statements, first_line
from loadingdock.core.errors import DockError, InvalidInput, NotFound, Sealed, StorageFull, Unavailable

_READING = Statements(READING)
_WRITING = Statements(WRITING)

Refusal = Callable[[], DockError]
Statement = tuple[bytes, list[Any] | None]
"""A command without parameters is not prepared."""

_BEGIN: Statement = b"BEGIN", None
_BEGIN_READING: Statement = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", None
_BEGINS = (_BEGIN, _BEGIN_READING)


class Fate(Enum):
    """What an error makes of its transaction."""

    STATEMENT = auto()  # the statement is wrong; the transaction is over, but the same work may do without it
    AGAIN = auto()  # another transaction was in the way
    LOST = auto()  # the connection is gone, and what was not committed with it
    REFUSED = auto()  # the server cannot do it now
    MORE = auto()  # no error: a second statement was asked where only one was expected


def fate(error: psycopg.Error) -> Fate:
    match error:
        # A unique index refused what a look just before had found to be free: the next look will find it taken.
        case errors.SerializationFailure() | errors.DeadlockDetected() | errors.UniqueViolation():
            return Fate.AGAIN
        # A server that became another's standby, or that is about to end.
        case errors.ReadOnlySqlTransaction() | errors.AdminShutdown() | errors.CrashShutdown():
            return Fate.LOST
        case errors.CannotConnectNow() | errors.IdleInTransactionSessionTimeout():
            return Fate.LOST
        case psycopg.OperationalError() | psycopg.InterfaceError() if (error.sqlstate or "08").startswith("08"):
            return Fate.LOST
        case _ if refusal(error) is not None:
            return Fate.REFUSED
        case _:
            return Fate.STATEMENT


def refusal(error: psycopg.Error) -> Refusal | None:
    """What to tell the core when the server as a whole cannot go on; None if it can."""
    match error:
        case errors.DiskFull():
            return partial(StorageFull, f"database: {first_line(error)}")
        case errors.LockNotAvailable() | errors.QueryCanceled():
            return partial(busy, error)
        case _ if error.sqlstate == sealing.SQLSTATE:
            return Sealed
        case _ if (error.sqlstate or "08")[:2] in {"08", "28", "3D", "53", "57", "58", "XX"}:
            return partial(unavailable, error)
        case _:
            return None


def unavailable(error: psycopg.Error | None = None) -> Unavailable:
    return Unavailable("database", why="" if error is None else first_line(error))


def busy(error: psycopg.Error) -> Unavailable:
    """Others are in the way, not for long."""
    return Unavailable("database", retry_after=1, why=first_line(error))


class PostgresExecutor:
    """One transaction that writes or only reads, or with `single` one statement that needs none.

    `fate` is what an error made of the transaction, even if the work handled it and `went_on`. With `careful` every
    writing statement has its savepoint, so that a work may go on after one that failed.
    """

    __slots__ = (
        "_asked",
        "_careful",
        "_connection",
        "_cursor",
        "_held",
        "_pending",
        "_single",
        "_statements",
        "_writing",
        "error",
        "fate",
        "topics",
        "went_on",
    )
    alone = False

    def __init__(self, connection: Connection, *, writing: bool, careful: bool = False, single: bool = False) -> None:
        self._connection = connection
        self._cursor = psycopg.AsyncRawCursor(connection)
        self._statements = _WRITING if writing else _READING
        self._writing = writing
        self._careful = careful
        self._single = single
        self._asked = False
        self._held: set[tuple[object, ...]] = set()
        # What is sent with the next statement: each costs a turn of the loop and the way there and back otherwise.
        self._pending: list[Statement] = [] if single else [_BEGIN if writing else _BEGIN_READING]
        self.fate: Fate | None = None
        self.error: psycopg.Error | None = None
        self.went_on = False
        self.topics: set[str] = set()

    async def one(self, query: str, /, **params: Any) -> Row | None:
        rows = await self.all(query, **params)
        return rows[0] if rows else None

    async def all(self, query: str, /, **params: Any) -> list[Row]:
        try:
            await self._execute(query, params)
            rows: list[Row] = await self._cursor.fetchall()
        except _Unfindable:
            return []
        return rows

    async def run(self, query: str, /, **params: Any) -> int:
        if not self._writing:
            raise RuntimeError("a read wrote; this belongs into a write")
        if self._careful:
            return await self._carefully(query, params)
        await self._execute(query, params)
        if (
            query == "ledger_charge" and self._cursor.rowcount
        ):  # an event of the same upload need not lock that row again
            self._held.add(("event_turn", params["company_id"]))
        return self._cursor.rowcount

    async def add(self, query: str, /, **params: Any) -> None:
        if self._careful:
            await self.run(query, **params)
            return
        for value in params.values():
            if type(value) is str and "\0" in value:
                raise _Unfindable
        self._pending.append(self._statements.of(query, params))

    async def hold(self, query: str, /, **params: Any) -> bool:
        if not self._writing:
            return True
        row = (query, *params.values())
        if row not in self._held and await self.one(query, **params) is None:
            return False
        self._held.add(row)
        return True

    def signal(self, topic: str) -> None:
        self.topics.add(topic)

    async def begin(self) -> None:
        """Sends what was only added, if nothing was sent yet: that it is lost with a connection that was long broken
        is then known, as it is not of what goes with the COMMIT."""
        if len(self._pending) > 1 and self._pending[0] in _BEGINS:
            await self._send(self._pending.pop())

    async def commit(self) -> None:
        if self._pending and self._pending[0] in _BEGINS:
            return
        await self._say(b"COMMIT")
        if self._cursor.statusmessage != "COMMIT":  # the server rolls back a transaction in which a statement failed
            raise AssertionError(f"the transaction ended with {self._cursor.statusmessage}")

    async def _execute(self, query: str, params: dict[str, Any]) -> None:
        if self._single and self._asked:
            self.fate = Fate.MORE
            raise unavailable()
        self._asked = True
        self.went_on = self.fate is not None
        await self._send(self._statements.of(query, params))

    async def _carefully(self, query: str, params: dict[str, Any]) -> int:
        await self._say(b"SAVEPOINT careful")
        try:
            await self._execute(query, params)
        except Exception:
            if self.fate is Fate.STATEMENT:
                await self._say(b"ROLLBACK TO SAVEPOINT careful")
                self.fate = None
            raise
        return self._cursor.rowcount

    async def _say(self, command: bytes) -> None:
        await self._send((command, None))

    async def _send(self, statement: Statement) -> None:
        """What is pending and this, and the answer to this."""
        pending, self._pending = self._pending, []
        try:
            if not pending:
                await _execute(self._cursor, statement)
                return
            async with self._connection.pipeline():
                for each in pending:
                    await _execute(psycopg.AsyncRawCursor(self._connection), each)
                await _execute(self._cursor, statement)
        except psycopg.Error as error:
            # Who is told late may take it for the answer to something else.
            self.went_on = self.went_on or any(values is not None for _, values in pending)
            raise self._meaning(error) from error

    def _meaning(self, error: psycopg.Error) -> Exception:
        if self.fate is None:  # what follows a failed statement fails because of it
            self.fate, self.error = fate(error), error
        match self.fate:
            case Fate.AGAIN:
                return busy(error)
            case Fate.LOST:
                return unavailable(error)
            case Fate.REFUSED:
                return (refusal(error) or unavailable)()
        match error:
            case errors.ForeignKeyViolation():
                return NotFound("company")  # of other references every query has made sure
            case errors.NumericValueOutOfRange():
                return InvalidInput("A number is too large to be kept.")
            case psycopg.DataError():
                return InvalidInput("A value cannot be kept.")
            case _:
                return error


async def _execute(cursor: psycopg.AsyncRawCursor[Row], statement: Statement) -> None:
    sql, values = statement
    try:
        await cursor.execute(sql, values, prepare=None if values is not None else False)
    except OverflowError:
        raise InvalidInput("A number is too large to be kept.") from None
    except UnicodeEncodeError:
        raise InvalidInput("A text is not valid Unicode.") from None
    except ValueError:
        raise _Unfindable from None


class _Unfindable(InvalidInput):
    """A text that no row can hold."""

    def __init__(self) -> None:
        super().__init__("A text must not hold a NUL.")
