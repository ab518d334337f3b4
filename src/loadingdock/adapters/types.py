"""Type detection: libmagic, and what libmagic cannot be relied on for.

Versions of libmagic differ about SVG without a prolog, the brands of HEIF, icons and office documents. For these the
rules here are fixed, so that one upload has one type wherever the service runs.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from loadingdock.adapters.pixels import pixels_of
from loadingdock.adapters.zips import Archive, BadZip, TooManyEntries, UnknownMethod, open_zip
from loadingdock.core import types

HEAD = 64 * 1024  # bytes of a file that are shown to libmagic
# Several of libmagic's patterns take quadratic time on blanks: 8 KiB of line ends cost half a second of CPU.
_BLANKS = re.compile(rb"(\s{32})\s+")
_MAX_ENTRIES = 20_000
_MAX_PART = 1 << 20  # bytes of [Content_Types].xml, of a mimetype entry


class MagicDetector:
    """libmagic from the pylibmagic wheel with its own database, or the system's where there is no wheel."""

    def __init__(self) -> None:
        self._magic = _libmagic()

    async def detect(self, head: bytes, name: str) -> str:
        return await asyncio.to_thread(self._detect, head, name, None)

    async def detect_file(self, path: Path, name: str) -> str:
        return await asyncio.to_thread(self._detect_file, path, name)

    def of_name(self, name: str) -> str | None:
        return types.type_of_name(name)

    async def pixels(self, path: Path, content_type: str) -> int | None:
        if not types.canonical(content_type).startswith("image/"):
            return None
        return await asyncio.to_thread(_pixels, path)

    def _detect_file(self, path: Path, name: str) -> str:
        try:
            with path.open("rb") as file:
                return self._detect(file.read(HEAD), name, file)
        except OSError:
            return types.UNKNOWN

    def _detect(self, head: bytes, name: str, file: BinaryIO | None) -> str:
        if not head:
            return types.EMPTY
        head = head[:HEAD]
        found = _by_signature(head) or self._by_magic(head)
        if found in ("application/zip", types.UNKNOWN) or found in _CONTAINED or head.startswith(b"PK\x03\x04"):
            inner = _in_zip(file) if file is not None else _at_front_of_zip(head, name)
            return inner or found
        named = types.type_of_name(name)
        if named and types.textual(named) and types.textual(found) and types.accepts(named, found):
            return named  # text is what its name says
        return found

    def _by_magic(self, head: bytes) -> str:
        try:
            return types.canonical(self._magic(head if b"\0" in head else _BLANKS.sub(rb"\1", head)))
        except Exception:
            # The binding raises its own and ctypes' errors for what it cannot read; the port knows only "unknown".
            return types.UNKNOWN


class MagikaDetector(MagicDetector):
    """Google's model in place of libmagic's rules; needs the extra `magika`."""

    def __init__(self) -> None:
        magika: Any = importlib.import_module("magika")
        model = magika.Magika()
        self._magic = lambda head: str(model.identify_bytes(head).output.mime_type)


def _pixels(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            return pixels_of(file)
    except OSError:
        return None


def _libmagic() -> Callable[[bytes], str]:
    """Loads the wheel's library without leaving its traces: importing pylibmagic changes the search path of this
    process and of every child, and replaces the constructor of ctypes' libraries."""
    environment = dict(os.environ)
    constructor = ctypes.CDLL.__init__
    database: str | None = None
    try:
        try:
            wheel: Any = importlib.import_module("pylibmagic")
            database = str(wheel.data.joinpath("magic.mgc"))
        except (ImportError, OSError):
            pass  # no wheel for this platform: the system's library and database
        magic: Any = importlib.import_module("magic")
    finally:
        os.environ.clear()
        os.environ.update(environment)
        ctypes.CDLL.__init__ = constructor  # type: ignore[method-assign]  # puts back what pylibmagic replaced
    reader = magic.Magic(mime=True, magic_file=database)  # has a lock of its own
    detect: Callable[[bytes], str] = reader.from_buffer
    return detect


# --- bytes that libmagic's versions disagree about -----------------------------------------------

# Atomic groups: what is before the root element can be read in one way only, so hostile prologs cost linear time.
_SVG = re.compile(
    rb"\s*+(?>(?>(?><\?xml[^>]*>)|(?><!--.*?-->)|(?><!DOCTYPE\s+svg[^>\[]*(?:\[[^\]]*\])?\s*>))\s*+)*+"
    rb"<(?:[\w.-]+:)?svg[\s>]",
    re.DOTALL,
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic-sequence",
    b"hevx": "image/heic-sequence",
    b"mif1": "image/heif",
    b"msf1": "image/heif-sequence",
}


def _by_signature(head: bytes) -> str | None:
    if len(head) == 1:  # libmagic looks at nothing that short
        return "text/plain" if head.isascii() and (head.isspace() or head.decode().isprintable()) else None
    if head[:5] == b"%PDF-":  # libmagic says the same, at forty times the cost
        return "application/pdf"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if head[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return "image/bmp"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "image/tiff"
    if head[:4] == b"\x00\x00\x01\x00" and len(head) >= 10 and 0 < head[4] < 64 and not (head[5] or head[9]):
        return "image/vnd.microsoft.icon"
    if head[4:8] == b"ftyp":
        return _heif(head)
    if _SVG.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "image/svg+xml"
    return None


_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))


