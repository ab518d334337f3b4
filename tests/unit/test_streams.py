"""Compressed streams: whole or refused, in bounded pieces."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters import streams

FORMATS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], streams.Decompressor]]] = {
    "gzip": (gzip.compress, streams.gunzip),
    "bzip2": (bz2.compress, streams.bunzip2),
    "xz": (lzma.compress, streams.unxz),
    "zstd": (streams.zstd.compress, streams.unzstd),
}
formats = st.sampled_from(sorted(FORMATS))


def unpack(format: str, *packed: bytes) -> bytes:
    pieces = list(streams.all_of(packed, FORMATS[format][1]))
    assert all(0 < len(piece) <= streams.PIECE for piece in pieces)
    return b"".join(pieces)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """As files are read: a generator, which whoever leaves it early must not close."""
    return (data[at : at + size] for at in range(0, len(data), size))


@given(formats, st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.integers(1, 50), st.integers(0, 9))
def test_streams_one_behind_the_other(format: str, contents: list[bytes], piece: int, padding: int) -> None:
    compress, _ = FORMATS[format]
    packed = b"".join(map(compress, contents)) + bytes(4 * padding)
    found = b"".join(streams.all_of(pieces_of(packed, piece), FORMATS[format][1]))
    assert found == b"".join(contents)


@pytest.mark.parametrize("format", FORMATS)
def test_large_content_comes_in_pieces(format: str) -> None:
    content = bytes(10 << 20)
    assert unpack(format, FORMATS[format][0](content)) == content


@given(formats, st.binary(max_size=200), st.data())
def test_cut_short_is_refused(format: str, content: bytes, data: st.DataObject) -> None:
    packed = FORMATS[format][0](content)
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    with pytest.raises(streams.BadStream):
        unpack(format, cut)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("behind", [b"x", b"\0\0\0\0x", b"PK\x03\x04"])
def test_something_behind_is_refused(format: str, behind: bytes) -> None:
    with pytest.raises(streams.BadStream):
        unpack(format, FORMATS[format][0](b"hello") + behind)
    with pytest.raises(streams.BadStream):
        unpack(format, FORMATS[format][0](b"hello"), behind)


@pytest.mark.parametrize("format", ["gzip", "bzip2", "xz"])
def test_a_wrong_checksum_is_refused(format: str) -> None:
    packed = bytearray(FORMATS[format][0](b"hello" * 100))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(streams.BadStream):
        unpack(format, bytes(packed))


def test_a_dictionary_too_large_is_refused() -> None:
    """The header asks for memory before a byte comes out."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    hostile = bytearray(lzma.compress(b"hello", format=lzma.FORMAT_XZ, filters=filters))
    with pytest.raises(streams.BadStream):
        unpack("xz", bytes(hostile))


def test_nothing_is_asked_for_that_is_not_taken() -> None:
    """Whoever stops at a limit has not paid for the rest."""
    taken = 0

    def source() -> Iterator[bytes]:
        nonlocal taken
        packed = zlib.compressobj(wbits=31)
        data = packed.compress(bytes(64 << 20)) + packed.flush()
        for at in range(0, len(data), 1024):
            taken += 1
            yield data[at : at + 1024]

    next(streams.all_of(source(), streams.gunzip))
    assert taken <= 3
