"""Compressed files: as if they were not, or refused."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from tests.unit.contacts.reading import read

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: dict[str, Callable[[bytes], bytes]] = {"x.csv.gz": gzip.compress, "X.CSV.ZST": zstd.compress}
names = pytest.mark.parametrize("name", PACKERS)
ROWS = b"".join(b"%d,%d\n" % (row, row * row) for row in range(50_000))


def pieces(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def refusal(source: Iterable[bytes], name: str, limits: Limits | None = None) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        read(source, 2, limits=limits, name=name)
    assert refused.value.field == "file"
    return refused.value


@names
def test_from_memory_and_from_a_file(name: str, tmp_path: Path) -> None:
    packed = PACKERS[name](ROWS)
    done = read(packed, 2, name=name)
    assert (len(done.rows), done.lines[-1]) == (50_000, 50_000)
    assert done.reader.totals.bytes_read == len(packed)  # progress is told by what is stored
    (tmp_path / name).write_bytes(packed)
    assert len(read(tmp_path / name, 2).rows) == 50_000


@names
@given(cuts=st.lists(st.integers(0, 400), max_size=5), piece=st.integers(1, 99), zeros=st.integers(0, 9))
def test_several_streams_are_one_file(name: str, cuts: list[int], piece: int, zeros: int) -> None:
    """Cut anywhere, within a record too; some of them are empty."""
    data = ROWS[:400]
    places = [0, *sorted(cuts), len(data)]
    streams = [PACKERS[name](data[low:high]) for low, high in pairwise(places)]
    done = read(pieces(b"".join(streams) + bytes(zeros), piece), 2, name=name, limits=Limits(block=40))
    plain = read(data, 2)
    assert (done.rows, done.lines, done.errors) == (plain.rows, plain.lines, plain.errors)


def test_skippable_frames_are_skipped() -> None:
    """pzstd writes them, and seekable files end with one (RFC 8878 3.1.2)."""
    frame = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    assert read(frame + zstd.compress(b"1,2\n") + frame, 2, name="x.zst").rows == [["1", "2"]]


@names
@given(data=st.data())
def test_cut_off_or_with_something_behind_it_is_refused(name: str, data: st.DataObject) -> None:
    packed = PACKERS[name](ROWS[:3000])
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    assert refusal(pieces(cut, 100), name).code == "not_decompressible"
    behind = data.draw(st.binary(min_size=1, max_size=9).filter(lambda some: some.strip(b"\0")))
    assert refusal(pieces(packed + behind, 100), name).code == "not_decompressible"


@names
@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_damaged_is_refused_or_makes_no_difference(name: str, place: int, flip: int) -> None:
    """Both formats have checksums, if whoever wrote the file wanted one; some bits of their headers mean nothing."""
    option = {"options": {zstd.CompressionParameter.checksum_flag: 1}} if name.endswith("ZST") else {}
    packed = bytearray(PACKERS[name](ROWS[:3000], **option))
    packed[place % len(packed)] ^= flip
    try:
        done = read(bytes(packed), 2, name=name)
    except FileRefused:
        return
    assert done.rows == read(ROWS[:3000], 2).rows


@names
def test_the_ending_alone_decides(name: str) -> None:
    assert refusal([b"1,2\n"], name).code == "not_decompressible"
    assert read(PACKERS[name](b"1,2\n"), 2, Dialect(encoding="latin-1"), name="x.csv").rows == []
    assert read(b"", 2, name=name).rows == []


@names
def test_what_may_come_out_of_it_has_an_end(name: str) -> None:
    packed = PACKERS[name](ROWS)
    assert refusal([packed], name, Limits(expanded=len(ROWS) - 1)).code == "too_compressed"
    assert len(read(packed, 2, name=name, limits=Limits(expanded=len(ROWS))).rows) == 50_000


@names
def test_the_same_line_again_and_again_is_no_bomb(name: str) -> None:
    """More than two hundred times its size, and small."""
    data = b"1,%b\n" % (b"x" * 1_000) * 20_000
    packed = PACKERS[name](data)
    assert len(data) > 200 * len(packed)
    assert len(read(packed, 2, name=name).rows) == 20_000


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("x.gz", gzip.compress(b"")),
        ("x.zst", zstd.compress(b"")),
        ("x.zst", b"\x50\x2a\x4d\x18\0\0\0\0"),
        ("x.gz", gzip.compress(b"1,2\n")),
    ],
    ids=["nothing.gz", "nothing.zst", "skippable.zst", "record.gz"],  # with the time in them, processes would disagree
)
def test_ever_so_many_small_streams_are_refused(name: str, stream: bytes) -> None:
    assert read(stream * 9_000, 2, name=name).errors == []
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield stream * 1_000

    assert refusal(endless(), name).code == "not_decompressible"
    assert given < 20


def test_a_window_that_is_too_large_is_refused() -> None:
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3])  # RFC 8878 3.1.1.1.2: 2 GiB
    assert refusal([header + b"\x01\0\0"], "x.zst").code == "not_decompressible"


def test_gzip_with_all_of_its_fields() -> None:
    """RFC 1952 2.3: extra field, name, comment, checksum of the header."""
    head = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x04\0abcdname\0comment\0"
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(b"1,2\n") + packer.flush()
    tail = zlib.crc32(b"1,2\n").to_bytes(4, "little") + (4).to_bytes(4, "little")
    packed = head + (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") + body + tail
    assert read(packed, 2, name="x.gz").rows == [["1", "2"]]
