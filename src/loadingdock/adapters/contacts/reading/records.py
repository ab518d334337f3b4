"""Records as arrays: where each is in some text, and where its fields are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Positions: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]


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

    def but(self, left_out: list[int]) -> Records:
        """All records but some, with all of the fields."""
        kept = np.delete(np.arange(self.begin.size), left_out)
        places = kept.searchsorted(list(self.broken)).tolist()
        gone = set(left_out)
        broken = {place: one for place, (at, one) in zip(places, self.broken.items(), strict=True) if at not in gone}
        first_fields, count, line = self.first[kept], self.count[kept], self.line[kept]
        begin, end = self.begin[kept], self.end[kept]
        return Records(self.starts, self.ends, self.escaped, first_fields, count, begin, end, line, broken)
