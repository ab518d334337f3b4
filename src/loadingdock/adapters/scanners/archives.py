"""Walking through everything that is packed in a file, within limits.

The walk shows each file to a function, then opens what is an archive and goes on inside. Whatever keeps it from
showing all of the content is a problem to be reported: a file is looked into whole or it is unscannable. A problem
with one entry does not end the walk, as something worse may lie behind it; a limit does.
"""

from __future__ import annotations

import errno
import io
import os
import re
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from loadingdock.adapters import streams
from loadingdock.adapters.scanners import sevenz
from loadingdock.adapters.scanners.limits import Limits
from loadingdock.adapters.zips import BadZip, TooManyEntries, UnknownMethod, open_zip

_IN_MEMORY = 4 << 20  # unpacked entries up to this size are not written to disk


class Kind(StrEnum):
    """Why something cannot be looked into whole."""

    LIMIT = "over a limit"
    ENCRYPTED = "encrypted"
    UNSAFE = "unsafe entry"
    DAMAGED = "damaged or ambiguous"
    UNKNOWN = "unknown method"


@dataclass(frozen=True, slots=True)
class Problem:
    kind: Kind
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class OverLimit(Exception):
    """Ends the walk: the rest is not unpacked."""


class Walk:
    """One walk. `look(file, name)` is called with the file itself first, then with everything in it, outer before
    inner; what it raises ends the walk. Temporary files have no name and are gone with the process."""

    def __init__(self, look: Callable[[BinaryIO, str], None], limits: Limits, folder: Path | None = None) -> None:
        self.problems: list[Problem] = []
        self.limits = limits
        self.folder = folder
        self._look = look
        self._entries = 0
        self._unpacked = 0
        self._packed = 0

    def through(self, file: BinaryIO, name: str = "") -> None:
        self._packed = file.seek(0, os.SEEK_END)
        try:
            self.enter(file, name, 0)
        except OverLimit as limit:
            self.note(Kind.LIMIT, str(limit))

    def enter(self, file: BinaryIO, name: str, depth: int) -> None:
        self._look(file, name)
        opener = _opener(file)
        if opener is None:
            return
        place = _Place(self, name, depth)
        try:
            opener(file, place)
        except (BadZip, streams.BadStream, tarfile.TarError, sevenz.BadArchive) as error:
            self.note(Kind.DAMAGED, f"{name or 'the file'}: {error}")
        except sevenz.Encrypted as error:
            self.note(Kind.ENCRYPTED, f"{name or 'the file'}: {error}")
        except TooManyEntries as error:
            raise OverLimit(str(error)) from error
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # the machine's: no room, a disk that fails
                raise
            self.note(Kind.DAMAGED, f"{name or 'the file'}: it points outside of itself")

    def note(self, kind: Kind, detail: str) -> None:
        if len(self.problems) < 100:
            self.problems.append(Problem(kind, detail[:300]))

    def count(self) -> None:
        self._entries += 1
        if self._entries > self.limits.entries:
            raise OverLimit(f"more than {self.limits.entries} entries")

    def charge(self, length: int, size: int) -> None:
        """`length` more bytes were unpacked, which makes `size` of this entry."""
        limits = self.limits
        self._unpacked += length
        if size > limits.entry:
            raise OverLimit(f"an entry is larger than {limits.entry} bytes")
        if self._unpacked > limits.unpacked:
            raise OverLimit(f"more than {limits.unpacked} bytes unpacked")
        if self._unpacked > max(limits.ratio_from, limits.ratio * self._packed):
            raise OverLimit(f"unpacked more than {limits.ratio} times as large as packed")


@dataclass(frozen=True, slots=True)
class _Place:
    """An archive that is open: its name in the walk, and how deep it lies."""

    walk: Walk
    name: str
    depth: int

    def refuse(self, name: str, link: bool) -> bool:
        """Notes what makes an entry unsafe to unpack by name or by kind; True if it must not be unpacked."""
        self.walk.count()
        if link:
            self.walk.note(Kind.UNSAFE, f"{name!r} is a link or a device")
        elif _leaves(name):
            self.walk.note(Kind.UNSAFE, f"{name!r} leads out of the archive's folder")
        return link

    def start(self, name: str) -> _Unpacked:
        if self.depth == self.walk.limits.depth:
            raise OverLimit(f"archives are packed more than {self.walk.limits.depth} deep")
        return _Unpacked(self.walk, f"{self.name}/{name}", self.depth + 1)

    def take(self, name: str, pieces: Iterator[bytes]) -> None:
        sink = self.start(name)
        try:
            for piece in pieces:
                sink.write(piece)
            sink.done()
        finally:
            sink.close()


