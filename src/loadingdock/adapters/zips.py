"""Reading zip archives that somebody may have built to be read in two ways (PKWARE APPNOTE 6.3.10).

A zip describes its entries twice: in local headers before the data and in the central directory at the end. Programs
that unpack believe the one or the other, so what one of them calls harmless may be something else to the next. This
reader accepts only archives whose two descriptions agree, whose entries neither overlap nor hide between others, and
whose data end exactly where both say. `zipfile` believes the central directory alone.

Memory is bounded by the number of entries asked for and by pieces of at most 1 MiB.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from loadingdock.adapters import streams

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_TAIL = _END.size + _MAX16  # the end record and the longest comment


class BadZip(Exception):
    """Damaged, or readable in more than one way; the message says where."""


class TooManyEntries(Exception):
    """More entries than were asked for."""


class UnknownMethod(Exception):
    """Compressed by a method that this reader does not know."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry by the central directory. `offset` is the local header's place in the file, `mode` the Unix mode or
    0. `name` has "/" between its parts whatever the archive used."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int

    @property
    def encrypted(self) -> bool:
        return bool(self.flags & 0x41) or self.method == 99

    @property
    def symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Archive:
    """`start` is where the central directory begins."""

    file: BinaryIO
    entries: tuple[Entry, ...]
    start: int

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The entry's bytes in pieces. Raises BadZip for whatever differs between the two descriptions and the data;
        the last piece may have been handed out by then."""
        begin, _ = _data(self.file, entry)
        crc = size = 0
        for piece in _unpacked(self.file, entry, begin):
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > entry.size:
                break
            yield piece
        if size != entry.size or crc != entry.crc:
            raise BadZip(f"the data of {entry.name!r} are not those that the directory describes")

    def check_layout(self) -> None:
        """Raises BadZip if entries overlap, or if something between or behind them could pass for an entry."""
        self.file.seek(0)
        # With something else before the first entry nobody reads from the front, and the signature's four bytes occur
        # in the code of self-extracting archives.
        position = (
            0 if self.file.read(2) == b"PK" else min((entry.offset for entry in self.entries), default=self.start)
        )
        for entry in sorted(self.entries, key=lambda entry: entry.offset):
            if entry.offset < position:
                raise BadZip(f"{entry.name!r} overlaps another entry")
            _refuse_hidden(self.file, position, entry.offset)
            _, position = _data(self.file, entry)
        if position > self.start:
            raise BadZip("an entry reaches into the central directory")
        _refuse_hidden(self.file, position, self.file.seek(0, os.SEEK_END))


def open_zip(file: BinaryIO, max_entries: int) -> Archive | None:
    """The archive in `file`, which may have anything before it; None if there is none. Raises BadZip and
    TooManyEntries."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    looks_like_one = file.read(4) == _LOCAL_SIGNATURE
    base = max(0, size - _TAIL)
    file.seek(base)
    tail = file.read(_TAIL)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        if looks_like_one:
            raise BadZip("it has no central directory")
        return None
    count, length, offset, end = _ending(file, base + at)
    start = end - length
    if start < 0 or start < offset or not _begins_directory(file, start, count):
        if looks_like_one:
            raise BadZip("its end does not point at a central directory")
        return None  # four bytes that happen to look so
    if tail.find(_END_SIGNATURE, max(0, start - base)) != at:
        raise BadZip("it has more than one end")
    return Archive(file, _directory(file, start, end, count, prefix=start - offset, limit=max_entries), start)


def _ending(file: BinaryIO, at: int) -> tuple[int, int, int, int]:
    """(entries, length of the directory, its recorded offset, where it ends)."""
    _, disk, first_disk, _, count, length, offset, _ = _END.unpack(_exactly(file, at, _END.size))
    if disk or first_disk:
        raise BadZip("it is a part of a split archive")
    locator = at - _LOCATOR64.size
    record = locator - _END64.size
    if record < 0 or _exactly(file, locator, 4) != b"PK\x06\x07":
        return count, length, offset, at
    if _exactly(file, record, 4) != b"PK\x06\x06":
        raise BadZip("its 64-bit end is not where it should be")
    _, _, _, _, disk, first_disk, _, *wide = _END64.unpack(_exactly(file, record, _END64.size))
    narrow = ((count, _MAX16), (length, _MAX32), (offset, _MAX32))
    if disk or first_disk or any(n not in (w, most) for (n, most), w in zip(narrow, wide, strict=True)):
        raise BadZip("its two ends differ")
    count, length, offset = wide
    return count, length, offset, record


def _begins_directory(file: BinaryIO, start: int, count: int) -> bool:
    return count == 0 or _exactly(file, start, 4) == _CENTRAL_SIGNATURE


