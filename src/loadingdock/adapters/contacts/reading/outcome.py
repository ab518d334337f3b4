"""What becomes of a file: rows, errors as data, totals. Errors in rows are never exceptions."""

from __future__ import annotations

from dataclasses import dataclass


class FileRefused(Exception):
    """The file as a whole cannot be read. `code` is a word for machines, `field` the parameter that is to blame, if one
    is, and `str(error)` a sentence. What was read before it came stays true.

    Codes: bad_dialect, unknown_encoding, not_decodable, not_decompressible, too_compressed, no_header, bad_header,
    no_names, duplicate_name, unknown_column, too_many_columns.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class RowError:
    """`column` is None where the whole record is wrong."""

    column: str | None
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """`ordinal` counts records from 1, `line` physical lines from 1. `raw` are the file's own bytes without the line
    end: with `whole` unset they are only the first of a line that is too long."""

    ordinal: int
    line: int
    raw: bytes
    errors: tuple[RowError, ...]
    whole: bool = True


@dataclass(slots=True)
class Totals:
    """As far as batches have been taken, but for `bytes_read`, which is what was read of the file as it is stored:
    progress is that against the file's size. `records = good + rejected`; neither counts the header."""

    records: int = 0
    good: int = 0
    rejected: int = 0
    bytes_read: int = 0
