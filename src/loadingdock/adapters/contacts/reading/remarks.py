"""Remarks: lines of a file that are no records. A file of rejected records has one before each of them, with reasons.

Where there is a quote a remark is one quoted value: a record before it whose quote was never closed ends there, since a
quote that has text behind it closes nothing. So no record runs into the next, however broken it is.
"""

from __future__ import annotations

import re

import numpy as np

from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.records import Records

_MARK = "#loadingdock rejected "


def mark(dialect: Dialect) -> str:
    """What a remark begins with, in quotes or not. Neither the quote nor the separator is in it, so that it means the
    same in both and is text where it stands behind a quote."""
    return _MARK.replace(dialect.quote, "").replace(dialect.separator, "")


def remark(text: str, dialect: Dialect) -> str:
    """A line of it, without the line end; `text` has none."""
    quote = dialect.quote
    return quote + mark(dialect) + text.replace(quote, quote * 2) + quote


def without_remarks(records: Records, text: bytes, dialect: Dialect) -> Records:
    """Those of `text`, but for remarks: records of one line that begin as one."""
    sign = mark(dialect).encode()
    if sign not in text:
        return records
    quote = re.escape(dialect.quote.encode())
    begins = np.fromiter((found.start() for found in re.finditer(b"(?:%b)?%b" % (quote, sign), text)), np.int64)
    candidates = np.flatnonzero(np.isin(records.begin, begins))
    ends = zip(candidates.tolist(), records.begin[candidates], records.end[candidates], strict=True)
    remarks = [row for row, begin, end in ends if not re.search(b"[\r\n]", text[begin:end])]
    return records.but(remarks)
