"""Text to records and fields, by counting quotes instead of walking: the grammar of docs/reference/csv.md in arrays.

A region is some of the working text that ends in a line end. In it a separator or a line end is one of the grammar if
an even number of quotes lies before it. That is true as long as quotes stand where the grammar wants them, and each of
them can be looked at alone: one that opens must follow a separator, a line end or a quote, one that closes must be
followed by them. Where that fails, the record is broken: it is its first physical line, and after that the counting
begins anew, odd and even perhaps exchanged. Both ways of counting are worked out once, however often they change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.records import Broken, Flags, Positions, Records
from loadingdock.adapters.contacts.reading.remarks import mark

_LF, _CR = 10, 13
_SHOWN = 4096  # bytes of a line that is too long
_QUOTES = 1 << 19  # looked at at once: a record may have millions


class Region:
    """`last`: nothing comes after it. Then a quote that is still open is an error, and otherwise the record that it is
    in is left over for the next region, as `taken` and `lines` say when all records were asked for; and more than that
    if it `stopped` at too many broken ones."""

    def __init__(self, text: bytes, dialect: Dialect, limits: Limits, *, last: bool) -> None:
        self._text = np.frombuffer(text, np.uint8)
        self._limit = limits.record
        self._most_broken = limits.broken
        self._last = last
        self._ways: dict[int, _Way] = {}
        self.stopped = False
        self.taken = 0
        self.lines = 0
        separator, quote = dialect.separator.encode(), dialect.quote.encode()
        self._separator_width, self._quote_width = len(separator), len(quote)
        self._remark = quote + mark(dialect).encode()
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
        # With separators of one byte nobody asks for them alone.
        self._structural = self._separators.copy() if self._separator_width > 1 else self._separators
        self._structural |= self._line_ends
        if self._quotes is not None:
            self._structural |= self._quotes
        self._at = np.flatnonzero(self._structural)
        self._is_line_end = self._line_ends.take(self._at)

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
        return self._quotes.take(self._at)

    @cached_property
    def _quotes_at(self) -> Positions:
        """Indices into `_at`."""
        return np.flatnonzero(self._is_quote)

    @cached_property
    def _others_at(self) -> tuple[Positions, Positions]:
        """Indices into `_at` of all but quotes, and how many quotes are before each."""
        others = np.flatnonzero(~self._is_quote)
        return others, others - np.arange(others.size)

    @cached_property
    def _first_bytes(self) -> Flags:
        """Where something structural begins."""
        firsts = self._structural
        for flags, width in ((self._separators, self._separator_width), (self._quotes, self._quote_width)):
            if width > 1 and flags is not None:
                firsts = firsts.copy() if firsts is self._structural else firsts
                firsts[: 1 - width] |= flags[width - 1 :]
        return firsts if self._returns is None else firsts | self._returns

    @cached_property
    def _ends_of_lines(self) -> Positions:
        """Indices into `_at`."""
        return np.flatnonzero(self._is_line_end)

    def _quotes_before(self, at: int) -> int:
        return 0 if self._quotes is None else int(self._quotes_at.searchsorted(at))

    def _way(self, at: int) -> _Way:
        """The way of counting for a record that begins with this structural character, or before it."""
        odd = self._quotes_before(at) & 1
        if odd not in self._ways:
            self._ways[odd] = self._count(odd)
        return self._ways[odd]

    def _count(self, odd: int) -> _Way:
        none = np.empty(0, np.int64)
        if self._quotes is None:
            return _Way(np.arange(self._at.size), none, self._ends_of_lines, self._ends_of_lines, none)
        ends, quotes = self._others_at
        outside = quotes & 1 == odd
        if not outside.all():
            ends, quotes = ends[outside], quotes[outside]
        last = np.flatnonzero(self._is_line_end.take(ends))
        misplaced = self._misplaced(self._quotes_at[odd::2], self._quotes_at[1 - odd :: 2])
        return _Way(ends, quotes, ends.take(last), last, misplaced)

    def _misplaced(self, opening: Positions, closing: Positions) -> Positions:
        found = [np.empty(0, np.int64)]
        for low in range(0, max(opening.size, closing.size), _QUOTES):
            opens, closes = opening[low : low + _QUOTES], closing[low : low + _QUOTES]
            before = self._at.take(opens) - self._quote_width
            found.append(opens[~(self._structural.take(before) | (before < 0))])
            found.append(closes[~self._first_bytes.take(self._at.take(closes) + 1)])
        return np.sort(np.concatenate(found))

    def records(self) -> Records:
        runs: list[_Run] = []
        broken: list[_Line] = []
        at, lines = 0, self._ends_of_lines  # `at`: which structural character is the next
        start = 0  # the byte it all begins with
        while start < self._text.size:
            if len(broken) == self._most_broken:
                self.stopped = True
                break
            way = self._way(at)
            wrong = int(way.misplaced.searchsorted(at))
            misplaced = int(way.misplaced[wrong]) if wrong < way.misplaced.size else None
            low = int(way.records.searchsorted(at))
            high = way.records.size if misplaced is None else int(way.records.searchsorted(misplaced))
            high = self._within_limit(way.records[low:high], start) + low
            if high > low:
                fields = slice(way.before(at), int(way.last[high - 1]) + 1)
                runs.append(_Run(way, slice(low, high), fields, start, self._quotes_before(at)))
                at = int(way.records[high - 1]) + 1
                start = int(self._at[at - 1]) + 1
                if start == self._text.size:
                    break
            if misplaced is None and high == way.records.size and not self._last:
                break
            line = int(lines[lines.searchsorted(at)])
            broken.append(self._broken(way, at, start, line, misplaced))
            at, start = line + 1, int(self._at[line]) + 1
        self.taken = start
        self.lines = int(lines.searchsorted(at))
        return self._gathered(runs, broken)

    def _within_limit(self, ends: Positions, start: int) -> int:
        """How many records there are before the first that is too long."""
        if self._text.size - start <= self._limit:
            return int(ends.size)
        at = self._at[ends]
        long = np.flatnonzero(self._ends_before(at) - self._starts(at, start) > self._limit)
        return int(long[0]) if long.size else int(ends.size)

    @staticmethod
    def _starts(at: Positions, start: int) -> Positions:
        """What begins behind each of these, but for the last, and before the first with `start`."""
        starts = np.empty_like(at)
        starts[:1] = start
        starts[1:] = at[:-1] + 1
        return starts

    def _ends_before(self, at: Positions) -> Positions:
        """Where a field or record ends whose separator or line end has its last byte there."""
        ends = at
        if self._separator_width > 1:
            ends = ends - (self._separator_width - 1) * self._separators.take(at)
        if self._returns is not None:
            ends = ends - ((self._text.take(at) == _LF) & (at > 0) & self._returns[at - 1])
        return ends

    def _gathered(self, runs: list[_Run], broken: list[_Line]) -> Records:
        sizes = [run.fields.stop - run.fields.start for run in runs]
        begins = np.cumsum([0, *sizes[:-1]])[: len(runs)]  # of the runs, among all of their fields
        ends_at = self._at.take(_joined([run.way.ends[run.fields] for run in runs]))
        starts, ends = self._starts(ends_at, 0), self._ends_before(ends_at)
        starts[begins] = [run.start for run in runs]
        shifts = (begins - [run.fields.start for run in runs]).tolist()
        last = _joined([run.way.last[run.records] + by for run, by in zip(runs, shifts, strict=True)])
        first = self._starts(last, 0)
        begin, end, count = starts.take(first), ends.take(last), last - first + 1
        kept = begin != end
        if not kept.all():
            first, count, begin, end = first[kept], count[kept], begin[kept], end[kept]
        escaped: Flags | None = None
        if self._quotes is not None:
            before = _joined([run.way.quotes[run.fields] for run in runs])
            quotes = np.diff(before, prepend=0)
            quotes[begins] = before[begins] - [run.quotes for run in runs]
            width = self._quote_width * (quotes > 0)
            starts, ends = starts + width, ends - width
            many = quotes > 2
            escaped = many if many.any() else None
        places: dict[int, Broken] = {}
        if broken:
            nothing = [0] * len(broken)
            begin = np.concatenate((begin, [one.begin for one in broken]))
            end = np.concatenate((end, [one.end for one in broken]))
            order = begin.argsort()
            begin, end = begin[order], end[order]
            first, count = np.concatenate((first, nothing))[order], np.concatenate((count, nothing))[order]
            rows = np.flatnonzero(order >= order.size - len(broken)).tolist()
            places = {row: one.broken for row, one in zip(rows, broken, strict=True)}
        line = self._at.take(self._ends_of_lines).searchsorted(begin)
        return Records(starts, ends, escaped, first, count, begin, end, line, places)

    def _broken(self, way: _Way, at: int, start: int, line: int, misplaced: int | None) -> _Line:
        end = int(self._ends_before(self._at[line : line + 1])[0])
        number = int(self._ends_of_lines.searchsorted(at))
        fields = way.before(at)
        if end - start > self._limit:
            broken = Broken("record_too_long", 0)
            end = start + _beginning(self._text[start : start + _SHOWN + 1], self._limit)
        elif misplaced is not None and self._at[misplaced] - start < self._limit and not self._begins_remark(misplaced):
            # With quotes before it that open as many as close, it should have opened a value itself.
            before = self._quotes_before(misplaced) - self._quotes_before(at)
            broken = Broken(
                "text_after_quote" if before % 2 else "quote_in_value",
                way.before(misplaced) - fields + 1,
                int(self._ends_of_lines.searchsorted(misplaced)) - number,
            )
        else:
            broken = Broken("unclosed_quote", way.before(line) - fields + 1)
        return _Line(start, end, broken)

    def _begins_remark(self, quote: int) -> bool:
        """That closes no value then: the value before the remark was left open."""
        begin = int(self._at[quote]) - self._quote_width + 1
        follows = bytes(self._text[begin - 1 : begin]) in (b"\n", b"\r")
        return follows and self._text[begin : begin + len(self._remark)].tobytes() == self._remark


@dataclass(frozen=True, slots=True)
class _Way:
    """Indices into the structural characters, rising: those that end a field, those of them that end a record, and
    misplaced quotes. `quotes` lie before each of `ends`; `last` are the ends of records as indices into `ends`."""

    ends: Positions
    quotes: Positions
    records: Positions
    last: Positions
    misplaced: Positions

    def before(self, at: int) -> int:
        """How many fields end before a structural character."""
        return int(self.ends.searchsorted(at))


@dataclass(frozen=True, slots=True)
class _Run:
    """Records that nothing is wrong with, and their fields, as slices of a way's; the first begins with the byte
    `start`, and `quotes` lie before it."""

    way: _Way
    records: slice
    fields: slice
    start: int
    quotes: int


@dataclass(frozen=True, slots=True)
class _Line:
    """A broken record's bytes."""

    begin: int
    end: int
    broken: Broken


def _joined(parts: list[Positions]) -> Positions:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def _beginning(line: NDArray[np.uint8], limit: int) -> int:
    """How much is kept of a line that is too long: whole characters."""
    end = min(_SHOWN, limit, line.size - 1)
    while end and line[end] & 0xC0 == 0x80:
        end -= 1
    return end
