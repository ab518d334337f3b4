"""Conditional requests and ranges (RFC 9110 13 and 14), as decisions on header values."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


class NotSatisfiable(Exception):
    """A range that lies behind the end."""


def refusal(headers: Headers, etag: str, modified: datetime) -> int | None:
    """304 or 412 if a GET or HEAD is to be answered so, None if it is to be carried out. `etag` is strong and in its
    quotes. The order of the fields is RFC 9110 13.2.2's."""
    if (tags := _joined(headers, "if-match")) is not None:
        if not _matches(tags, etag, weakly=False):
            return 412
    elif (date := _date(headers, "if-unmodified-since")) is not None and modified.replace(microsecond=0) > date:
        return 412
    if (tags := _joined(headers, "if-none-match")) is not None:
        if _matches(tags, etag, weakly=True):
            return 304
    elif (date := _date(headers, "if-modified-since")) is not None and modified.replace(microsecond=0) <= date:
        return 304
    return None


def wanted_range(headers: Headers, etag: str, size: int) -> tuple[int, int] | None:
    """(start, length) of the range to send, None for the whole.

    The whole is sent, as RFC 9110 14.2 allows, for several ranges at once, for other units and for what cannot be
    read; also if `If-Range` is not exactly this ETag, a date included: dates are too coarse to tell versions apart.
    Raises NotSatisfiable for a range that begins behind the end.
    """
    value = headers.get("range")
    if value is None or headers.get("if-range", etag).strip() != etag:
        return None
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first, last = match[1], match[2]
    if not first:
        if not last or not size:
            return None
        if int(last) == 0:
            raise NotSatisfiable
        start = max(0, size - int(last))
        return start, size - start
    start = int(first)
    end = int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise NotSatisfiable
    return start, min(end, size - 1) - start + 1


def _joined(headers: Headers, name: str) -> str | None:
    values = headers.getlist(name)
    return ", ".join(values) if values else None


def _matches(tags: str, etag: str, *, weakly: bool) -> bool:
    if tags.strip() == "*":
        return True
    return any(tag == etag and (weakly or not weak) for weak, tag in _TAG.findall(tags))


def _date(headers: Headers, name: str) -> datetime | None:
    """None also for what is no date: such a field is ignored."""
    value = headers.get(name)
    if value is None:
        return None
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
