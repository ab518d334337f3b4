"""How many pixels an image claims to have, by its headers alone.

A few hundred bytes can claim billions of pixels, and whoever decodes them pays. Decoders are therefore not asked:
each reader here looks at fixed places, never allocates by a number from the file and gives up (None) on anything odd.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

_MAX_BOXES = 1 << 20  # bytes of HEIF properties that are searched
_MAX_DIRECTORIES = 256  # pictures in one TIFF that are counted
_MAX_FIELDS = 1024  # of one of them
_MAX_SEGMENTS = 4096  # of a JPEG before its frame


def image_pixels(head: bytes) -> int | None:
    """From the first bytes of a file. A JPEG with a long preview, or a TIFF, may need more of it than its head."""
    return pixels_of(io.BytesIO(head))


def pixels_of(file: BinaryIO) -> int | None:
    """Width times height of the largest picture in the file; None for what is no raster image known here."""
    head = _at(file, 0, 32)
    for matches, read in _READERS:
        if matches(head):
            try:
                return max((width * height for width, height in read(file)), default=None)
            except (struct.error, OverflowError, OSError):  # a place that is not in the file
                return None
    return None


def _at(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


Sizes = Iterator[tuple[int, int]]


def _png(file: BinaryIO) -> Sizes:
    # PNG 3rd edition, 11.2.1: IHDR comes first
    if _at(file, 12, 4) == b"IHDR":
        yield struct.unpack(">2I", _at(file, 16, 8))


def _gif(file: BinaryIO) -> Sizes:
    # GIF89a, 18: the logical screen; frames lie inside
    yield struct.unpack("<2H", _at(file, 6, 4))


def _bmp(file: BinaryIO) -> Sizes:
    (header,) = struct.unpack("<I", _at(file, 14, 4))
    if header == 12:
        yield struct.unpack("<2H", _at(file, 18, 4))
    else:
        width, height = struct.unpack("<2i", _at(file, 18, 8))
        yield abs(width), abs(height)  # a negative height: the rows run downwards


def _webp(file: BinaryIO) -> Sizes:
    # RFC 9649, 2.5 to 2.7
    kind = _at(file, 12, 4)
    if kind == b"VP8X":
        data = _at(file, 24, 6)
        yield 1 + int.from_bytes(data[:3], "little"), 1 + int.from_bytes(data[3:6], "little")
    elif kind == b"VP8L":
        (bits,) = struct.unpack("<I", _at(file, 21, 4))
        yield 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = struct.unpack("<2H", _at(file, 26, 4))
        yield width & 0x3FFF, height & 0x3FFF


def _jpeg(file: BinaryIO) -> Sizes:
    # ITU T.81, B.1 and B.2: segments with their length up to the frame header
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker, kind, length = struct.unpack(">BBH", _at(file, position, 4))
        if marker != 0xFF:
            return
        if kind == 0xFF:  # fill
            position += 1
        elif kind == 0x01 or 0xD0 <= kind <= 0xD8:  # alone, without a length
            position += 2
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">2H", _at(file, position + 5, 4))
            yield width, height
            return
        elif kind in (0xD9, 0xDA):
            return
        else:
            position += 2 + length


def _tiff(file: BinaryIO) -> Sizes:
    # TIFF 6.0, section 2; BigTIFF has wider fields
    order = "<" if _at(file, 0, 2) == b"II" else ">"
    (version,) = struct.unpack(order + "H", _at(file, 2, 2))
    count, place, entry = ("H", "I", "HHI") if version == 42 else ("Q", "Q", "HHQ")
    width_of = struct.calcsize(order + place)
    entry_size = struct.calcsize(order + entry) + width_of
    (position,) = struct.unpack(order + place, _at(file, 4 if version == 42 else 8, width_of))
    seen: set[int] = set()
    while position and position not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(position)
        (entries,) = struct.unpack(order + count, _at(file, position, struct.calcsize(order + count)))
        position += struct.calcsize(order + count)
        size = {256: 0, 257: 0}
        table = _at(file, position, min(entries, _MAX_FIELDS) * entry_size)
        for n in range(len(table) // entry_size):
            data = table[n * entry_size : (n + 1) * entry_size]
            tag, kind, _ = struct.unpack_from(order + entry, data)
            if tag in size:
                form = {3: "H", 4: "I", 16: "Q"}.get(kind, "I")
                (size[tag],) = struct.unpack_from(order + form, data, entry_size - width_of)
        yield size[256], size[257]
        (position,) = struct.unpack(order + place, _at(file, position + entries * entry_size, width_of))


def _icon(file: BinaryIO) -> Sizes:
    (count,) = struct.unpack("<H", _at(file, 4, 2))
    for n in range(min(count, 256)):
        width, height, _, _, _, _, _, offset = struct.unpack("<4B2H2I", _at(file, 6 + 16 * n, 16))
        yield width or 256, height or 256
        if _at(file, offset, 4) == b"\x89PNG":  # its own header counts, not the directory
            yield struct.unpack(">2I", _at(file, offset + 16, 8))


def _heif(file: BinaryIO) -> Sizes:
    # ISO/IEC 23008-12, 6.5.3: "ispe" properties somewhere in the meta box; the largest is the image, others are tiles
    position = 0
    for _ in range(64):
        size, kind = struct.unpack(">I4s", _at(file, position, 8))
        if size == 1:
            (size,) = struct.unpack(">Q", _at(file, position + 8, 8))
        if kind == b"meta":
            box = _at(file, position, min(size or _MAX_BOXES, _MAX_BOXES))
            at = box.find(b"\x00\x00\x00\x14ispe")
            while at >= 0:
                yield struct.unpack_from(">2I", box, at + 12)
                at = box.find(b"\x00\x00\x00\x14ispe", at + 20)
            return
        if size < 8:
            return
        position += size


_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO], Sizes]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda head: head.startswith(b"\xff\xd8\xff"), _jpeg),
    (lambda head: head[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP", _webp),
    (lambda head: head[:2] == b"BM", _bmp),
    (lambda head: head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), _tiff),
    (lambda head: head[:4] == b"\x00\x00\x01\x00", _icon),
    (lambda head: head[4:8] == b"ftyp", _heif),
)
