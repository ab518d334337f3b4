"""The file in blocks of records, however it comes in pieces and whatever its lines' lengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.decoding import Decoder
from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.records import Records
from loadingdock.adapters.contacts.reading.remarks import without_remarks
from loadingdock.adapters.contacts.reading.tokens import Region

_MARGIN = 64  # bytes: what a quote at the limit is followed by, too; if that is a remark is to be seen


@dataclass(frozen=True, slots=True)
class Block:
    """`text` is in the working form; `line` is the number of its first physical line, from 1."""

    text: bytes
    records: Records
    line: int
    decoder: Decoder
    rest: bytes
    """What is known of the file behind `text`."""
    unended: bool = False
    """`text` ends in a line end that is not in the file."""

    def raw(self, record: int) -> bytes:
        """The file's own bytes of a record, without the line end; the first of them if the line is too long."""
        return self.decoder.original(self.text[self.records.begin[record] : self.records.end[record]])

    def offsets(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the file undecodable bytes are."""
        return self.decoder.offsets(self.text[: len(self.text) - self.unended] + self.rest, positions)


def blocks(pieces: Iterator[bytes], decoder: Decoder, dialect: Dialect, limits: Limits) -> Iterator[Block]:
    """`pieces` are the file's bytes behind its byte order mark."""
    window = _Window(pieces, decoder, limits.record + _MARGIN + limits.block)
    line, stopped = 1, False
    while True:
        if not stopped and len(window.text) <= window.most:
            window.fill(limits.block)
        stopped = False
        if not window.text:
            return
        if end := len(window.text) if window.ended else window.last_line_end():
            text, rest = window.text[:end], window.text[end:]
            if unended := window.ended and text[-1:] not in (b"\n", b"\r"):
                text += b"\n"
            region = Region(text, dialect, limits, last=window.ended)
            if (records := without_remarks(region.records(), text, dialect)).begin.size:
                yield Block(text, records, line, decoder, rest, unended)
            line, stopped = line + region.lines, region.stopped
            window.drop(region.taken)
            if region.taken:
                continue
        if len(window.text) > limits.record + _MARGIN:
            if (block := _endless(window.text, line, dialect, decoder, limits)).records.begin.size:
                yield block
            window.skip_line()
            line += 1


def _endless(text: bytes, line: int, dialect: Dialect, decoder: Decoder, limits: Limits) -> Block:
    """The record that `text` begins with, the end of which is further away than a record may be long; none, if it is
    a remark."""
    beginning = text[: limits.record + _MARGIN] + b"\n"
    first = Region(beginning, dialect, limits, last=True).records().part(slice(0, 1))
    records = without_remarks(first, beginning, dialect)
    return Block(beginning, records, line, decoder, text[len(beginning) - 1 :], unended=True)


class _Window:
    """What has been decoded and not yet been taken. It begins where a record begins. `most` bytes tell what that is."""

    def __init__(self, pieces: Iterator[bytes], decoder: Decoder, most: int) -> None:
        self._pieces = pieces
        self._decoder = decoder
        self.most = most
        self.text = b""
        self.ended = False

    def fill(self, size: int) -> None:
        """At least `size` bytes more, or as many more as there were, so that a long record is not gone through too
        often, if they are needed."""
        parts, wanted = [self.text], max(size, min(len(self.text), self.most + 1 - len(self.text)))
        while wanted > 0 and not self.ended:
            piece = next(self._pieces, None)
            self.ended = piece is None
            parts.append(self._decoder.decode(piece or b"", self.ended))
            wanted -= len(parts[-1])
        self.text = b"".join(parts)

    def drop(self, size: int) -> None:
        self.text = self.text[size:]
        self._decoder.release(self.text)

    def last_line_end(self) -> int:
        """Where the line after it begins; 0 if there is none. What a CR at the end is, the next byte must tell."""
        return max(self.text.rfind(b"\n"), self.text.rfind(b"\r", 0, -1)) + 1

    def skip_line(self) -> None:
        while not (found := [at for end in (b"\n", b"\r") if (at := self.text.find(end)) >= 0]):
            if self.ended:
                self.drop(len(self.text))
                return
            self.drop(len(self.text))
            self.fill(1)
        self.drop(min(found))
        if len(self.text) == 1:
            self.fill(1)
        self.drop(2 if self.text.startswith(b"\r\n") else 1)
