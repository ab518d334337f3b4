"""Text files of any encoding: a byte order mark, else UTF-8, else Windows-1252."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from typing import BinaryIO

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDEST = 4  # bytes of a character in any of them


def read(file: BinaryIO, limit: int) -> Iterator[str]:
    """Reads no more than `limit` characters can take."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    wanted = min(size, (limit + 2) * _WIDEST)
    data = file.read(wanted)
    whole = wanted == size
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            yield _decode(data[len(mark) :], encoding, "replace", whole)
            return
    try:
        yield _decode(data, "utf-8", "strict", whole)
    except UnicodeDecodeError:
        yield _decode(data, "cp1252", "replace", whole)


def _decode(data: bytes, encoding: str, errors: str, whole: bool) -> str:
    """Of a part of a file the last character may be cut; it is left out then."""
    return codecs.getincrementaldecoder(encoding)(errors).decode(data, final=whole)