def _directory(file: BinaryIO, start: int, end: int, count: int, *, prefix: int, limit: int) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    position = start
    while position < end:
        if len(entries) == limit:
            raise TooManyEntries(f"more than {limit} entries")
        entry, position = _central(file, position, prefix)
        entries.append(entry)
    if position != end or len(entries) != count:
        raise BadZip("its central directory has another length than its end says")
    return tuple(entries)


def _central(file: BinaryIO, at: int, prefix: int) -> tuple[Entry, int]:
    head = _exactly(file, at, _CENTRAL.size)
    (
        signature,
        made_by,
        _,
        flags,
        method,
        _,
        _,
        crc,
        packed,
        size,
        names,
        extras,
        comments,
        _,
        _,
        attributes,
        offset,
    ) = _CENTRAL.unpack(head)
    if signature != _CENTRAL_SIGNATURE:
        raise BadZip("its central directory is damaged")
    rest = _exactly(file, at + _CENTRAL.size, names + extras)
    raw = rest[:names]
    size, packed, offset = _wide(rest[names:], size, packed, offset)
    name = raw.decode("utf-8" if flags & 0x800 else "cp437", "replace").replace("\\", "/")
    mode = attributes >> 16 if made_by >> 8 in (3, 19) else 0  # Unix, and Darwin
    entry = Entry(name, raw, flags, method, crc, packed, size, offset + prefix, mode)
    return entry, at + _CENTRAL.size + names + extras + comments


def _wide(extra: bytes, *fields: int) -> list[int]:
    """The fields with those at their maximum replaced from the ZIP64 extra field, section 4.5.3."""
    values = list(fields)
    wide = [i for i, value in enumerate(values) if value == _MAX32]
    position = 0
    while wide and position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            if length < 8 * len(wide) or position + 4 + 8 * len(wide) > len(extra):
                raise BadZip("a 64-bit size is missing")
            for n, i in enumerate(wide):
                (values[i],) = struct.unpack_from("<Q", extra, position + 4 + 8 * n)
            break
        position += 4 + length
    return values


def _data(file: BinaryIO, entry: Entry) -> tuple[int, int]:
    """Where the entry's packed data begin and end. Raises BadZip if the local header says anything else than the
    directory."""
    head = _exactly(file, entry.offset, _LOCAL.size)
    signature, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(head)
    rest = _exactly(file, entry.offset + _LOCAL.size, names + extras)
    size, packed = _wide(rest[names:], size, packed)
    said_later = flags & 8  # sizes follow the data, section 4.4.4
    agrees = (
        signature == _LOCAL_SIGNATURE
        and rest[:names] == entry.raw_name
        and method == entry.method
        and flags & 0x49 == entry.flags & 0x49
        and ((crc, packed, size) == (entry.crc, entry.packed, entry.size) or (said_later and not (packed or size)))
    )
    if not agrees:
        raise BadZip(f"the two headers of {entry.name!r} differ")
    begin = entry.offset + _LOCAL.size + names + extras
    return begin, begin + entry.packed


def _unpacked(file: BinaryIO, entry: Entry, begin: int) -> Iterator[bytes]:
    raw = _pieces(file, begin, entry.packed)
    if entry.method == 0:
        yield from raw
        return
    if entry.method not in (8, 12):  # deflate, bzip2
        raise UnknownMethod(f"{entry.name!r} is compressed by method {entry.method}")
    unpack: streams.Decompressor = streams.Inflate() if entry.method == 8 else streams.bunzip2()
    try:
        yield from streams.one(raw, unpack)
    except streams.BadStream as error:
        raise BadZip(f"{entry.name!r}: {error}") from error
    if unpack.unused_data or next(raw, b""):
        raise BadZip(f"the data of {entry.name!r} end elsewhere than the directory says")


def _refuse_hidden(file: BinaryIO, begin: int, end: int) -> None:
    """Raises BadZip if a program that looks for entries from the front would find one between the two places."""
    kept = b""
    for piece in _pieces(file, begin, end - begin):
        if _LOCAL_SIGNATURE in kept + piece:
            raise BadZip("an entry that the directory does not list lies in it")
        kept = (kept + piece)[-3:]


def _pieces(file: BinaryIO, begin: int, length: int) -> Iterator[bytes]:
    end = begin + length
    while begin < end:
        file.seek(begin)  # every time: others read the same file meanwhile
        piece = file.read(min(end - begin, streams.PIECE))
        if not piece:
            raise BadZip("it ends too early")
        begin += len(piece)
        yield piece


def _exactly(file: BinaryIO, at: int, length: int) -> bytes:
    if not 0 <= at <= file.seek(0, os.SEEK_END) - length:
        raise BadZip("it points outside of itself")
    file.seek(at)
    return file.read(length)
