"""Files that mean harm cost what others of their size cost, in time and in memory, and are told what is wrong."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loadingdock.adapters.contacts.reading.dialect import MIB, Dialect
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from loadingdock.adapters.contacts.reading.rules import (
    Boolean,
    Date,
    Datetime,
    Decimal,
    Email,
    Integer,
    Phone,
    Text,
    Type,
)
from tests.unit.contacts.reading import QUOTED, Read, read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.security(32)
SOURCES = Path(__file__).resolve().parents[3] / "src" / "loadingdock"


def timed(source: bytes, columns: int | list[Type], dialect: Dialect = QUOTED, name: str = "") -> Read:
    begun = time.process_time()
    try:
        return read(source, columns, dialect, name=name)
    finally:
        # A second on a quiet machine, of which a few tenths are needed; whoever shares the caches here may double it.
        assert time.process_time() - begun < 3


def test_a_quote_that_is_never_closed() -> None:
    done = timed(b'1,"' + b"x" * 50 + b"\n" + (b"x," + b"y" * 500 + b"\n") * 30_000, 2)
    assert done.errors == [(1, "b", "unclosed_quote")]
    assert done.rejected[0].raw == b'1,"' + b"x" * 50
    assert len(done.rows) == 30_000


def test_a_quote_that_is_not_closed_in_each_line() -> None:
    """Each time it looks as if the rest of the file were one value."""
    done = timed(b'1,"x\n' * 10_001, 2)
    assert len(done.rejected) == 10_001
    assert {code for _, _, code in done.errors} == {"text_after_quote", "unclosed_quote"}


def test_lines_of_one_quote() -> None:
    done = timed(b'"\n' * 20_001, 1)
    assert done.errors == [(20_001, "a", "unclosed_quote")]
    assert set(map(tuple, done.rows)) == {("\n",)}


def test_nul() -> None:
    done = timed(b"\0" * MIB + b"\n1,2\n1,\0\n" + b"\0,\0\n" * 1_000, 2)
    assert (done.rows, len(done.rejected)) == ([["1", "2"]], 1_002)
    assert {code for _, _, code in done.errors} == {"nul"}


def test_a_field_of_ten_megabytes() -> None:
    done = timed(b"1," + b"x" * (10 * MIB - 9) + b"\n1,2\n", 2)
    assert (done.errors, done.rows) == ([(1, "b", "field_too_long")], [["1", "2"]])


@pytest.mark.slow
def test_a_field_of_ten_megabytes_of_doubled_quotes_and_line_ends() -> None:
    done = timed(b'1,"' + b'""\n' * (3 * MIB) + b'"\n1,2\n', 2)
    assert (done.errors, done.rows) == ([(1, "b", "field_too_long")], [["1", "2"]])


def test_a_huge_line() -> None:
    done = timed(b"1," + b"x" * (40 * MIB) + b"\r\n1,2\n", 2)
    assert (done.errors, done.rows, done.lines) == ([(1, None, "record_too_long")], [["1", "2"]], [2])
    (wrong,) = done.rejected
    assert (len(wrong.raw), wrong.whole) == (4096, False)


def test_a_huge_line_at_the_end() -> None:
    assert timed(b"1,2\n" + b"x" * (12 * MIB), 2).errors == [(2, None, "record_too_long")]


def test_ten_thousand_columns() -> None:
    line = b",".join(b"%d" % number for number in range(10_000)) + b"\n"
    assert timed(line + b"1,2\n" + line, 2).errors == [(1, None, "too_many_fields"), (3, None, "too_many_fields")]
    with pytest.raises(FileRefused) as refused:
        timed(line, 2, Dialect(header=True))
    assert refused.value.code == "too_many_columns"


def test_nothing_but_separators() -> None:
    assert timed(b"," * (3 * MIB), 2).errors == [(1, None, "too_many_fields")]


def test_nothing_but_line_ends() -> None:
    assert timed(b"\n" * (8 * MIB) + b"1,2", 2).lines == [8 * MIB + 1]


NINES = b"9" * 10_000


@pytest.mark.parametrize(
    ("type", "code"),
    [
        (Integer(), "out_of_range"),
        (Decimal(10, 2), "out_of_range"),
        (Boolean(), "not_a_boolean"),
        (Date(), "not_a_date"),
        (Datetime(), "not_a_datetime"),
        (Email(), "not_an_email"),
        (Phone("DE"), "not_a_phone"),
        (Text(100), "too_long"),
    ],
)
def test_a_number_of_ten_thousand_digits(type: Type, code: str) -> None:
    done = timed(NINES + b"\n-" + NINES + b"\n" + NINES + b"." + NINES + b"\n", [type])
    assert [row.line for row in done.rejected] == [1, 2, 3]
    assert done.rejected[0].errors[0].code == code
    assert all(len(error.reason) < 300 for row in done.rejected for error in row.errors)


def test_a_number_of_ten_thousand_zeros_is_a_small_one() -> None:
    done = timed(b"0" * 10_000 + b"7," + b"0" * 9_000 + b"1.5\n", [Integer(), Decimal(10, 2)])
    assert [[int(value * 2) for value in row] for row in done.rows] == [[14, 3]]


@pytest.mark.slow
def test_every_byte_is_undecodable() -> None:
    done = timed(b"\xff" * MIB + b"\n" + b"\xff\n" * 20_000, 2)
    assert len(done.rejected) == 20_001
    assert {code for _, _, code in done.errors} == {"undecodable"}


@pytest.mark.parametrize("encoding", ["utf-16", "gb18030", "ascii"])
def test_every_byte_is_undecodable_in_another_encoding(encoding: str) -> None:
    done = timed(b"\x00\xdc" * 50_000, 2, Dialect(encoding=encoding))
    assert [code for _, _, code in done.errors] == ["undecodable"]


BOMBS: dict[str, Callable[[], bytes]] = {
    "line.gz": lambda: gzip.compress(b"\0" * (40 * MIB)),
    "line.zst": lambda: zstd.compress(b"\0" * (40 * MIB)),
    "rows.gz": lambda: gzip.compress(b"1," + b"x" * 9_999 + b"\n") * 50_000,
    "streams.gz": lambda: gzip.compress(b"") * 500_000,
    "streams.zst": lambda: zstd.compress(b"") * 500_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb(name: str) -> None:
    packed = BOMBS[name]()
    with pytest.raises(FileRefused) as refused:
        timed(packed, 2, name=name)
    assert refused.value.code in {"too_compressed", "not_decompressible"}


def test_nothing_guesses_dialects() -> None:
    """csv.Sniffer takes five seconds for 252 characters that are chosen well; where the standard library's csv is
    used, it has one limit for the whole process."""
    assert not [path for path in SOURCES.rglob("*.py") if "Sniffer" in path.read_text()]


CHILD = """
import time
from pathlib import Path
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from tests.unit.contacts.reading import QUOTED, rules
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.contacts.reading.rules import Integer, Text

