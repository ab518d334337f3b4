"""What was rejected is sent again as it is, and rejected again; corrected, it is taken."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.outcome import RejectedRow, RowError
from loadingdock.adapters.contacts.reading.rejects import RejectsCsv, RejectsJson
from loadingdock.adapters.contacts.reading.rules import Date, Integer, Type
from tests.unit.contacts.reading import QUOTED, Read, read

TYPES: list[Type] = [Integer(), Date()]
OF_QUOTES = {"unclosed_quote", "text_after_quote", "quote_in_value"}


def rejects(done: Read, dialect: Dialect, rows: Sequence[RejectedRow] | None = None) -> bytes:
    file, reader = io.BytesIO(), done.reader
    writer = RejectsCsv(file, dialect, reader.encoding, reader.bom, reader.header)
    for row in done.rejected if rows is None else rows:
        writer.add(row)
    writer.close()
    return file.getvalue()


def codes(row: RejectedRow) -> list[tuple[str | None, str]]:
    return [(error.column, error.code) for error in row.errors]


def test_each_record_stands_below_its_reasons() -> None:
    data = b'a,b\n1,"2023-01-01"\n"x",2023-02-30\n3\n4,"2023\n'
    header = replace(QUOTED, header=True)
    done = read(data, TYPES, header)
    assert rejects(done, header).decode() == (
        "a,b\r\n"
        "\"#loadingdock rejected line 3: a (not_an_integer): 'x' is no whole number: write digits, with a minus before"
        " them if it is negative. b (not_a_date): '2023-02-30', read as YYYY-MM-DD, is no day of the calendar.\"\r\n"
        '"x",2023-02-30\r\n'
        '"#loadingdock rejected line 4: too_few_fields: The record has 1 value, but there are 2 columns: add the'
        ' missing ones, empty if need be."\r\n'
        "3\r\n"
        '"#loadingdock rejected line 5: b (unclosed_quote): The quote that begins value 2 is not closed in the next'
        " 10485760 bytes, before a remark or to the end of the file: close it. The next record begins with the next"
        ' line."\r\n'
        '4,"2023\r\n'
    )


def test_without_a_quote_character_remarks_have_none() -> None:
    dialect = Dialect(";")
    file = rejects(read(b'1;"\n', TYPES, dialect), dialect)
    assert file.startswith(b"#loadingdock rejected line 1: b (not_a_date): ")
    assert file.endswith(b'\r\n1;"\r\n')


def test_nothing_rejected_is_no_file() -> None:
    assert rejects(read(b"1,2023-01-01\n", TYPES), QUOTED) == b""


PIECES = ["1", "x", " ", "2023-01-02", "2023-02-30", "\n", "\r", "\r\n", "\0", "é", "漢", "#loadingdock rejected "]
ENCODINGS = ["utf-8", "utf-8", "ascii", "windows-1252", "cp037", "utf-16", "utf-32-be", "shift_jis", "gb18030"]


@dataclass(frozen=True)
class File:
    dialect: Dialect
    data: bytes


@st.composite
def files(draw: st.DrawFn) -> File:
    separator, quote = draw(st.sampled_from(",;\t#l§")), draw(st.sampled_from(["", '"', '"', "'", "o", "«", "\\"]))
    dialect = Dialect(separator, quote, draw(st.booleans()), draw(st.sampled_from(ENCODINGS)))
    special = [separator] * 6 + [quote] * 6 + [quote * 2, quote + separator + quote]
    text = "".join(draw(st.lists(st.sampled_from(PIECES + special), max_size=60)))
    if dialect.header:
        text = f"a{separator}b\r{text}"
    data = text.encode(dialect.encoding, "ignore")
    place = draw(st.integers(0, len(data)))
    spoilt = draw(st.sampled_from([b"", b"", b"\xff", b"\x81", b"\x81\x30", b"\x00\xdc", b"\x1b"]))
    if dialect.header and place < len("a,b\r".encode(dialect.encoding)) + 10:
        place = len(data)
    return File(dialect, data[:place] + spoilt + data[place:])


LIMITS = Limits(record=100, field=60, block=30, rows=3, broken=2)


@given(files())
@example(File(QUOTED, b'1,"x\n2,y\n3,"z"x\n9,c"\n'))  # side by side the first and the last were one good record
@example(File(Dialect("#", '"'), b'1#"a\n"b"c\n'))
@example(File(Dialect(encoding="utf-16-le"), b"x\0\n\0y\0,"))
@example(File(QUOTED, b"\xef\xbb\xbf\xef\xbb\xbfx,1"))
def test_sent_again_unchanged_it_is_rejected_again(file: File) -> None:
    dialect = file.dialect
    done = read(file.data, TYPES, dialect, LIMITS, names="ab")
    if not done.rejected:
        return
    again = read(rejects(done, dialect), TYPES, dialect, LIMITS, names="ab")
    kept = [row for row in done.rejected if row.whole]
    assert again.rows == []
    assert [row.raw for row in again.rejected] == [row.raw for row in kept]
    for row, same in zip(kept, again.rejected, strict=True):
        if codes(row)[0][1] in OF_QUOTES:
            # Of such a record there is only the first line. Where that says what is wrong it is the same again.
            ((_, code),) = codes(same)
            assert code == codes(row)[0][1] or code == "unclosed_quote"
        else:
            assert codes(same) == codes(row)


def corrected(row: RejectedRow, dialect: Dialect, encoding: str) -> RejectedRow:
    quoted = (f"{dialect.quote}{value}{dialect.quote}" for value in ("1", "2023-01-02"))
    return replace(row, raw=dialect.separator.join(quoted).encode(encoding))


@given(files())
def test_corrected_below_its_remarks_it_is_taken(file: File) -> None:
    dialect = file.dialect
    done = read(file.data, TYPES, dialect, LIMITS, names="ab")
    encoding = done.reader.encoding
    if dialect.quote not in "\"'" or len(dialect.separator.encode(encoding, "ignore")) == 0:
        return  # written by hand with characters that the encoding does not have
    rows = [corrected(row, dialect, encoding) for row in done.rejected if row.whole]
    if not rows:
        return
    again = read(rejects(done, dialect, rows), TYPES, dialect, names="ab")
    assert again.rejected == []
    assert [row[0] for row in again.rows] == [1] * len(rows)


@pytest.mark.parametrize("separator", [",", ";"])
def test_corrected_with_a_spreadsheet_it_is_taken(separator: str) -> None:
    """They write all rows as long as the longest, quote what they want to, and add a mark."""
    dialect = Dialect(separator, '"', header=True)
    data = b"a,b\n1,x\nx,2023-01-01\n".replace(b",", separator.encode())
    table = list(csv.reader(io.StringIO(rejects(read(data, TYPES, dialect), dialect).decode()), delimiter=separator))
    table[2][1], table[4][0] = "2023-01-02", "7"
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows([*row, *[""] * (2 - len(row))] for row in table)
    again = read(b"\xef\xbb\xbf" + file.getvalue().encode(), TYPES, dialect)
    assert (again.rejected, [row[0] for row in again.rows], again.lines) == ([], [1, 7], [3, 5])


def test_a_record_of_which_only_the_beginning_was_kept_is_not_repeated() -> None:
    done = read(b"1,%b\nx,y\n" % (b"z" * 200), TYPES, limits=LIMITS)
    first, second, _ = rejects(done, QUOTED).splitlines()
    assert first.endswith(b' so it is not repeated here."')
    assert second.startswith(b'"#loadingdock rejected line 2: a (not_an_integer): ')


def test_half_a_character_at_the_end_of_the_file_comes_last() -> None:
    dialect = Dialect(encoding="utf-16-le")
    done = read("1,x\n2,".encode("utf-16-le") + b"y", TYPES, dialect)
    file = rejects(done, dialect, done.rejected[::-1])
    assert file.endswith("\r\n2,".encode("utf-16-le") + b"y")
    assert [codes(row) for row in read(file, TYPES, dialect).rejected] == [
        [("b", "not_a_date")],
        [(None, "undecodable")],
    ]


@given(st.text(max_size=20), st.text(max_size=30), files())
def test_whatever_a_reason_says_it_stays_a_remark(column: str, reason: str, file: File) -> None:
    """Names of columns are people's own."""
    dialect = replace(file.dialect, header=False)
    row = RejectedRow(1, 1, b"", (RowError(column, "code", reason),), whole=False)
    done = read(b"", TYPES, dialect)
    assert read(rejects(done, dialect, [row] * 3), TYPES, dialect).reader.totals.records == 0


