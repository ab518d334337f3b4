"""What Python's csv and our own export write is read back equal: any table, any dialect, any rows."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from unicodedata import normalize

from hypothesis import assume, given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.importing.rules import column_rules
from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.core.contactvalues import header, records
from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind, checked
from tests.unit.contacts.reading import read

ENCODINGS = {  # and a mark that a file may have
    "utf-8": codecs.BOM_UTF8,
    "utf-16": b"",  # Python writes its mark itself
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-be": codecs.BOM_UTF32_BE,
    "ascii": b"",
    "latin-1": b"",
    "windows-1252": b"",
    "cp037": b"",
    "shift_jis": b"",
    "gb18030": b"",
    "iso-2022-jp": b"",
}
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
ENDS = ["\n", "\r\n", "\r"]
SAMPLES = "".join(map(chr, range(1, 256))) + "€Œжñḍ̇漢字日本語カ한국어😀\u0301\u2028\ufeff\U0010ffff"


@cache
def alphabet(encoding: str) -> str:
    """Those of the samples that come back. Some codecs write the yen sign as what they read as a backslash."""
    return "".join(one for one in SAMPLES if one.encode(encoding, "ignore").decode(encoding, "replace") == one)


@dataclass(frozen=True)
class Written:
    """By Python's csv."""

    dialect: Dialect
    rows: list[list[str]]
    data: bytes


@st.composite
def written(draw: st.DrawFn) -> Written:
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    separator = draw(st.sampled_from(",;\t|:" + ("é" if encoding.startswith("utf") else "")))
    quote = draw(st.sampled_from(["", '"', "'"]))
    kept_out = "\0" if quote else f"\0\r\n{separator}"
    ordinary = st.sampled_from([one for one in alphabet(encoding) if one not in kept_out])
    special = st.sampled_from([one for one in f"{separator}\"'\r\n a#" if one not in kept_out])
    values = st.text(ordinary | special, max_size=8)
    columns = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(values, min_size=columns, max_size=columns), max_size=12))
    if not quote:  # a line with nothing in it is no record, and no other character is there to say that it is one
        rows = [row for row in rows if columns > 1 or row[0]]
    end = draw(st.sampled_from(ENDS))
    file = io.StringIO(newline="")
    # Before Python 3.13 only the characters of its own line end made it quote a value.
    least = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, least])) if quote else csv.QUOTE_NONE
    csv.writer(file, delimiter=separator, quotechar=quote or None, quoting=quoting, lineterminator=end).writerows(rows)
    text = file.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(end)
    data = text.encode(encoding)
    mark = ENCODINGS[encoding] if draw(st.booleans()) else b""
    assume(
        mark or not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or encoding == "utf-16"
    )
    return Written(Dialect(separator, quote, encoding=encoding), rows, mark + data)


@given(written(), st.integers(1, 70), st.integers(1, 70), st.integers(1, 5))
def test_what_pythons_csv_writes(file: Written, piece: int, block: int, most: int) -> None:
    columns = len(file.rows[0]) if file.rows else 1
    pieces = (file.data[at : at + piece] for at in range(0, len(file.data), piece))
    done = read(pieces, columns, file.dialect, Limits(block=block, rows=most))
    assert done.rows == [[normalize("NFC", value) or None for value in row] for row in file.rows]
    assert (done.errors, done.reader.warnings) == ([], [])


VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9).map(
        lambda text: normalize("NFC", text)
    ),
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.DECIMAL: st.decimals(-(10**9), 10**9, places=3),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATE: st.dates(),
    Kind.DATETIME: st.datetimes(timezones=st.just(UTC)),
    Kind.EMAIL: st.text("ab=|+-'", min_size=1, max_size=6).map(lambda local: f"{local}.x@example.com"),
    Kind.PHONE: st.sampled_from(["+4930123456", "+14155552671", "+442083661177", "+390612345678"]),
}


CELLS = {kind: st.none() | values for kind, values in VALUES.items()}
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)
DECLARED = st.lists(st.tuples(NAMES, st.sampled_from(Kind)), min_size=1, max_size=5)


@st.composite
def tables(draw: st.DrawFn) -> ContactTable:
    columns = tuple(
        Column(name, kind, scale=3 if kind is Kind.DECIMAL else None, precision=18 if kind is Kind.DECIMAL else None)
        for name, kind in draw(DECLARED)
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    try:
        return checked(ContactTable(1, 1, "people", "", columns, (), None, False, now, now))
    except InvalidInput:
        assume(False)
        raise


@st.composite
def filled(draw: st.DrawFn) -> tuple[ContactTable, list[Contact]]:
    table = draw(tables())
    rows = st.tuples(*(CELLS[column.kind] for column in table.columns))
    return table, [Contact(number, row) for number, row in enumerate(draw(st.lists(rows, max_size=5)), 1)]


def value(each: Any) -> Any:
    """An empty text is NULL to files."""
    return None if each == "" else each


@given(filled(), st.booleans())
def test_what_our_export_writes(made: tuple[ContactTable, list[Contact]], by_header: bool) -> None:
    table, contacts = made
    data = (header(table, raw=True) + records(table, contacts, raw=True)).encode()
    names = None if by_header else [column.name for column in table.columns]
    reader = open_records([data], Dialect(quote='"', header=True), column_rules(table), names)
    found = [
        list(row) for batch in reader for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    ]
    assert reader.totals.rejected == 0
    assert (list(reader.names), reader.warnings) == ([column.name for column in table.columns], [])
    assert found == [[value(each) for each in contact.values] for contact in contacts]
