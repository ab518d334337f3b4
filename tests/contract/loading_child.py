"""A process that loads contacts and is killed: `python -m tests.contract.loading_child ENGINE WHERE OPERATION`.

It says `batch` when one was applied and `settled` before the commit, and goes on at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loadingdock.adapters.contacts.loading.loader import Loader
from loadingdock.core.loading import Counts, Load, Operation
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.testing.contacts.material import a_table
from tests.contract.batches import batch_of

ROWS, SIZE = 6_000, 1_000
NUMBER = 17  # of the import


def the_table() -> ContactTable:
    """The same in every process."""
    return a_table(Column("ID", Kind.INTEGER), Column("NAME"), key=("ID",), number=1, code="contacts")


def the_load(operation: Operation) -> Load:
    return Load(the_table(), NUMBER, operation, ("ID", "NAME"), ("ID",))


def source() -> Iterator[Any]:
    columns = the_table().columns
    for start in range(0, ROWS, SIZE):
        some = range(start, start + SIZE)
        yield batch_of(columns, [(n * 7_919 % ROWS, f"new {n}") for n in some], [n + 1 for n in some])


def loader(engine: str, where: str) -> Loader:
    if engine == "sqlite":
        from loadingdock.adapters.contacts.loading.sqlite import SqliteLoader

        return SqliteLoader(Path(where))
    from loadingdock.adapters.contacts.loading.postgres import PostgresLoader

    return PostgresLoader(where)


class Saying:
    def cancelled(self) -> bool:
        return False

    def applied(self, batch: Any, counts: Counts) -> None:
        print("batch", flush=True)

    def again(self) -> None: ...

    def skipped(self, code: str, ordinals: Sequence[int]) -> None: ...

    def refused(self, batch: Any, rows: Sequence[Any]) -> None: ...

    def settled(self, counts: Counts) -> None:
        print("settled", flush=True)


if __name__ == "__main__":
    engine, where, operation = sys.argv[1:]
    loader(engine, where).load(the_load(Operation(operation)), source, Saying())
    print("committed", flush=True)
