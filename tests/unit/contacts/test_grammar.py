"""The arrays find the records that the grammar says, for any bytes, dialect, limits and blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.contacts.reading.rules import ColumnRule, Text
from tests.unit.contacts import grammar

PIECES = [
    b"a",
    b"b",
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    "é".encode(),
    b"\xff",
    b"\xe2\x82",
    b"\xc2",
    b"xyzxyzxyz",
    grammar.MARK,
]


@dataclass(frozen=True)
class Row:
    """Of a record what both must agree in."""

    ordinal: int
    line: int
    raw: bytes
    values: list[str | None]
    code: str = ""


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    separator = draw(st.sampled_from(",;\t#§"))
    return Dialect(separator, draw(st.sampled_from(["", '"', "'", "«", "l"])))


@st.composite
def files(draw: st.DrawFn) -> tuple[Dialect, bytes]:
    dialect = draw(dialects())
    separator, quote = dialect.separator.encode(), dialect.quote.encode()
    special = (
        [separator] * 4
        + [quote] * 6
        + [quote * 2]
        + [quote + separator + quote, quote + grammar.MARK, b"\n" + quote + grammar.MARK]
    )
    return dialect, b"".join(draw(st.lists(st.sampled_from(PIECES + special), max_size=40)))


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def expected(data: bytes, dialect: Dialect, columns: int, limits: Limits) -> list[Row]:
    found = grammar.records(data, dialect.separator.encode(), dialect.quote.encode(), limits.record)
    return [_row(ordinal, record, columns, limits) for ordinal, record in enumerate(found, 1)]


def _row(ordinal: int, record: grammar.Record, columns: int, limits: Limits) -> Row:
    code, raw = record.broken, record.raw
    if not code:
        try:
            raw.decode()
        except UnicodeDecodeError:
            code = "undecodable"
        else:
            if b"\0" in raw:
                code = "nul"
            elif max(record.written) > limits.field:
                code = "field_too_long"
            elif len(record.fields) != columns:
                code = "too_few_fields" if len(record.fields) < columns else "too_many_fields"
    if code == "record_too_long":
        raw = raw[: limits.record]
        while raw and record.raw[len(raw)] & 0xC0 == 0x80:
            raw = raw[:-1]
    return Row(ordinal, record.line, raw, [] if code else [one.decode() or None for one in record.fields], code)


def read(data: bytes, dialect: Dialect, columns: int, limits: Limits, piece: int) -> list[Row]:
    names = [f"c{number}" for number in range(columns)]
    reader = open_records(
        pieces_of(data, piece), dialect, {name: ColumnRule(name, Text()) for name in names}, names, limits
    )
    rows: list[Row] = []
    for batch in reader:
        assert len(batch.columns) <= limits.rows
        values = zip(*(column.to_pylist() for column in batch.columns.columns), strict=True)
        for row, (ordinal, line, of_row) in enumerate(zip(batch.ordinals, batch.lines, values, strict=True)):
            rows.append(Row(int(ordinal), int(line), batch.raw(row), list(of_row)))
        for one in batch.rejected:
            (error,) = one.errors
            rows.append(Row(one.ordinal, one.line, one.raw, [], error.code))
            assert one.whole == (error.code != "record_too_long")
    rows.sort(key=lambda row: row.ordinal)
    assert reader.totals.records == len(rows)
    assert reader.totals.rejected == sum(bool(row.code) for row in rows)
    assert reader.totals.bytes_read == len(data)
    return rows


@given(
    files(),
    st.integers(1, 3),
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from([3, 10, 60, 1000]),
    st.sampled_from([2, 8, 1000]),
    st.integers(1, 5),
)
@example((Dialect(",", '"'), b'a,"b\nc",d\n"e\n'), 2, 1, 1, 1000, 1000, 1)
@example((Dialect(",", '"'), b'"\n","\n","\n"x\n'), 2, 1, 3, 1000, 1000, 5)
@example((Dialect(",", '"'), b'xyzxyzxyz\n"'), 1, 1, 1, 1000, 2, 1)
def test_equal_to_the_grammar(
    file: tuple[Dialect, bytes], columns: int, block: int, piece: int, record: int, field: int, rows: int
) -> None:
    dialect, data = file
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        data = b"a" + data
    limits = Limits(record=record, field=field, block=block, rows=rows, broken=rows)
    assert read(data, dialect, columns, limits, piece) == expected(data, dialect, columns, limits)
