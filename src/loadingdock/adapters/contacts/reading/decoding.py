"""Any encoding to the form that is worked on, and back.

The working form is UTF-8 in which bytes that could not be decoded stay visible: a file in UTF-8 is taken as it is, and
with any other encoding such a byte becomes the lone surrogate U+DC00 + byte, which UTF-8 has no valid form for. Either
way a record with undecodable bytes is one that is not valid UTF-8, and its own bytes can be had back.
"""

from __future__ import annotations

import codecs
import re
import sys
import threading
from array import array
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.outcome import FileRefused

# Behind some of Python's names are no text encodings, or such as hide a comma or a line end in other characters.
_REFUSED = frozenset(
    {"charmap", "idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
_MARKS = (  # longest first: UTF-32's little-endian one begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNMARKED = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}
_ESCAPED = [chr(0xDC00 + byte) for byte in range(256)]
_ESCAPES = re.compile("([\ud800-\udfff]+)")
_HANDLER, _RESTORE = "loadingdock.contacts.escape", "loadingdock.contacts.restore"


class Decoder(Protocol):
    def decode(self, data: bytes, final: bool = False) -> bytes:
        """The next bytes of the file in the working form."""

    def original(self, working: bytes) -> bytes:
        """The file's own bytes of a record."""

    def offsets(self, text: bytes, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the file the undecodable bytes are that stand at these positions of `text`, the last of what has
        been decoded."""

    def release(self, rest: bytes) -> None:
        """Nothing before `rest` will be asked for again."""


def lookup(encoding: str) -> str:
    """Python's name of it. Raises FileRefused."""
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError):  # ValueError: a name with NUL in it
        info = None
    # _is_text_encoding: what bytes.decode itself looks at, to keep base64 and its like out
    if info is None or not info._is_text_encoding or info.name.replace("_", "-") in _REFUSED:
        raise FileRefused(
            "unknown_encoding",
            f"{encoding[:60]!r} is no text encoding known here; use a name such as UTF-8, windows-1252 or UTF-16.",
            "encodingType",
        )
    return info.name


def marked(head: bytes, encoding: str) -> tuple[bytes, str]:
    """The byte order mark that the file begins with, or nothing, and the encoding to read it in: the mark decides.
    Raises FileRefused."""
    name = lookup(encoding)
    for mark, says in _MARKS:
        # FF FE 00 00 is UTF-16's mark and a NUL where UTF-16 was said
        if head.startswith(mark) and not (says == "utf-32-le" and name.startswith("utf-16")):
            return mark, says
    return b"", _UNMARKED.get(name, name)


def decoder(name: str, skipped: int) -> Decoder:
    """For a name as `marked` gives it; `skipped` bytes of the file lie before those decoded first."""
    if name == "utf-8":
        return _Utf8(skipped)
    table = _table(name)
    return _Codec(name, skipped) if table is None else _Table(name, table, skipped)


class _Utf8:
    def __init__(self, skipped: int) -> None:
        self._seen = skipped

    def decode(self, data: bytes, final: bool = False) -> bytes:
        self._seen += len(data)
        return data

    def original(self, working: bytes) -> bytes:
        return working

    def offsets(self, text: bytes, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._seen - len(text) + positions

    def release(self, rest: bytes) -> None: ...


def _table(name: str) -> str | None:
    """256 characters, for an encoding of one byte each; what it leaves undefined is escaped there."""
    if name == "iso8859-1":
        return "".join(map(chr, range(256)))
    if name == "ascii":
        return "".join(map(chr, range(128))) + "".join(_ESCAPED[128:])
    module = sys.modules.get(codecs.lookup(name).incrementaldecoder.__module__)
    table: str | None = getattr(module, "decoding_table", None)
    if table is None:
        return None
    return "".join(_ESCAPED[byte] if char == "\ufffe" else char for byte, char in enumerate(table.ljust(256, "\ufffe")))


class _Table:
    """One byte, one character: no state, no error, and offsets are counts of characters."""

    def __init__(self, name: str, table: str, skipped: int) -> None:
        self._name = name
        self._table = table
        self._seen = skipped

    def decode(self, data: bytes, final: bool = False) -> bytes:
        self._seen += len(data)
        return codecs.charmap_decode(data, "strict", self._table)[0].encode("utf-8", "surrogatepass")

    def original(self, working: bytes) -> bytes:
        return _encoded(working, self._name)

    def offsets(self, text: bytes, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        characters = np.cumsum((np.frombuffer(text, np.uint8) & 0xC0) != 0x80)  # up to and with each byte
        offsets: NDArray[np.int64] = self._seen - characters[-1] + characters[positions] - 1
        return offsets

    def release(self, rest: bytes) -> None: ...


class _Codec:
    """Any other: offsets of undecodable bytes are noted as they are met."""

    def __init__(self, name: str, skipped: int) -> None:
        self._name = name
        self._inner = codecs.getincrementaldecoder(name)(_HANDLER)
        self._unit = len("\n".encode(name))
        self._seen = skipped
        self._escaped = array("q")  # the offset of each, since the last release

    def decode(self, data: bytes, final: bool = False) -> bytes:
        self._seen += len(data)
        _DECODING.now = self
        try:
            text = self._inner.decode(data, final)
            while final and self._inner.getstate()[0]:  # what follows a byte that began a character which never came
                text += self._inner.decode(b"", final)
        except UnicodeError as error:  # such as of ISO-2022 that has shifts to what nobody knows: where is not said
            raise FileRefused(
                "not_decodable", f"The file is not in {self._name}; name the encoding that it has.", "encodingType"
            ) from error
        return text.encode("utf-8", "surrogatepass")

    def escape(self, error: UnicodeDecodeError) -> tuple[str, int]:
        """What stands for undecodable bytes, and where it goes on behind them."""
        # It may have kept some bytes from before, so only the end of what it sees has a known place.
        data, begin, end = error.object, error.start, error.end
        start = self._seen - len(data) + begin
        if self._unit == 1:
            # Of what the codec takes for a character that is cut off, the rest may well be a quote or a line end.
            self._escaped.append(start)
            return _ESCAPED[data[begin]], begin + 1
        self._escaped.extend(range(start, start + end - begin))
        return "".join(_ESCAPED[byte] for byte in data[begin:end]), end

    def original(self, working: bytes) -> bytes:
        return _encoded(working, self._name)

    def offsets(self, text: bytes, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        escapes = np.flatnonzero(_escapes(text))
        known = np.frombuffer(self._escaped, np.int64)
        return known[known.size - escapes.size + escapes.searchsorted(positions)]

    def release(self, rest: bytes) -> None:
        if self._escaped:
            del self._escaped[: len(self._escaped) - int(np.count_nonzero(_escapes(rest)))]


def _escapes(working: bytes) -> NDArray[np.bool_]:
    """Where a byte is escaped: ED with B0 or more behind it is no character's beginning."""
    data = np.frombuffer(working, np.uint8)
    found: NDArray[np.bool_] = (data[:-1] == 0xED) & (data[1:] >= 0xB0)
    return found


def _encoded(working: bytes, name: str) -> bytes:
    text = working.decode("utf-8", "surrogatepass")
    return b"".join(_parts(text, name))


def _parts(text: str, name: str) -> Iterator[bytes]:
    for part in _ESCAPES.split(text):
        if part and "\ud800" <= part[0] <= "\udfff":
            yield bytes(ord(char) & 0xFF for char in part)
        else:
            yield part.encode(name, _RESTORE)


_DECODING = threading.local()  # which decoder an error handler, being one for all, is called for


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    current: _Codec = _DECODING.now
    return current.escape(error)


def _restore(error: UnicodeError) -> tuple[bytes, int]:
    """Python's ISO-2022 takes a byte from 80 on for the character of that number, which it does not write."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return bytes(ord(char) & 0xFF for char in error.object[error.start : error.end]), error.end


codecs.register_error(_HANDLER, _escape)
codecs.register_error(_RESTORE, _restore)
