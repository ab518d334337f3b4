"""Text to records and fields, by counting quotes instead of walking: the grammar of docs/reference/csv.md in arrays.

A region is some of the working text that ends in a line end. In it a separator or a line end is one of the grammar if
an even number of quotes lies before it. That is true as long as quotes stand where the grammar wants them, and each of
them can be looked at alone: one that opens must follow a separator, a line end or a quote, one that closes must be
followed by them. Where that fails, the record is broken: it is its first physical line, and after that the counting
begins anew, odd and even perhaps exchanged. Both ways of counting are worked out once, however often they change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.dialect import Dialect

Positions: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]
_LF, _CR = 10, 13
_SHOWN = 4096


@dataclass(frozen=True, slots=True)
class Broken:
    """A record whose quotes are not the grammar's or that is too long, so that it is one physical line: `code`, the
    field it happens in, from 1, and how many lines further down."""

    code: str
    field: int
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """Positions are bytes in the region; `line` counts line ends before a record. Blank lines are left out.

    Field `first[r] + j` is `starts[...]:ends[...]`, without its quotes; where `escaped` it has doubled quotes. The
    records in `broken` have no fields.
    """

    starts: Positions
    ends: Positions
    escaped: Flags | None
    first: Positions
    count: Positions
    begin: Positions
    end: Positions
    line: Positions
    broken: dict[int, Broken]

    def part(self, records: slice) -> Records:
        """Some records that follow each other, with all of the fields."""
        first, last, _ = records.indices(self.begin.size)
        broken = {at - first: one for at, one in self.broken.items() if first <= at < last}
        first_fields, count, line = self.first[records], self.count[records], self.line[records]
        begin, end = self.begin[records], self.end[records]
        return Records(self.starts, self.ends, self.escaped, first_fields, count, begin, end, line, broken)


class Region:
    """`last`: nothing comes after it. Then a quote that is still open is an error, and otherwise the record that it is
    in is left over for the next region, as `taken` and `lines` say when all records were asked for."""

    def __init__(self, text: bytes, dialect: Dialect, limit: int, *, last: bool) -> None:
        self._text = np.frombuffer(text, np.uint8)
        self._limit = limit
        self._last = last
        self._ways: dict[int, _Way] = {}
        self.taken = 0
        self.lines = 0
        separator, quote = dialect.separator.encode(), dialect.quote.encode()
        self._separator_width, self._quote_width = len(separator), len(quote)
        self._line_ends = self._text == _LF
        self._returns: Flags | None = None
        if b"\r" in text:
            self._returns = self._text == _CR
            lone = self._returns.copy()
            lone[:-1] &= ~self._line_ends[1:]
            self._line_ends |= lone
        # Each is known by the place of its last byte.
        self._separators = self._last_bytes(separator)
        self._quotes = self._last_bytes(quote) if quote and quote in text else None
        structural = self._separators | self._line_ends
        if self._quotes is not None:
            structural |= self._quotes
        self._structural = structural
        self._at = np.flatnonzero(structural).astype(np.int32)
        self._is_line_end = self._line_ends[self._at]

    def _last_bytes(self, character: bytes) -> Flags:
        found: Flags = self._text == character[-1]
        width = len(character)
        for back in range(1, width):
            found[back:] &= self._text[:-back] == character[-1 - back]
            found[:back] = False
        return found

    @cached_property
    def _is_quote(self) -> Flags:
        assert self._quotes is not None
        return self._quotes[self._at]

    @cached_property
    def _counted(self) -> Positions:
        """Quotes up to and with each structural character."""
        return np.cumsum(self._is_quote, dtype=np.int32)

    @cached_property
    def _misplaced(self) -> tuple[Flags, Flags]:
        """Quotes that could not open a value, and quotes that could not close one."""
        at = self._at[self._is_quote]
        before = at - self._quote_width
        opens = (before < 0) | self._structural[before]
        first_bytes = self._structural.copy()
        if self._returns is not None:
            first_bytes |= self._returns
        for flags, width in ((self._separators, self._separator_width), (self._quotes, self._quote_width)):
            if width > 1 and flags is not None:
                first_bytes[: 1 - width] |= flags[width - 1 :]
        closes = first_bytes[at + 1]
        return ~opens, ~closes

    @cached_property
    def _ends_of_lines(self) -> Positions:
        """Indices into `_at`."""
        return np.flatnonzero(self._is_line_end).astype(np.int32)

    def _way(self, before: int) -> _Way:
        """The way of counting of a record that the structural character `before` ends the one before of."""
        odd = 0 if self._quotes is None or before < 0 else int(self._counted[before]) & 1
        if odd not in self._ways:
            self._ways[odd] = self._count(odd)
        return self._ways[odd]

    def _count(self, odd: int) -> _Way:
        if self._quotes is None:
            ends = np.arange(self._at.size, dtype=np.int32)
            return _Way(ends, self._ends_of_lines, np.empty(0, np.int32))
        quote = self._is_quote
        inside = (self._counted - quote) & 1 != odd
        ends = np.flatnonzero(~(quote | inside)).astype(np.int32)
        cannot_open, cannot_close = self._misplaced
        wrong = np.where(inside[quote], cannot_close, cannot_open)
        return _Way(ends, ends[self._is_line_end[ends]], np.flatnonzero(quote)[wrong].astype(np.int32))

    def records(self) -> Records:
        return _joined(list(self._runs()))

    def _runs(self) -> Iterator[Records]:
        """Records between broken ones, and broken ones."""
        at, lines = 0, self._ends_of_lines  # `at`: which structural character is the next
        start = 0  # the byte it all begins with
        while start < self._text.size:
            way = self._way(at - 1)
            wrong = int(np.searchsorted(way.wrong, at))
            misplaced = int(way.wrong[wrong]) if wrong < way.wrong.size else None
            low = int(np.searchsorted(way.records, at))
            high = way.records.size if misplaced is None else int(np.searchsorted(way.records, misplaced))
            high = self._within_limit(way.records[low:high], start) + low
            if high > low:
                yield self._between(way, at, start, way.records[low:high])
                at = int(way.records[high - 1]) + 1
                start = int(self._at[at - 1]) + 1
                if start == self._text.size:
                    break
            if misplaced is None and high == way.records.size and not self._last:
                break
            line = int(lines[np.searchsorted(lines, at)])
            yield self._broken(way, at, start, line, misplaced)
            at, start = line + 1, int(self._at[line]) + 1
        self.taken = start
        self.lines = int(np.searchsorted(lines, at))

    def _within_limit(self, ends: Positions, start: int) -> int:
        """How many records there are before the first that is too long."""
        if self._text.size - start <= self._limit:
            return int(ends.size)
        at = self._at[ends]
        long = np.flatnonzero(self._ends_before(at) - self._starts(at, start) > self._limit)
        return int(long[0]) if long.size else int(ends.size)

    def _starts(self, at: Positions, start: int) -> Positions:
        starts = np.empty_like(at)
        starts[:1] = start
        starts[1:] = at[:-1] + 1
        return starts

    def _ends_before(self, at: Positions) -> Positions:
        """Where a field or record ends whose separator or line end has its last byte there."""
        ends = at
        if self._separator_width > 1:
            ends = ends - np.int32(self._separator_width - 1) * self._separators[at]
        if self._returns is not None:
            ends = ends - ((self._text[at] == _LF) & (at > 0) & self._returns[at - 1])
        return ends

    def _between(self, way: _Way, at: int, start: int, records: Positions) -> Records:
        """The records that end where `records` say; the first begins with the byte `start`."""
        low, high = np.searchsorted(way.ends, (at, records[-1] + 1))
        terminators = way.ends[low:high]
        ends_at = self._at[terminators]
        starts, ends = self._starts(ends_at, start), self._ends_before(ends_at)
        last = np.searchsorted(terminators, records).astype(np.int32)
        first = np.zeros_like(last)
        first[1:] = last[:-1] + 1
        begin, end = starts[first], ends[last]
        escaped: Flags | None = None
        if self._quotes is None:
            line = np.arange(records.size, dtype=np.int32) + np.int32(np.searchsorted(self._ends_of_lines, at))
        else:
            counted = self._counted[terminators]
            before = np.empty_like(counted)
            before[0] = self._counted[at - 1] if at else 0
            before[1:] = counted[:-1]
            quotes = counted - before
            width = np.int32(self._quote_width) * (quotes > 0)
            starts, ends = starts + width, ends - width
            if bool((quotes > 2).any()):
                escaped = quotes > 2
            line = np.searchsorted(self._ends_of_lines, np.concatenate(([at], records[:-1] + 1))).astype(np.int32)
        count = last - first + 1
        kept = begin != end
        if not kept.all():
            first, count, begin, end, line = first[kept], count[kept], begin[kept], end[kept], line[kept]
        return Records(starts, ends, escaped, first, count, begin, end, line, {})

    def _broken(self, way: _Way, at: int, start: int, line: int, misplaced: int | None) -> Records:
        end = int(self._ends_before(self._at[line : line + 1])[0])
        number = int(np.searchsorted(self._ends_of_lines, at))
        first = int(np.searchsorted(way.ends, at))
        if end - start > self._limit:
            broken = Broken("record_too_long", 0)
            end = start + _beginning(self._text[start : start + _SHOWN + 1], self._limit)
        elif misplaced is not None and self._at[misplaced] - start < self._limit:
            # With quotes before it that open as many as close, it should have opened a value itself.
            before = int(self._counted[misplaced]) - 1 - (int(self._counted[at - 1]) if at else 0)
            broken = Broken(
                "text_after_quote" if before % 2 else "quote_in_value",
                int(np.searchsorted(way.ends, misplaced)) - first + 1,
                int(np.searchsorted(self._ends_of_lines, misplaced)) - number,
            )
        else:
            broken = Broken("unclosed_quote", int(np.searchsorted(way.ends, line)) - first + 1)
        none = np.empty(0, np.int32)
        one = np.array([start, end, number, 0], np.int32)
        return Records(none, none, None, one[3:], one[3:], one[:1], one[1:2], one[2:3], {0: broken})


@dataclass(frozen=True, slots=True)
class _Way:
    """Indices into the structural characters, rising: all that end a field, those of them that end a record, and
    misplaced quotes."""

    ends: Positions
    records: Positions
    wrong: Positions


def _joined(runs: list[Records]) -> Records:
    if len(runs) == 1:
        return runs[0]
    none = np.empty(0, np.int32)
    if not runs:
        return Records(none, none, None, none, none, none, none, none, {})
    fields = np.cumsum([0] + [run.starts.size for run in runs[:-1]])
    records = np.cumsum([0] + [run.begin.size for run in runs[:-1]]).tolist()
    escaped = None
    if any(run.escaped is not None for run in runs):
        escaped = np.concatenate(
            [np.zeros(run.starts.size, np.bool_) if run.escaped is None else run.escaped for run in runs]
        )
    return Records(
        np.concatenate([run.starts for run in runs]),
        np.concatenate([run.ends for run in runs]),
        escaped,
        np.concatenate([run.first + np.int32(before) for run, before in zip(runs, fields, strict=True)]),
        np.concatenate([run.count for run in runs]),
        np.concatenate([run.begin for run in runs]),
        np.concatenate([run.end for run in runs]),
        np.concatenate([run.line for run in runs]),
        {before + at: broken for run, before in zip(runs, records, strict=True) for at, broken in run.broken.items()},
    )


def _beginning(line: NDArray[np.uint8], limit: int) -> int:
    """How much is kept of a line that is too long: whole characters."""
    end = min(_SHOWN, limit, line.size - 1)
    while end and line[end] & 0xC0 == 0x80:
        end -= 1
    return end
