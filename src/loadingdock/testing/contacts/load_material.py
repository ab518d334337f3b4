"""Loads, who watches them, and how they are run."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest

from loadingdock.core.loading import ContactLoader, Counts, Load, Operation, Outcome, Refused
from loadingdock.core.model.contacts import Column, ContactTable, Value

Row = tuple[Value, ...]
BatchOf = Callable[[Sequence[Column], Sequence[Row], Sequence[int]], Any]
_numbers = itertools.count(1)


@dataclass
class Told:
    """An observer that remembers. `stop_at`: the batch before which it cancels."""

    stop_at: int | None = None
    skips: dict[int, str] = field(default_factory=dict)
    refusals: list[Refused] = field(default_factory=list)
    progress: list[Counts] = field(default_factory=list)
    settlement: Counts | None = None
    asked: int = 0

    def cancelled(self) -> bool:
        self.asked += 1
        return self.stop_at is not None and self.asked > self.stop_at

    def applied(self, batch: Any, counts: Counts) -> None:
        self.progress.append(counts)

    def again(self) -> None:
        self.skips, self.refusals, self.progress = {}, [], []

    def skipped(self, code: str, ordinals: Sequence[int]) -> None:
        self.skips.update(dict.fromkeys(ordinals, code))

    def refused(self, batch: Any, rows: Sequence[Refused]) -> None:
        assert [int(batch.ordinals[row.place]) for row in rows] == [row.ordinal for row in rows]
        self.refusals += rows

    def settled(self, counts: Counts) -> None:
        self.settlement = counts

    @property
    def rejections(self) -> dict[int, tuple[str, str]]:
        return {row.ordinal: (row.code, row.column) for row in self.refusals}


def a_load(
    table: ContactTable, operation: Operation, columns: Sequence[str], key: Sequence[str] = (), **more: Any
) -> Load:
    return Load(table, next(_numbers), operation, tuple(columns), tuple(key), **more)


class Run(Protocol):
    def __call__(
        self, load: Load, records: Sequence[Row], told: Told | None = None, size: int = 3
    ) -> Awaitable[Outcome]:
        """`size`: records in a batch."""
        ...


class Runs:
    @pytest.fixture
    def run(self, loader: ContactLoader, batch_of: BatchOf) -> Run:
        async def run(load: Load, records: Sequence[Row], told: Told | None = None, size: int = 3) -> Outcome:
            columns = [load.table.column(name) for name in load.columns]

            def source() -> Iterator[Any]:
                for start in range(0, len(records), size):
                    some = records[start : start + size]
                    yield batch_of(columns, some, range(start + 1, start + 1 + len(some)))

            return await asyncio.to_thread(loader.load, load, source, told or Told())

        return run
