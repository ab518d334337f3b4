"""Files in any encoding with bytes changed, put in, left out and cut off: each record as the grammar says, with its
line, its own bytes and, if there is one, the offset of the first undecodable byte."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import accumulate
from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.contacts.reading.rules import ColumnRule, Text
from tests.unit.contacts import grammar

ENCODINGS = ["utf-8", "utf-8", "ascii", "windows-1252", "cp037", "utf-16-le", "utf-16-be", "utf-32-le", "gb18030"]
ENCODINGS += ["shift_jis", "euc_jp", "big5", "euc_kr"]
PUT_IN = [b'"', b",", b"\n", b"\r", b"\0", b"\x81", b"\xe3\x81", b"\x00\xd8"]


@dataclass(frozen=True)
class File:
    dialect: Dialect
    columns: int
    data: bytes


@st.composite
def corrupted(draw: st.DrawFn) -> File:
    separator, quote = draw(st.sampled_from(",;|é")), draw(st.sampled_from(['"', '"', "'", ""]))
    encoding = draw(st.sampled_from(ENCODINGS))
    pieces = ["a", "bc", "é", "漢", "한", "€", " ", ""] + ([separator, "\n", "\r\n", "\r", quote * 2] if quote else [])
    columns = draw(st.integers(1, 3))
    value = st.lists(st.sampled_from(pieces), max_size=4).map("".join)
    rows = draw(st.lists(st.lists(value, min_size=columns, max_size=columns), min_size=1, max_size=5))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = "".join(separator.join(f"{quote}{each}{quote}" for each in row) + end for row in rows)
    data = bytearray(text.encode(encoding, "ignore"))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "put in", "leave out", "cut off"])):
            case "change":
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "put in":
                data[at:at] = draw(
                    st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\x81", b"\xe3\x81", b"\x00\xd8"])
                )
            case "leave out":
                del data[at : at + draw(st.integers(1, 4))]
            case "cut off":
                del data[at:]
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        data[:4] = b""
    return File(Dialect(separator, quote, encoding=encoding), columns, bytes(data))


def characters(data: bytes, encoding: str) -> list[tuple[str, bytes]]:
    """Each with its bytes; a byte that begins none is a character of its own, U+DC00 + byte."""
    found: list[tuple[str, bytes]] = []
    unit = len("a".encode(encoding))
    while data:
        for length in range(unit, 5, unit):
            try:
                character = data[:length].decode(encoding)
            except UnicodeDecodeError:
                continue
            if len(data) >= length:
                found.append((character, data[:length]))
                break
        else:
            length = unit
            found += [(chr(0xDC00 + byte), bytes([byte])) for byte in data[:unit]]
        data = data[length:]
    return found


@dataclass(frozen=True)
class Row:
    line: int
    raw: bytes
    values: list[str | None]
    code: str = ""
    offset: int | None = None


def expected(file: File, limits: Limits) -> list[Row]:
    found = characters(file.data, file.dialect.encoding)
    # Where in the file each byte of the working text stands, which has these characters in UTF-8.
    encoded = [character.encode("utf-8", "surrogatepass") for character, _ in found]
    starts = accumulate((len(own) for _, own in found), initial=0)
    place = [start for start, each in zip(starts, encoded, strict=False) for _ in each] + [len(file.data)]
    separator, quote = file.dialect.separator.encode(), file.dialect.quote.encode()
    rows = []
    for record in grammar.records(b"".join(encoded), separator, quote, limits.record):
        end = record.begin + len(record.raw)
        raw = file.data[place[record.begin] : place[end]]
        code, offset = record.broken, None
        if not code:
            try:
                record.raw.decode()
            except UnicodeDecodeError as error:
                code, offset = "undecodable", place[record.begin + error.start]
            else:
                if b"\0" in record.raw:
                    code = "nul"
                elif len(record.fields) != file.columns:
                    code = "too_few_fields" if len(record.fields) < file.columns else "too_many_fields"
        values = [] if code else [normalize("NFC", one.decode()) or None for one in record.fields]
        rows.append(Row(record.line, raw, values, code, offset))
    return rows


def read(file: File, limits: Limits, piece: int) -> list[Row]:
    names = [f"c{number}" for number in range(file.columns)]
    pieces = (file.data[at : at + piece] for at in range(0, len(file.data), piece))
    reader = open_records(pieces, file.dialect, {name: ColumnRule(name, Text()) for name in names}, names, limits)
    rows: dict[int, Row] = {}
    for batch in reader:
        of_rows = zip(*(column.to_pylist() for column in batch.columns.columns), strict=True)
        for at, (ordinal, line, values) in enumerate(zip(batch.ordinals, batch.lines, of_rows, strict=True)):
            rows[int(ordinal)] = Row(int(line), batch.raw(at), list(values))
        for one in batch.rejected:
            (error,) = one.errors
            offset = re.search(r"offset (\d+) ", error.reason)
            rows[one.ordinal] = Row(one.line, one.raw, [], error.code, int(offset[1]) if offset else None)
    assert sorted(rows) == list(range(1, len(rows) + 1))
    return [row for _, row in sorted(rows.items())]


@given(corrupted(), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
def test_every_record_is_accounted_for(file: File, piece: int, block: int, most: int) -> None:
    limits = Limits(block=block, rows=most, broken=most)
    assert read(file, limits, piece) == expected(file, limits)
