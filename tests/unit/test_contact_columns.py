"""Columns as they are typed, what may be declared, and values in their one spelling."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.records.tables import declared, of_declared
from loadingdock.core.contactchanges import Change, ColumnChange, altered
from loadingdock.core.contactspecs import column
from loadingdock.core.contactvalues import after_prefix, parsed, records, spelled, wanted
from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, ContactTable, Kind, checked
from loadingdock.testing.contacts.material import NOW, a_table, contacts_of

OPTIONS = st.fixed_dictionaries(
    {"required": st.booleans(), "unique": st.booleans(), "comma": st.booleans()},
    optional={
        "max": st.integers(1, 999),
        "region": st.sampled_from(["DE", "us"]),
        "zone": st.sampled_from(["Europe/Berlin", "UTC"]),
        "format": st.lists(st.sampled_from(["DD/MM/YYYY", "MM, DD YYYY", "ja/nein", "a=b,c"]), max_size=3),
    },
)


@given(name=st.text(min_size=1), kind=st.sampled_from(Kind), options=OPTIONS, case=st.booleans())
def test_what_is_typed_is_what_is_meant(name: str, kind: Kind, options: dict[str, object], case: bool) -> None:
    words = [word for word in ("required", "unique", "comma") if options[word]]
    words += [f"{word}={options[word]}" for word in ("max", "region", "zone") if word in options]
    formats = options.get("format", [])
    assert isinstance(formats, list)
    words += [f"format={each}" for each in formats]
    typed = ",".join([f"{name}:{kind.value.upper() if case else kind.value}", *words])
    assert column(typed) == Column(
        name,
        kind,
        max=options.get("max"),  # type: ignore[arg-type]  # what the strategy says
        required=bool(options["required"]),
        unique=bool(options["unique"]),
        comma=bool(options["comma"]),
        region=options.get("region"),  # type: ignore[arg-type]
        zone=options.get("zone"),  # type: ignore[arg-type]
        formats=tuple(formats),
    )


@given(typed=st.text() | st.text(alphabet="a:,=(text)decimal0123456789 requiredmax", max_size=40))
def test_anything_else_is_refused_in_a_sentence(typed: str) -> None:
    with suppress(InvalidInput):
        assert column(typed).name in typed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("EMAIL", "is no column"),
        (":text", "is no column"),
        ("A:varchar", "Types are text"),
        ("A:text,maximum=9", "says nothing about a column"),
        ("A:text,max=", "says nothing about a column"),
        ("A:text,max=1,max=2", "says nothing about a column"),
        ("A:text,max=ten", "is no number"),
        ("A:integer(9)", "is no type"),
        ("A:text(1,2)", "is no type"),
    ],
)
def test_sentences(typed: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        column(typed)


COLUMNS = st.builds(
    Column,
    st.text(max_size=30),
    st.sampled_from(Kind),
    max=st.none() | st.integers(-1, 10**7),
    precision=st.none() | st.integers(-1, 40),
    scale=st.none() | st.integers(-1, 40),
    required=st.booleans(),
    unique=st.booleans(),
    formats=st.lists(st.text(max_size=9)).map(tuple),
    region=st.none() | st.text(max_size=3),
    comma=st.booleans(),
    zone=st.none() | st.text(max_size=9),
)


@given(columns=st.lists(COLUMNS, max_size=4), key=st.lists(st.text(max_size=3), max_size=2), code=st.text(max_size=9))
def test_what_may_be_declared_is_settled_and_kept(columns: list[Column], key: list[str], code: str) -> None:
    table = ContactTable(1, 1, code, "", tuple(columns), tuple(key), None, False, NOW, NOW)
    try:
        table = checked(table)
    except InvalidInput:
        return
    assert checked(table) == table
    assert of_declared(declared(table)) == table


def test_texts_in_a_key_have_an_end() -> None:
    table = a_table(Column("A"), Column("B"), Column("C"), Column("D", unique=True), Column("E"), key=("A", "B", "C"))
    assert [each.max for each in table.columns] == [216, 216, 216, 255, None]
    with pytest.raises(InvalidInput, match="at most 650 characters"):
        a_table(Column("A", max=651, unique=True))
    with pytest.raises(InvalidInput, match="A, B: a key"):
        a_table(Column("A", max=400), Column("B", max=300), key=("A", "B"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change(), "nothing to change"),
        (Change(columns={"A": ColumnChange(retired=True)}), "belongs to the key"),
        (Change(columns={"B": ColumnChange(type=Column("", Kind.DATE))}), "cannot become date"),
        (Change(columns={"B": ColumnChange(name="a")}), "two columns"),
        (Change(columns={"B": ColumnChange(required=True), "b": ColumnChange(unique=True)}), "changed twice"),
        (Change(added=(Column("OLD"),)), "It is retired: bring it back, or rename it"),
        (Change(key=("OLD",)), "has no column 'OLD'"),
        (Change(region="Germany"), "is no region"),
    ],
)
def test_changes_that_cannot_be(change: Change, said: str) -> None:
    table = a_table(Column("A"), Column("B", Kind.INTEGER), Column("OLD", retired_at=NOW), key=("A",))
    with pytest.raises(InvalidInput, match=said):
        altered(table, change, NOW)


def test_a_change_leaves_what_it_does_not_name() -> None:
    table = a_table(Column("A"), Column("B", Kind.PHONE, region="DE", required=True), key=("A",), region="FR")
    changed = altered(table, Change(columns={"B": ColumnChange(region="", unique=True)}), NOW)
    phone = replace(table.columns[1], region=None, unique=True)
    assert changed == replace(table, columns=(table.columns[0], phone), version=2)
    assert altered(table, Change(region="", key=()), NOW).region is None


VALUES = {
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.DECIMAL: st.integers(-(10**9), 10**9).map(lambda units: Decimal(units).scaleb(-2)),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: st.dates(),
    Kind.DATETIME: st.datetimes(timezones=st.just(UTC)),
}


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_a_spelling_is_read_back(data: st.DataObject, kind: Kind) -> None:
    of = checked(a_table(Column("A", kind, **({"precision": 18, "scale": 2} if kind is Kind.DECIMAL else {})))).columns[
        0
    ]
    value = data.draw(VALUES[kind])
    assert parsed(of, spelled(value)) == value


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Kind.INTEGER, ["", "+1", "1.0", "1e3", "1_000", "９", str(2**63), "0x1", " 1"]),
        (Kind.DECIMAL, ["", ".5", "5.", "1,5", "1e3", "NaN", "0.001", "1" * 19, "Infinity"]),
        (Kind.BOOLEAN, ["True", "1", "yes", ""]),
        (Kind.DATE, ["2026-2-3", "2026-02-30", "0000-01-01", "today", "20260203", "2026-W01-1"]),
        (Kind.DATETIME, ["2026-01-02", "2026-01-02T25:00:00", "0001-01-01T00:00:00+01:00", "2026-01-02T03:04"]),
        (Kind.TEXT, ["a\0b", "\ud800"]),
    ],
)
def test_other_spellings_are_none(kind: Kind, texts: list[str]) -> None:
    of = a_table(Column("A", kind)).columns[0]
    for text in texts:
        with pytest.raises(InvalidInput) as refused:
            parsed(of, text)
        assert refused.value.field == "A"


def test_one_spelling_each() -> None:
    assert spelled(Decimal("-0.50")) == "-0.50"
    assert spelled(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    assert spelled(datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC)) == "2026-01-02T03:04:05.000060Z"
    assert spelled(date(33, 4, 5)) == "0033-04-05"
    assert [spelled(value) for value in (True, False, -1)] == ["true", "false", "-1"]
    of = a_table(Column("A", Kind.DECIMAL)).columns[0]
    assert str(parsed(of, "-0")) == "0.00"


@given(prefix=st.text(), rest=st.text(max_size=3), other=st.text())
def test_a_prefix_is_a_range(prefix: str, rest: str, other: str) -> None:
    end = after_prefix(prefix)
    for text in (prefix + rest, other):
        within = prefix.encode() <= text.encode() and (end is None or text.encode() < end.encode())
        assert within == text.startswith(prefix)


def test_conditions_on_columns_with_odd_names() -> None:
    table = a_table(Column("A"), Column("A="), Column("A=B", Kind.INTEGER), Column("x is null"))
    for text, name, value in (
        ("A=b", "A", "b"),
        ("a==b", "A=", "b"),
        ("A=B>=5", "A=B", 5),
        ("x is null is null", "x is null", None),
        ("A is null", "A", None),
        ("A= is null", "A=", None),
    ):
        (condition,) = wanted(table, [text]).conditions
        assert (condition.column.name, condition.value) == (name, value), text


def test_a_lonely_null_is_a_record_still() -> None:
    table = a_table(Column("A"))
    assert records(table, contacts_of([(None,), ("",), ("x",)]), raw=True) == '""\r\n""\r\nx\r\n'
