"""A file's text from its first character to the table and back, beside a model of some lines: what a record is, which
values are none, and what the operations do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadingdock.core.loading import Counts, Ending, Load, Operation
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind, Value
from loadingdock.core.model.imports import Asked, Outcome
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.import_material import Importing, Imports, Watching
from loadingdock.testing.contacts.load_material import Row
from loadingdock.testing.contacts.load_model import QUIET, Model
from loadingdock.testing.contacts.material import a_table, exported

# What a file may hold in each column, and the values that those are; whatever is not here is none.
_VALUES: dict[str, dict[str, Value]] = {
    "A": {"a": "a", "A": "A", "á": "á", "b, c": "b, c", 'd"d': 'd"d', "e\ne": "e\ne", "": None},
    "B": {"0": 0, "1": 1, "-1": -1, "": None},
    "C": {"c": "c", "d": "d", "e": "e", "f": "f", "": None},
    "D": {"true": True, "false": False, "": None},
}
_WRONG: dict[str, list[str]] = {"A": [], "B": ["x", "1.5", "9" * 19], "C": ["longer"], "D": ["maybe"]}


@dataclass(frozen=True)
class File:
    """`records` as they are written: with too few fields, too many, and values that are none."""

    columns: tuple[str, ...]
    records: list[list[str]]
    text: str

    def line(self, ordinal: int) -> int:
        """Of the record's beginning, behind the header."""
        return 1 + ordinal + sum(field.count("\n") for record in self.records[: ordinal - 1] for field in record)

    def read(self, load: Load) -> tuple[dict[int, Row], dict[int, set[str | None]]]:
        """By their ordinals: the records, and what is wrong with the others."""
        good: dict[int, Row] = {}
        bad: dict[int, set[str | None]] = {}
        for ordinal, fields in enumerate(self.records, 1):
            if len(fields) != len(self.columns):
                bad[ordinal] = {None}
                continue
            pairs = list(zip(self.columns, fields, strict=True))
            wrong = {name for name, text in pairs if text not in _VALUES[name]}
            wrong |= {name for name, text in pairs if not text and load.needs(load.table.column(name))}
            if wrong:
                bad[ordinal] = {*wrong}
            else:
                good[ordinal] = tuple(_VALUES[name][text] for name, text in pairs)
        return good, bad


@st.composite
def _tables(draw: st.DrawFn) -> ContactTable:
    return a_table(
        Column("A", unique=draw(st.booleans())),
        Column("B", Kind.INTEGER),
        Column("C", max=5, unique=draw(st.booleans())),
        Column("D", Kind.BOOLEAN, required=draw(st.booleans())),
        key=draw(st.sampled_from([(), ("A",), ("B",), ("A", "B"), ("D", "C")])),
    )


@st.composite
def _files(draw: st.DrawFn) -> File:
    columns = tuple(draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, unique=True)))
    faulty = draw(st.booleans())
    fields = [st.sampled_from([*_VALUES[name], *(_WRONG[name] if faulty else [])]) for name in columns]
    records = draw(st.lists(st.tuples(*fields).map(list), max_size=12))
    for record in records if faulty else ():
        if draw(st.integers(0, 9)) == 0:
            record.append("more") if draw(st.booleans()) else record.pop()
    records = [record or [""] for record in records]
    lines = [
        ",".join(_written(field, quoted=draw(st.booleans())) for field in record) for record in [[*columns], *records]
    ]
    lines = [line or '""' for line in lines]  # one that is blank is no record
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return File(columns, records, end.join(lines) + draw(st.sampled_from(["", end])))


def _written(field: str, *, quoted: bool) -> str:
    return '"' + field.replace('"', '""') + '"' if quoted or any(c in field for c in ',"\r\n') else field


_FIRST = 10_000_000  # numbers of loads: other suites use smaller ones in the same database


class ImportModelContract(Importing):
    @given(data=st.data())
    @settings(QUIET, max_examples=5)
    async def test_it_does_what_the_model_does(
        self, contacts: ContactStore, imports: Imports, data: st.DataObject
    ) -> None:
        await _compared(contacts, imports, data)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    @given(data=st.data())
    @settings(QUIET, max_examples=100)
    async def test_it_always_does_what_the_model_does(
        self, contacts: ContactStore, imports: Imports, data: st.DataObject
    ) -> None:
        await _compared(contacts, imports, data)


async def _compared(contacts: ContactStore, imports: Imports, data: st.DataObject) -> None:
    """Some files, one after the other, and then the loads are taken back, the last one first."""
    table = data.draw(_tables())
    await contacts.create(table)
    model = Model(table)
    done: list[tuple[int, list[Contact]]] = []
    for number in range(data.draw(st.integers(1, 4))):
        file = data.draw(_files())
        operation = data.draw(st.sampled_from(Operation))
        insall = operation is Operation.INSALL
        key = () if insall else tuple(data.draw(st.lists(st.sampled_from(file.columns), min_size=1, unique=True)))
        asked = Asked(operation, quote='"', header=True, key=key or None, strict=data.draw(st.booleans()))
        before = await exported(contacts, table)
        ignore_empty = data.draw(st.booleans())
        load = Load(table, 0, operation, file.columns, key, strict=asked.strict, ignore_empty=ignore_empty)
        loaded = await _load(imports, model, load, asked, file, number=_FIRST + table.number * 10 + number)
        if loaded is not None:
            done.append((loaded, before))
        kept = sorted(map(repr, (contact.values for contact in await exported(contacts, table))))
        assert kept == sorted(repr(tuple(values)) for values in model.rows.values())
    for loaded, before in reversed(done):
        undone = await imports.importer.undo(table, loaded, imports.fresh())
        # Values may have gone round among the rows: then some of them cannot be first.
        assert {row.problems[0].code for row in undone.rows} <= {"not_unique"}
        if undone.left:
            break
        assert await exported(contacts, table) == before


async def _load(imports: Imports, model: Model, load: Load, asked: Asked, file: File, *, number: int) -> int | None:
    """Its number, if it was committed."""
    watching = Watching()
    loaded = await imports.run(load.table, file.text, asked, watching, number=number, ignore_empty=load.ignore_empty)
    good, bad = file.read(load)
    applied = replace(model, rows={row: [*values] for row, values in model.rows.items()}, skips={}, rejections={})
    counts = applied.apply(load, list(good.values()), max(1, len(good)))
    ordinals = list(good)
    rejections = {ordinals[n - 1]: {column} for n, (_, column) in applied.rejections.items()}
    if load.strict and bad:
        rejections = {}  # the table is not asked
    expected = {**bad, **rejections}
    told = {row.ordinal: row for row in watching.rows}
    assert {
        n: {problem.column for problem in row.problems} for n, row in told.items() if row.outcome is Outcome.REJECTED
    } == expected
    assert {n: row.line for n, row in told.items()} == {n: file.line(n) for n in told}
    if load.strict and expected:
        assert loaded.ending is Ending.REFUSED
        assert loaded.counts == Counts(skipped=len(file.records) - len(expected), rejected=len(expected))
        return None
    assert loaded.ending is Ending.COMMITTED
    assert loaded.counts == replace(counts, rejected=len(expected))
    assert loaded.counts.records == len(file.records)
    skipped = {n: row.problems[0].code for n, row in told.items() if row.outcome is Outcome.SKIPPED}
    assert skipped == {ordinals[n - 1]: code for n, code in applied.skips.items()}
    model.rows = applied.rows
    return number
