"""Encodings, compression, headers, names, and files that mean harm."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.dialect import MIB, Dialect, Limits
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from loadingdock.adapters.contacts.reading.reader import Reader, open_records
from loadingdock.adapters.contacts.reading.rules import ColumnRule, Decimal, Integer, Text, Type
from tests.unit.contacts.reading import QUOTED, Read, read, rules

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def refusal(source: bytes | Iterator[bytes], dialect: Dialect = QUOTED, *, name: str = "") -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        read(source, 2, dialect, name=name)
    return refused.value


def opened(data: bytes, names: list[str] | None, header: bool = True) -> Reader:
    return open_records([data], Dialect(quote='"', header=header), rules([Text()] * 3), names)


TEXTS = {
    "utf-8": "né,漢",
    "latin-1": "né,ÿ",
    "windows-1252": "né,€",
    "cp037": "né,x",
    "utf-16": "né,😀",
    "utf-16-le": "né,漢",
    "utf-16-be": "né,漢",
    "utf-32": "né,😀",
    "shift_jis": "日本,語",
    "gb18030": "né,漢",
    "big5": "漢,字",
    "iso-2022-jp": "日本,語",
    "euc_kr": "한국,어",
    "koi8-r": "да,нет",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_encodings_and_raw_records_in_them(encoding: str) -> None:
    text = f"{TEXTS[encoding]}\n{TEXTS[encoding]},x\n"
    data = text.encode(encoding)
    done = read((data[at : at + 1] for at in range(len(data))), 2, Dialect(encoding=encoding))
    assert done.rows == [TEXTS[encoding].split(",")]
    (wrong,) = done.rejected
    assert wrong.raw.decode(done.reader.encoding) == f"{TEXTS[encoding]},x"


@pytest.mark.parametrize(
    ("encoding", "data", "offset", "raw"),
    [
        ("utf-8", b"a,b\n\xc3\xa9,\xc3\n", 7, b"\xc3\xa9,\xc3"),
        ("utf-8", b"\xef\xbb\xbfa,b\n\xc3\xa9,\xff\n", 10, b"\xc3\xa9,\xff"),
        ("windows-1252", b"a,\xe9\n\xe9,\x81\x81\n", 6, b"\xe9,\x81\x81"),
        ("ascii", b"a,b\nc,\xe9", 6, b"c,\xe9"),
        ("utf-16-le", "é,b\nc,".encode("utf-16-le") + b"\x00\xdc\n\0", 12, b"c\0,\0\x00\xdc"),
        ("utf-16", b"\xff\xfe" + "a,b\nc,".encode("utf-16-le") + b"\x61", 14, b"c\0,\0\x61"),
        ("shift_jis", b"\x93\xfa,b\nc,\xff\n", 7, b"c,\xff"),
        ("gb18030", b"a,b\nc,\x810\n", 6, b"c,\x810"),  # 81 30 0A might have been half a character
    ],
)
def test_undecodable_bytes_are_an_error_of_their_row(encoding: str, data: bytes, offset: int, raw: bytes) -> None:
    for size in (1, 3, 100):
        done = read(_cut(data, size), 2, Dialect(encoding=encoding), Limits(block=1))
        ((wrong,), (error,)) = done.rejected, done.rejected[0].errors
        assert error.code == "undecodable"
        assert f"offset {offset} " in error.reason
        assert wrong.raw == raw
        assert len(done.rows) == 1


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(st.binary(max_size=60), st.sampled_from(["windows-1252", "ascii", "utf-16-be", "euc_jp", "utf-32-le"]))
def test_any_bytes_come_back_in_the_file_of_rejects(data: bytes, encoding: str) -> None:
    """A record with undecodable bytes keeps exactly them; without any, what it decodes to."""
    done = read(_cut(data, 7), 1, Dialect(encoding=encoding), Limits(block=3))
    for row in done.rejected:
        if row.errors[0].code == "undecodable":
            assert row.raw in data or encoding == "euc_jp"


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
@pytest.mark.parametrize("said", ["UTF-8", "windows-1252", "UTF-16"])
def test_a_byte_order_mark_is_stronger_than_what_is_said(mark: bytes, encoding: str, said: str) -> None:
    done = read(mark + "é,漢\n".encode(encoding), 2, Dialect(encoding=said))
    assert (done.rows, done.reader.encoding, done.reader.bom) == ([["é", "漢"]], encoding, mark)
    agree = said == encoding.upper() or (said == "UTF-16" and encoding == "utf-16-le")
    assert len(done.reader.warnings) == (not agree)


def test_utf_32s_mark_is_utf_16s_and_a_nul() -> None:
    data = b"\xff\xfe\0\0" + "é,漢\n".encode("utf-32-le")
    assert read(data, 2).rows == [["é", "漢"]]
    assert read(data, 2, Dialect(encoding="UTF-16")).errors == [(1, None, "nul"), (2, None, "nul")]


@pytest.mark.parametrize(
    "encoding", ["", "nope", "base64", "rot13", "idna", "utf-7", "unicode_escape", "a\0b", "x" * 99]
)
def test_encodings_that_are_none(encoding: str) -> None:
    error = refusal(b"1,2", Dialect(encoding=encoding))
    assert (error.code, error.field) == ("unknown_encoding", "encodingType")
    assert len(str(error)) < 250


@pytest.mark.parametrize(("name", "pack"), [("x.csv.gz", gzip.compress), ("X.CSV.ZST", zstd.compress)])
def test_compressed_files(name: str, pack: type, tmp_path: Path) -> None:
    data = b"".join(b"%d,%d\n" % (row, row * row) for row in range(50_000))
    packed = pack(data)
    done = read(packed, [Integer(), Integer()], name=name)
    assert len(done.rows) == 50_000
    assert done.reader.totals.bytes_read == len(packed)
    (tmp_path / name).write_bytes(packed)
    assert len(read(tmp_path / name, 2).rows) == 50_000
    assert refusal(packed[:-9], name=name).code == "not_decompressible"
    assert refusal(b"1,2\n", name=name).code == "not_decompressible"


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_decompression_bomb_is_refused_soon(pack: type) -> None:
    name = "x.gz" if pack is gzip.compress else "x.zst"
    packed = pack(b"\0" * (40 * MIB))
    begun = time.monotonic()
    assert refusal(packed, name=name).code == "too_compressed"
    assert time.monotonic() - begun < 10


def test_names_from_the_header() -> None:
    reader = opened(b'\n"c", a\n1,2\n', None)
    assert (reader.names, reader.header, reader.warnings) == (("c", "a"), b'"c", a', [])
    (batch,) = reader
    assert batch.columns.to_pydict() == {"c": ["1"], "a": ["2"]}
    assert batch.lines.tolist() == [3]
    assert batch.ordinals.tolist() == [1]
    assert reader.totals.records == 1


def test_blanks_are_part_of_a_name_only_if_the_table_has_it_so() -> None:
    columns = {name: ColumnRule(name, Text()) for name in (" a", "a", "b")}
    assert open_records([b"a, a,\t b "], Dialect(header=True), columns).names == ("a", " a", "b")
    assert open_records([b" a,a ,1"], Dialect(header=True), columns, ["a", " a", "b"]).warnings


def test_names_by_position() -> None:
    assert opened(b"1,2\n", ["b", "a"], header=False).names == ("b", "a")
    assert opened(b"b,a\n1,2\n", ["b", "a"]).warnings == []
    reader = opened(b"B,a\n1,2\n", ["b", "A"])
    assert (reader.names, reader.warnings) == (("b", "a"), [])
    reader = opened(b"b,c\n1,2\n", ["b", "a"])
    assert (reader.names, reader.warnings) == (
        ("b", "a"),
        ["The header calls column 2 'c', but 'a' was given; the names given count."],
    )
    assert [batch.columns.to_pydict() for batch in reader] == [{"b": ["1"], "a": ["2"]}]
    assert opened(b"b\n", ["b", "a"]).warnings == ["The header has 1 names, but 2 were given; those given count."]


@pytest.mark.parametrize(
    ("data", "names", "header", "code", "field"),
    [
        (b"", None, True, "no_header", "file"),
        (b"\n\n", None, True, "no_header", "file"),
        (b'"a\n1', None, True, "bad_header", "file"),
        (b"a\0,b\n", None, True, "bad_header", "file"),
        (b"a\xff,b\n", None, True, "bad_header", "file"),
        (b"a,a\n", None, True, "duplicate_name", "file"),
        (b"a,A\n", None, True, "duplicate_name", "file"),
        (b"a,\n", None, True, "unknown_column", "file"),
        (b"a,b\n", ["a", "x"], True, "unknown_column", "fieldsCode"),
        (b"a,b\n", None, False, "no_names", "fieldsCode"),
        (b"a,b\n", [], False, "no_names", "fieldsCode"),
        (b"," * 30_000, None, True, "too_many_columns", "file"),
    ],
)
def test_headers_and_names_that_cannot_be_used(
    data: bytes, names: list[str] | None, header: bool, code: str, field: str
) -> None:
    with pytest.raises(FileRefused) as refused:
        opened(data, names, header)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_only_a_header() -> None:
    for data in (b"a,b", b"a,b\n", b"a,b\r\n\r\n"):
        assert list(opened(data, None)) == []


def timed(source: bytes, columns: int | list[Type], dialect: Dialect = QUOTED) -> Read:
    begun = time.monotonic()
    done = read(source, columns, dialect)
    assert time.monotonic() - begun < 10  # well under a second, on a machine that has nothing else to do
    return done


def test_a_quote_that_is_never_closed() -> None:
    done = timed(b'1,"' + b"x" * 50 + b"\n" + (b"x," + b"y" * 500 + b"\n") * 30_000, 2)
    assert done.errors == [(1, "b", "unclosed_quote")]
    assert done.rejected[0].raw == b'1,"' + b"x" * 50
    assert len(done.rows) == 30_000


def test_a_huge_field() -> None:
    done = timed(b"1," + b"x" * (10 * MIB - 9) + b"\n1,2\n", 2)
    assert (done.errors, done.rows) == ([(1, "b", "field_too_long")], [["1", "2"]])


def test_a_huge_line() -> None:
    done = timed(b"1," + b"x" * (40 * MIB) + b"\r\n1,2\n", 2)
    assert (done.errors, done.rows, done.lines) == ([(1, None, "record_too_long")], [["1", "2"]], [2])
    (wrong,) = done.rejected
    assert (len(wrong.raw), wrong.whole) == (4096, False)


def test_a_huge_line_at_the_end() -> None:
    assert timed(b"1,2\n" + b"x" * (12 * MIB), 2).errors == [(2, None, "record_too_long")]


def test_numbers_of_ten_thousand_digits() -> None:
    types: list[Type] = [Integer(), Decimal(10, 2)]
    done = timed(
        b"9" * 10_000 + b"," + b"9" * 10_000 + b".5\n" + b"0" * 10_000 + b"7," + b"0" * 9_000 + b"1.5\n", types
    )
    assert done.errors == [(1, "a", "out_of_range"), (1, "b", "out_of_range")]
    assert all(len(error.reason) < 200 for error in done.rejected[0].errors)
    assert [[int(value * 2) for value in row] for row in done.rows] == [[14, 3]]


def test_ten_thousand_columns() -> None:
    line = b",".join(b"%d" % number for number in range(10_000)) + b"\n"
    assert timed(line + b"1,2\n" + line, 2).errors == [(1, None, "too_many_fields"), (3, None, "too_many_fields")]
    with pytest.raises(FileRefused) as refused:
        opened(line, None)
    assert refused.value.code == "too_many_columns"


def test_nothing_but_separators() -> None:
    assert timed(b"," * (3 * MIB), 2).errors == [(1, None, "too_many_fields")]


def test_lines_of_one_quote() -> None:
    done = timed(b'"\n' * 20_001, 1)
    assert done.errors == [(20_001, "a", "unclosed_quote")]
    assert set(map(tuple, done.rows)) == {("\n",)}
