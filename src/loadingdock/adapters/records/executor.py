"""What the records need of an engine: run a named query inside the transaction that is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

T = TypeVar("T")
Row = tuple[Any, ...]

JOBS = "jobs"


IDENTITY = "identity:"


def identity_of(subject: str = "") -> str:
    """The topic of who may do what: of a user name, key id or client id; without a subject, of all."""
    return IDENTITY + quote(subject)


def events_of(company_id: int) -> str:
    """The topic of a company's events."""
    return f"events:{company_id}"


class Executor(Protocol):
    """One transaction. Rows are tuples in the order of the query's columns. `alone`: no other transaction writes
    meanwhile, so there is nothing to lock."""

    @property
    def alone(self) -> bool: ...

    async def one(self, query: str, /, **params: Any) -> Row | None: ...
    async def all(self, query: str, /, **params: Any) -> list[Row]: ...

    async def run(self, query: str, /, **params: Any) -> int:
        """The number of rows written."""
        ...

    async def add(self, query: str, /, **params: Any) -> None:
        """`run` for a row that nothing refuses: an engine may send it together with what comes next. What went wrong
        with it is then raised there, or by the end of the work."""
        ...

    async def hold(self, query: str, /, **params: Any) -> bool:
        """Locks the rows that the query finds until the transaction ends; whether there were any. Where who writes is
        alone, and in a transaction that only reads, nothing is asked and the answer is True."""
        ...

    def signal(self, topic: str) -> None:
        """Wakes who waits for the topic, once and only if the transaction is committed."""
        ...


class Engine(Protocol):
    """Transactions below the unit of work, for what is bound to no tenant: the job queue."""

    async def transact(self, work: Callable[[Executor], Awaitable[T]]) -> T: ...
    async def look(self, work: Callable[[Executor], Awaitable[T]]) -> T: ...

    async def once(self, query: str, topic: str | None, /, **params: Any) -> int:
        """A transaction of one statement: the number of rows written, and the topic signalled if there were any."""
        ...


class Part:
    """A part of a unit: its transaction and its tenant. With no tenant, no row has its company_id."""

    __slots__ = ("_company_id", "_db")

    def __init__(self, db: Executor, company_id: int | None) -> None:
        self._db = db
        self._company_id = company_id

    def _own(self, company_id: int) -> int:
        """Refuses a row that names another tenant than the unit's: a mistake of the caller, never of a client."""
        if company_id != self._company_id:
            raise ValueError(f"a row of company {company_id} in a unit of company {self._company_id}")
        return company_id

    def _tenant(self) -> int:
        if self._company_id is None:
            raise ValueError("this needs a unit with a company")
        return self._company_id