def test_remarks_are_no_records_anywhere_and_count_as_lines() -> None:
    data = b'#loadingdock rejected line 7: x, y\n\n1,2\n"#loadingdock rejected line 9: ""x"""\n#loadingdock\n'
    done = read(data, 2)
    assert (done.rows, done.lines, done.errors) == ([["1", "2"]], [3], [(5, None, "too_few_fields")])


def test_a_remark_has_one_line() -> None:
    """With more it is what is left of two, perhaps, and in between stood a record."""
    data = b'"#loadingdock rejected line 7: x\n1,""2"""\n"#loadingdock rejected line 9\n1,2\n'
    assert read(data, 2).errors == [(1, None, "too_few_fields")]
    assert read(data, 2).rows == [["1", "2"]]


def test_a_long_remark_is_no_fault_of_the_record_before_it() -> None:
    data = b"1,2\n#loadingdock rejected %b\n3,4\n" % (b"x" * 50)
    assert read(data, 2, limits=Limits(field=20)).rows == [["1", "2"], ["3", "4"]]


def test_as_json() -> None:
    file = io.BytesIO()
    writer = RejectsJson(file, "windows-1252")
    done = read("é,x\n\x81,2023-01-01\n".encode("latin-1"), TYPES, Dialect(encoding="windows-1252"))
    for row in done.rejected:
        writer.add(row)
    writer.close()
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert (first["line"], first["ordinal"], first["raw"], first["whole"]) == (1, 1, "é,x", True)
    assert [(error["column"], error["code"]) for error in first["errors"]] == [
        ("a", "not_an_integer"),
        ("b", "not_a_date"),
    ]
    assert first["errors"][0]["reason"].startswith("'é' is no whole number")
    assert second["errors"][0]["column"] is None
    assert base64.b64decode(second["raw_base64"]) == b"\x81,2023-01-01"
    assert "raw" not in second
