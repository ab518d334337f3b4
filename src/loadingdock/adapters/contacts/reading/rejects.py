"""Rejected records as files: a CSV that can be corrected and sent again as it is, and JSON for programs."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any, Protocol

from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.outcome import RejectedRow, RowError
from loadingdock.adapters.contacts.reading.remarks import remark

_NOT_REPEATED = " Only the first bytes of this record were kept, so it is not repeated here."


class Target(Protocol):
    """A file that takes bytes."""

    def write(self, data: bytes, /) -> object: ...


class RejectsCsv:
    """The file's own bytes of each record, behind a remark with its line and the reasons, which the reader passes over:
    read with the parameters of the original the file has exactly the records that were rejected.

    `encoding`, `bom` and `header` are the Reader's of the original. Values are not made safe for spreadsheets: what is
    sent again must be what it was. A record that was not kept as a whole has a remark alone.

    Nothing is written before the first record. The target stays open when this is closed.
    """

    def __init__(
        self, target: Target, dialect: Dialect, encoding: str, bom: bytes = b"", header: bytes | None = None
    ) -> None:
        self._target = target
        # What the encoding has no bytes for the file does not have either.
        self._dialect = dialect if _encodable(dialect.quote, encoding) else replace(dialect, quote="")
        self._encoding = encoding
        self._end = "\r\n".encode(encoding)
        self._unit = len(self._end) // 2
        self._head = bom + (header + self._end if header is not None else b"")
        self._torn = b""

    def add(self, row: RejectedRow) -> None:
        if self._head:
            self._target.write(self._head)
            self._head = b""
        line = self._remark(row) + self._end
        if row.whole and len(row.raw) % self._unit:
            # UTF-16 that ends within a character: what stood behind it would be shifted by a byte.
            self._torn = line + row.raw
        else:
            self._target.write(line + row.raw + self._end if row.whole else line)

    def close(self) -> None:
        if self._torn:
            self._target.write(self._torn)
            self._torn = b""

    def _remark(self, row: RejectedRow) -> bytes:
        text = f"line {row.line}: " + " ".join(map(_told, row.errors)) + ("" if row.whole else _NOT_REPEATED)
        # Escapes may have the quote in them, so it is doubled after them.
        escaped = " ".join(text.splitlines()).encode(self._encoding, "backslashreplace").decode(self._encoding)
        return remark(escaped, self._dialect).encode(self._encoding)


class RejectsJson:
    """An object a line, in UTF-8: `outcome`, `line`, `ordinal`, `errors` with `column`, `code` and `reason`, and `raw`,
    the record as text; `raw_base64` instead, its bytes, where they are not the encoding's. `whole` is false where only
    the first of them were kept."""

    def __init__(self, target: Target, encoding: str) -> None:
        self._target = target
        self._encoding = encoding

    def add(self, row: RejectedRow) -> None:
        found: dict[str, Any] = {
            "outcome": "rejected",
            "line": row.line,
            "ordinal": row.ordinal,
            "errors": [{"column": one.column, "code": one.code, "reason": one.reason} for one in row.errors],
            "whole": row.whole,
        }
        try:
            found["raw"] = row.raw.decode(self._encoding)
        except UnicodeDecodeError:
            found["raw_base64"] = base64.b64encode(row.raw).decode()
        self._target.write(json.dumps(found, ensure_ascii=False).encode() + b"\n")

    def close(self) -> None:
        """There is nothing left to write."""


def _told(error: RowError) -> str:
    return (f"{error.column} ({error.code})" if error.column is not None else error.code) + f": {error.reason}"


def _encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
