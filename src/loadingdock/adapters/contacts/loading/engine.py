"""What a load asks of a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from loadingdock.adapters.contacts.loading.statements import Words
from loadingdock.adapters.contacts.tables.statements import Tongue
from loadingdock.core.model.contacts import ContactTable


class Violated(Exception):
    """A unique index would have had two of the same."""


class Engine(Protocol):
    """A transaction that is open. `run` and `fill` raise Violated."""

    tongue: Tongue
    words: Words

    def run(self, statement: str) -> int:
        """The number of rows it was about."""
        ...

    def all(self, statement: str) -> list[Any]: ...

    def made(self, rows: Any) -> Any:
        """A record batch as `fill` takes it. In any thread."""
        ...

    def fill(self, target: str, made: Any, otherwise: str = "") -> int:
        """Into a table, whose name is followed by its columns. `otherwise`: what is done with a record that conflicts,
        where that can be said. Returns how many rows were written, by triggers as well."""
        ...

    def next_row(self, table: ContactTable) -> int | None:
        """The next number that a row is given, where rows that bring theirs cost less; from there on they may be
        brought, in order. None where they had better not."""
        ...

    def brought(self, table: ContactTable, last: int) -> None:
        """Rows that are given numbers get those behind `last`."""
        ...


@contextmanager
def attempt(engine: Engine) -> Iterator[None]:
    """All of it or nothing. Raises Violated."""
    engine.run("SAVEPOINT attempt")
    try:
        yield
    except Violated:
        engine.run("ROLLBACK TO attempt")
        engine.run("RELEASE attempt")
        raise
    engine.run("RELEASE attempt")