MIB = 1 << 20

def repeated(piece, times):
    for _ in range(times):
        yield piece

def bomb():
    import zlib
    packer = zlib.compressobj(wbits=31)
    for _ in range(64):
        yield packer.compress(bytes(64 * MIB))
    yield packer.flush()

sources = {
    "rows": lambda: repeated(b"1,2\\n" * 50_000, 20),
    "quote": lambda: (piece for part in ([b'1,"'], repeated(b"x," + b"y" * 500 + b"\\n", 100_000)) for piece in part),
    "quotes": lambda: repeated(b'"' * 65_536, 600),
    "line": lambda: repeated(b"x" * MIB, 100),
    "separators": lambda: repeated(b"," * MIB, 40),
    "ends": lambda: repeated(b"\\n" * MIB, 40),
    "nul": lambda: repeated(b"\\0\\n" * 10_000, 20),
    "undecodable": lambda: repeated(b"\\xff" * MIB, 40),
    "digits": lambda: repeated(b"9" * 10_000 + b",1\\n", 2_000),
    "bomb": bomb,
}
of_table = rules([Integer(), Text()])
for kind, source in sources.items():
    try:
        for batch in open_records(source(), QUOTED, of_table, list(of_table), name="x.gz" if kind == "bomb" else ""):
            pass
    except FileRefused:
        assert kind == "bomb"
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(kind, int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
def test_memory_is_bounded() -> None:
    """Of a process that reads one after the other, each much larger than what is read at once."""
    root = SOURCES.parents[1]
    run = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=root, capture_output=True, text=True, check=True, timeout=110
    )
    peaks = {kind: int(peak) for kind, peak in map(str.split, run.stdout.splitlines())}
    assert list(peaks)[-1] == "bomb"
    assert peaks["bomb"] < 400, peaks
