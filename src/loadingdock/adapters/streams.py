"""Compressed streams of one content: deflate, gzip, bzip2, xz, zstd. Memory is bounded whatever the data say."""

from __future__ import annotations

import lzma
import sys
import zlib
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 1 << 20
_MAX_DICTIONARY = 1 << 27  # bytes an xz or zstd stream may ask for; `xz -9` asks for 65 MiB, `zstd -19` for 8 MiB
_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, EOFError)


class BadStream(Exception):
    """Damaged, cut short, or followed by something else."""


class Decompressor(Protocol):
    """As the standard library's: at most `max_length` bytes come out at once, the rest with the next call."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Inflate:
    """zlib as a Decompressor; raw deflate unless `wbits` says otherwise."""

    def __init__(self, wbits: int = -zlib.MAX_WBITS) -> None:
        self._inner = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def one(packed: Iterator[bytes], decompressor: Decompressor) -> Iterator[bytes]:
    """The content of one stream, in pieces of at most 1 MiB; what of the input lies behind it stays in
    `unused_data` and in `packed`. Raises BadStream."""
    try:
        while not decompressor.eof:
            data = b""
            if decompressor.needs_input and not (data := next(packed, b"")):
                raise BadStream("it ends too early")
            if piece := decompressor.decompress(data, PIECE):
                yield piece
    except _ERRORS as error:
        raise BadStream(f"its data are damaged ({error})") from error


def all_of(packed: Iterable[bytes], new: Callable[[], Decompressor]) -> Iterator[bytes]:
    """The content of streams one behind the other, as gzip, bzip2, xz and zstd files may be.

    Zeros behind the last one are padding. Anything else there raises BadStream, because programs differ in what they
    do with it.
    """
    source = iter(packed)
    rest = next(source, b"")
    while rest:
        decompressor = new()
        yield from one(chain((rest,), source), decompressor)
        rest = decompressor.unused_data or next(source, b"")
        if rest[:1] == b"\0":
            if any(piece.strip(b"\0") for piece in chain((rest,), source)):
                raise BadStream("something follows its end")
            return


def gunzip() -> Decompressor:
    return Inflate(16 + zlib.MAX_WBITS)


def bunzip2() -> Decompressor:
    return BZ2Decompressor()


def unxz() -> Decompressor:
    return lzma.LZMADecompressor(memlimit=_MAX_DICTIONARY)


def unzstd() -> Decompressor:
    window = zstd.DecompressionParameter.window_log_max
    return zstd.ZstdDecompressor(options={window: _MAX_DICTIONARY.bit_length() - 1})
