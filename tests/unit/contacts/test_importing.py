"""What imports make of tables, records and messages, and what their processes show to others."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.importing import messages
from loadingdock.adapters.contacts.importing.importer import ChildImporter
from loadingdock.adapters.contacts.importing.reports import shown
from loadingdock.adapters.contacts.importing.rules import column_rules
from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.core.errors import Conflict, DockError, InvalidInput, NotFound, Sealed, StorageFull, Unavailable
from loadingdock.core.loading import Load, Operation
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.model.imports import Asked, Outcome, RowProblem, RowReport
from loadingdock.testing.contacts.material import EVERY, NOW, a_table
from tests.contract.processes import importers, visible


def loaded(table: ContactTable, line: str) -> list[object]:
    """The one record's values, or the codes of what is wrong with it."""
    rules = column_rules(table)
    (batch,) = open_records([line.encode()], Dialect(";"), rules, list(rules))
    if batch.rejected:
        return [error.code for error in batch.rejected[0].errors]
    return list(batch.columns.to_pylist()[0].values())


def test_columns_are_read_as_they_are_declared() -> None:
    table = a_table(
        Column("TEXT", max=3),
        Column("NUMBER", Kind.INTEGER),
        Column("PRICE", Kind.DECIMAL, precision=6, scale=2, comma=True),
        Column("YES", Kind.BOOLEAN, formats=("ja/nein", "J / N")),
        Column("PLAIN", Kind.BOOLEAN),
        Column("BORN", Kind.DATE, formats=("DD.MM.YYYY", "YYYY-MM-DD")),
        Column("SEEN", Kind.DATETIME, formats=("DD.MM.YYYY hh:mm",), zone="Europe/Berlin"),
        Column("MAIL", Kind.EMAIL, required=True),
        Column("HERE", Kind.PHONE),
        Column("THERE", Kind.PHONE, region="AT"),
        Column("OLD", required=True, retired_at=NOW),
        region="DE",
    )
    good = "abc;42;1234,50;j;yes;31.01.1999;31.01.2026 12:00;a@example.com;030 1234567;01 2345678"
    assert loaded(table, good) == [
        "abc",
        42,
        Decimal("1234.50"),
        True,
        True,
        date(1999, 1, 31),
        datetime(2026, 1, 31, 11, tzinfo=UTC),
        "a@example.com",
        "+49301234567",
        "+4312345678",
    ]
    assert loaded(table, "abcd;x;1.5;yes;ja;1999-02-29;2026-01-31;;a;b") == [
        *("too_long", "not_an_integer", "not_a_decimal", "not_a_boolean", "not_a_boolean"),
        *("not_a_date", "not_a_datetime", "required", "not_a_phone", "not_a_phone"),
    ]


@pytest.mark.parametrize(
    ("raw", "encoding", "text"),
    [
        (b"a,\xc3\xa9", "utf-8", "a,é"),
        (b"a,\xe9,\x00", "utf-8", "a,\\xe9,\\x00"),
        (b"a,\xe9\x81", "cp1252", "a,é\\x81"),
        (b"a\0", "utf-16-le", "a"),
        (b"a\0b", "utf-16-le", "a\\x62"),
        (b"\x82\xa0\x82", "shift_jis", "あ\\x82"),
    ],
)
def test_records_are_shown_as_text(raw: bytes, encoding: str, text: str) -> None:
    assert shown(raw, encoding) == (text, False)


@given(st.binary(max_size=40), st.integers(0, 20_000), st.sampled_from(["utf-8", "utf-16-le", "cp1252", "gb18030"]))
def test_of_long_records_the_beginning_is_shown(some: bytes, times: int, encoding: str) -> None:
    raw = some * times
    text, cut = shown(raw, encoding)
    assert len(text.encode()) <= 16_384
    assert "\0" not in text
    assert cut or len(text.encode()) >= len(raw.decode(encoding, "ignore").encode())
    assert cut or len(raw) <= 16_384


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("Wrong.", field="file"),
        NotFound("import"),
        Conflict("Altered.", count=3, rows=[1, 2]),
        Unavailable("table", retry_after=10, why="locked"),
        Sealed(),
        StorageFull(),
    ],
)
def test_errors_are_told_as_they_are(error: DockError) -> None:
    told = messages.error_of(**json.loads(json.dumps(messages.of_error(error))))
    assert type(told) is type(error)
    assert (str(told), vars(told)) == (str(error), vars(error))


def test_no_other_thing_can_be_told_as_an_error() -> None:
    for name in ("annotations", "Exception", "nothing"):
        with pytest.raises(ValueError, match=name):
            messages.error_of(name, {"message": ""})


def test_jobs_and_rows_are_told_as_they_are() -> None:
    table = a_table(*EVERY, key=("EMAIL",), region="DE")
    load = Load(table, 3, Operation.UPALL, ("EMAIL", "NAME"), ("EMAIL",), strict=True, undoable=False)
    asked = Asked(Operation.UPALL, "\t", '"', True, "cp1252", ("a", "ü"), None, False, True)
    rows = (RowReport(Outcome.LEFT, 1, 2, (RowProblem(None, "a", "b"), RowProblem("c", "d", "é")), "raw", True),)
    _, facts = messages.parsed(
        messages.framed(
            "all", load=messages.of_load(load), asked=messages.of_asked(asked), rows=messages.of_rows(rows)
        )[messages.LENGTH.size :]
    )
    assert messages.load_of(facts["load"]) == load
    assert messages.asked_of(facts["asked"]) == asked
    assert messages.rows_of(facts["rows"]) == rows


async def test_no_secret_can_be_seen_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("LOADINGDOCK_SECRET", "hunter2")
    importer = ChildImporter("host=127.0.0.1 password=hunter2")
    assert (await importer.look(a_table(), Asked(columns=("NAME",)), "x.csv", [])).columns == ("NAME",)
    (child,) = importers()
    assert b"hunter2" not in visible(child)
    await importer.close()


def test_the_parent_has_none_of_the_libraries() -> None:
    """Which take 60 MiB."""
    program = "import sys, loadingdock.adapters.contacts.importing;print(sorted({'numpy', 'pyarrow'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