class _Unpacked:
    """One entry as it is unpacked: in memory while it is small, then in an unnamed file."""

    def __init__(self, walk: Walk, name: str, depth: int) -> None:
        self._walk = walk
        self._name = name
        self._depth = depth
        self._size = 0
        self._into: BinaryIO = io.BytesIO()

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        self._walk.charge(len(piece), self._size)
        if self._size > _IN_MEMORY and isinstance(self._into, io.BytesIO):
            file = tempfile.TemporaryFile(dir=self._walk.folder)  # noqa: SIM115  closed by `close`
            file.write(self._into.getbuffer())
            self._into = file
        self._into.write(piece)

    def done(self) -> None:
        self._into.flush()  # others read it by its descriptor
        try:
            self._walk.enter(self._into, self._name, self._depth)
        finally:
            self.close()

    def close(self) -> None:
        self._into.close()


# --- formats -------------------------------------------------------------------------------------


def _opener(file: BinaryIO) -> Callable[[BinaryIO, _Place], None] | None:
    """How to open the file, None if it is no archive known here. Only a zip may have something before it."""
    file.seek(0)
    head = file.read(tarfile.BLOCKSIZE)
    for magic, new in _STREAMS:
        if magic.match(head):
            return lambda file, place: place.take("content", streams.all_of(_pieces(file), new))
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        return _seven_zip
    if _is_tar(head):
        return _tar
    return _zip


_STREAMS: tuple[tuple[re.Pattern[bytes], Callable[[], streams.Decompressor]], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), streams.gunzip),
    # The level alone would also match text that begins with "BZh1": a block or the end must follow.
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), streams.bunzip2),
    (re.compile(rb"\xfd7zXZ\0"), streams.unxz),
    (re.compile(rb"\x28\xb5\x2f\xfd"), streams.unzstd),
)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(streams.PIECE):
        yield piece


def _seven_zip(file: BinaryIO, place: _Place) -> None:
    file.seek(0)
    sevenz.unpack(file, refuse=lambda name, link: place.refuse(name, link) or _leaves(name), start=place.start)


def _zip(file: BinaryIO, place: _Place) -> None:
    archive = open_zip(file, place.walk.limits.entries)
    if archive is None:
        return
    for entry in archive.entries:
        if place.refuse(entry.name, entry.symlink):
            continue
        if entry.encrypted:
            place.walk.note(Kind.ENCRYPTED, f"{entry.name!r} needs a password")
            continue
        try:
            place.take(entry.name, archive.read(entry))
        except UnknownMethod as error:
            place.walk.note(Kind.UNKNOWN, str(error))
        except BadZip as error:
            place.walk.note(Kind.DAMAGED, str(error))
    archive.check_layout()


def _tar(file: BinaryIO, place: _Place) -> None:
    file.seek(0)
    try:
        # Any: the list of members, which would grow with the archive, is no public attribute.
        archive: Any = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  `file` is not ours to close
        while (member := archive.next()) is not None:
            archive.members = []
            if member.size < 0:
                raise tarfile.ReadError("a negative size")
            special = not (member.isreg() or member.isdir()) or member.issparse()
            if not place.refuse(member.name, special) and member.isreg():
                place.take(member.name, _pieces(archive.extractfile(member)))
        file.seek(archive.offset)
    except (ValueError, ArithmeticError, LookupError, struct.error) as error:
        raise tarfile.ReadError(f"it cannot be read ({type(error).__name__})") from error
    # The library ends quietly at whatever is no header; others go on.
    while piece := file.read(streams.PIECE):
        if piece.strip(b"\0"):
            raise tarfile.ReadError("something follows its end")


def _is_tar(head: bytes) -> bool:
    """By the checksum of the first header, which the oldest tar files have as well."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _leaves(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return ".." in parts or parts[0] == "" or parts[0].endswith(":") or "\0" in name
