"""Encodings, compression, headers, names, and files that mean harm."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from loadingdock.adapters.contacts.reading.reader import Reader, open_records
from loadingdock.adapters.contacts.reading.rules import ColumnRule, Text
from tests.unit.contacts.reading import QUOTED, read, rules

if sys.version_info >= (3, 14):
    pass
else:
    pass


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


SHIFTS = [b"\x1b", b"$B", b"(B", b"4A", b"~{", b"~}", b"\x0e", b"\x0f", b"\x81", b"\xff", b'"', b"\n", b"1"]


@given(
    st.lists(st.sampled_from(SHIFTS), max_size=30),
    st.sampled_from(["iso-2022-jp", "iso-2022-jp-2", "iso-2022-kr", "hz"]),
)
@example([b"\x81", b"\xff"], "iso-2022-jp")  # decoded, and not encoded
@example([b"\x1b", b"$", b"1", b"1", b"1", b"1", b"1", b"1", b"1", b"1"], "iso-2022-jp")
def test_any_shifts_are_read_or_refused(parts: list[bytes], encoding: str) -> None:
    try:
        done = read(_cut(b"".join(parts), 7), 1, Dialect(encoding=encoding))
    except FileRefused:
        return
    assert all(row.raw for row in done.rejected)


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


def test_a_header_of_one_name_with_separators_in_it_has_perhaps_another_one() -> None:
    with pytest.raises(FileRefused, match=r"'a;b'; it has a, b, c\. If .* another separator"):
        opened(b"a;b\n1;2\n", None)
    with pytest.raises(FileRefused, match=r"'x'; it has a, b, c\.$"):
        opened(b"x\n1\n", None)


def test_only_a_header() -> None:
    for data in (b"a,b", b"a,b\n", b"a,b\r\n\r\n"):
        assert list(opened(data, None)) == []
