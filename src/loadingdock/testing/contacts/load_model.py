"""What the four operations do, in few lines, beside what a loader does with random tables and files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadingdock.core.loading import (
    AMBIGUOUS,
    DUPLICATE,
    EXISTS,
    NOT_UNIQUE,
    REQUIRED,
    UNKNOWN,
    ContactLoader,
    Counts,
    Ending,
    Load,
    Operation,
)
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind, Value
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.load_material import Row, Run, Runs, Told, a_load
from loadingdock.testing.contacts.material import a_table, exported


@dataclass
class Model:
    """A table as a list of rows, and what the operations do to it. `size`: records in a batch."""

    table: ContactTable
    rows: dict[int, list[Value]] = field(default_factory=dict)
    skips: dict[int, str] = field(default_factory=dict)
    rejections: dict[int, tuple[str, str]] = field(default_factory=dict)

    def apply(self, load: Load, records: Sequence[Row], size: int) -> Counts:
        names = [column.name for column in self.table.columns]
        brought, key = [names.index(each) for each in load.columns], [names.index(each) for each in load.key]
        uniques = [[names.index(each) for each in self.table.key]] if self.table.key else []
        uniques += [[at] for at, column in enumerate(self.table.columns) if column.unique]
        lacking = [c.name for c in self.table.columns if c.required and c.name not in load.columns]
        required = {column.name for column in self.table.columns if column.required}
        leaves = load.ignore_empty and load.operation is Operation.UPDINS
        optional = [at for at in brought if names[at] in required - {*load.key}] if leaves else []
        wholes: list[list[Value]] = [[None] * len(names) for _ in records]
        for whole, record in zip(wholes, records, strict=True):
            for at, value in zip(brought, record, strict=True):
                whole[at] = value
        keys = [_of(whole, key) for whole in wholes]
        last = {each: n for n, each in enumerate(keys)}
        inserted = updated = unchanged = 0
        for start in range(0, len(records), size):
            before = {row: list(values) for row, values in self.rows.items()}
            brings: set[tuple[int, Any]] = set()
            writes: list[tuple[int, int | None, list[Value]]] = []
            for n in range(start, min(start + size, len(records))):
                if keys[n] is not None and last[keys[n]] != n:
                    self.skips[n + 1] = DUPLICATE
                    continue
                same = [row for row, values in before.items() if keys[n] is not None and _of(values, key) == keys[n]]
                new = list(before[same[0]]) if same else wholes[n]
                for at in brought if same else ():
                    new[at] = new[at] if load.ignore_empty and wholes[n][at] is None else wholes[n][at]
                if len(same) > 1:
                    self.rejections[n + 1] = AMBIGUOUS, load.key[0]
                elif same and load.operation is Operation.INSNEW:
                    self.skips[n + 1] = EXISTS
                elif not same and load.operation is Operation.UPALL:
                    self.skips[n + 1] = UNKNOWN
                elif not same and (lacks := lacking or [names[at] for at in optional if wholes[n][at] is None]):
                    self.rejections[n + 1] = REQUIRED, lacks[0]
                elif same and new == before[same[0]]:
                    unchanged += 1
                else:
                    writes.append((n, same[0] if same else None, new))
            for n, row, new in writes:
                for u, unique in enumerate(uniques):
                    mine = _of(new, unique)
                    others = (_of(values, unique) for other, values in before.items() if other != row)
                    if mine is not None and mine in others and n + 1 not in self.rejections:
                        self.rejections[n + 1] = NOT_UNIQUE, names[uniques[u][0]]
            for n, row, new in writes:
                holds = [(u, held) for u, unique in enumerate(uniques) if (held := _of(new, unique)) is not None]
                if n + 1 not in self.rejections and (twice := [u for u, held in holds if (u, held) in brings]):
                    self.rejections[n + 1] = NOT_UNIQUE, names[uniques[twice[0]][0]]
                if n + 1 in self.rejections:
                    continue
                brings.update(holds)
                inserted, updated = inserted + (row is None), updated + (row is not None)
                self.rows[max(self.rows, default=0) + 1 if row is None else row] = new
        return Counts(inserted, updated, unchanged, len(self.skips), len(self.rejections))


def _of(values: Sequence[Value], places: Sequence[int]) -> Row | None:
    """None where it is equal to nothing."""
    found = tuple(values[at] for at in places)
    return None if not found or None in found else found


_NAMES = ("A", "B", "C", "D")
_VALUES = {
    "A": st.sampled_from(["a", "A", "á", "b", None]),
    "B": st.sampled_from([0, 1, -1, None]),
    "C": st.sampled_from(["c", "d", "e", "f", None]),
    "D": st.sampled_from([True, False, None]),
}


@st.composite
def _tables(draw: st.DrawFn) -> ContactTable:
    return a_table(
        Column("A", unique=draw(st.booleans())),
        Column("B", Kind.INTEGER),
        Column("C", unique=draw(st.booleans())),
        Column("D", Kind.BOOLEAN, required=draw(st.booleans())),
        key=draw(st.sampled_from([(), ("A",), ("B",), ("A", "B"), ("D", "C")])),
    )


@st.composite
def _loads(draw: st.DrawFn, table: ContactTable) -> tuple[Load, list[Row], int]:
    columns = draw(st.lists(st.sampled_from(_NAMES), min_size=1, unique=True))
    key = draw(st.lists(st.sampled_from(columns), min_size=1, unique=True))
    load = a_load(
        table,
        draw(st.sampled_from(Operation)),
        columns,
        key,
        ignore_empty=draw(st.booleans()),
        undoable=draw(st.booleans()),
    )
    rows = draw(st.lists(st.tuples(*(_VALUES[name] for name in columns)), max_size=12))
    return load, rows, draw(st.integers(1, 12))


QUIET = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example has a table of its own
        HealthCheck.differing_executors,  # each engine has a class of its own
        HealthCheck.too_slow,
    ],
)


class ModelContract(Runs):
    @given(data=st.data())
    @settings(QUIET, max_examples=12)
    async def test_it_does_what_the_model_does(
        self, contacts: ContactStore, run: Run, loader: ContactLoader, data: st.DataObject
    ) -> None:
        await _compared(contacts, run, loader, data)

    @pytest.mark.slow
    @pytest.mark.timeout(600)
    @given(data=st.data())
    @settings(QUIET, max_examples=200)
    async def test_it_always_does_what_the_model_does(
        self, contacts: ContactStore, run: Run, loader: ContactLoader, data: st.DataObject
    ) -> None:
        await _compared(contacts, run, loader, data)


async def _compared(contacts: ContactStore, run: Run, loader: ContactLoader, data: st.DataObject) -> None:
    """And what the loads did is taken back, the last one first."""
    table = data.draw(_tables())
    await contacts.create(table)
    model = Model(table)
    done: list[tuple[Load, list[Contact]]] = []
    for _ in range(data.draw(st.integers(1, 4))):
        load, records, size = data.draw(_loads(table))
        if load.operation is Operation.INSALL:
            load = replace(load, key=())
        told = Told()
        model.skips, model.rejections = {}, {}
        expected = model.apply(load, records, size)
        before = await exported(contacts, table)
        done = [*done, (load, before)] if load.undoable else []
        outcome = await run(load, records, told, size)
        assert (outcome.ending, outcome.counts) == (Ending.COMMITTED, expected)
        assert expected.records == len(records)
        assert told.skips == model.skips
        assert told.rejections == model.rejections
        kept = sorted(map(repr, (contact.values for contact in await exported(contacts, table))))
        assert kept == sorted(repr(tuple(values)) for values in model.rows.values())
    for load, before in reversed(done):
        undone = await asyncio.to_thread(loader.undo, table, load.number)
        # Values may have gone round among the rows: then some of them cannot be first.
        assert {each.why for each in undone.conflicts} <= {"not_unique"}
        if undone.conflicts:
            break
        assert await exported(contacts, table) == before