def _heif(head: bytes) -> str | None:
    """By the major brand, or the compatible ones where that is the general one (ISO/IEC 23008-12, 10.2)."""
    size = min(int.from_bytes(head[:4], "big"), len(head), 256)
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]
    if brands[0] not in _BRANDS:
        return None
    if brands[0] in (b"mif1", b"msf1"):
        brands.sort(key=lambda brand: brand in (b"mif1", b"msf1"))
    return next(_BRANDS[brand] for brand in brands if brand in _BRANDS)


# --- containers ----------------------------------------------------------------------------------

# The content type of the main part tells the document (ECMA-376 part 2, and MS-OFFMACRO2 for those with macros).
_MAIN_PARTS = (
    (types.DOCX, b"officedocument.wordprocessingml.document.main+xml"),
    (types.XLSX, b"officedocument.spreadsheetml.sheet.main+xml"),
    (types.PPTX, b"officedocument.presentationml.presentation.main+xml"),
    ("application/vnd.ms-word.document.macroenabled.12", b"ms-word.document.macroEnabled.main+xml"),
    ("application/vnd.ms-excel.sheet.macroenabled.12", b"ms-excel.sheet.macroEnabled.main+xml"),
    ("application/vnd.ms-powerpoint.presentation.macroenabled.12", b"ms-powerpoint.presentation.macroEnabled.main+xml"),
)
_FOLDERS = {types.DOCX: b"word/", types.XLSX: b"xl/", types.PPTX: b"ppt/"}
_CONTAINED = frozenset(type for type, _ in _MAIN_PARTS)
_MIMETYPE = re.compile(rb"application/(epub\+zip|vnd\.oasis\.opendocument\.[a-z-]+)")


def _in_zip(file: BinaryIO) -> str | None:
    """What the archive is by its own account; `application/zip` if it says nothing, None if it cannot be read."""
    try:
        archive = open_zip(file, _MAX_ENTRIES)
        if archive is None:
            return None
        if (content_types := _part(archive, b"[Content_Types].xml")) is not None:
            return next((type for type, main in _MAIN_PARTS if main in content_types), "application/zip")
        if _MIMETYPE.fullmatch(mimetype := (_part(archive, b"mimetype") or b"").strip()):
            return mimetype.decode("ascii")
        if any(entry.raw_name == b"META-INF/MANIFEST.MF" for entry in archive.entries):
            return "application/java-archive"
        return "application/zip"
    except (BadZip, TooManyEntries, UnknownMethod):
        return None


def _part(archive: Archive, name: bytes) -> bytes | None:
    entry = next((entry for entry in archive.entries if entry.raw_name == name), None)
    if entry is None or entry.encrypted or entry.size > _MAX_PART:
        return None
    return b"".join(archive.read(entry))


def _at_front_of_zip(head: bytes, name: str) -> str | None:
    """A guess from the first entries alone, helped by the name, for the time before the whole file is there."""
    if not head.startswith(b"PK\x03\x04"):
        return None
    if head[30:38] == b"mimetype" and (found := _MIMETYPE.match(head, 38)):
        return found.group().decode("ascii")
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        named = types.type_of_name(name)
        if named in _CONTAINED:
            return named
        return next((type for type, folder in _FOLDERS.items() if folder in head), "application/zip")
    return "application/zip"
