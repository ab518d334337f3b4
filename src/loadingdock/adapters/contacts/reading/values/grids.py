"""Dates and times of one width each, a column at once: a grid of characters, a column of which is one decimal place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.values.converting import Flat, Rows
from loadingdock.adapters.contacts.reading.values.formats import Format, Layout

DAY = 86_400_000_000  # microseconds
HOUR = DAY // 24
_MINUTE = HOUR // 60
_TIMES = {"hour": (23, HOUR), "minute": (59, _MINUTE), "second": (59, 1_000_000)}
_MONTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_ZERO, _MINUS, _PLUS, _COLON, _Z = b"0-+:Z"

Layouts: TypeAlias = dict[int, list[Layout]]  # by their widths


@dataclass(frozen=True, slots=True)
class Moments:
    """Microseconds since 1970, in UTC where `fixed` by an offset, for the rows that are `sure`."""

    micros: NDArray[np.int64]
    sure: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    filled: NDArray[np.bool_]

    @property
    def unsure(self) -> Rows:
        return np.flatnonzero(self.filled & ~self.sure)


def by_width(formats: Iterable[Format]) -> Layouts:
    layouts: Layouts = {}
    for one in formats:
        for layout in one.layouts:
            layouts.setdefault(sum(width for _, width in layout), []).append(layout)
    return layouts


def moments(column: Flat, layouts: Layouts) -> Moments:
    """Of each value the first layout that fits counts, even if that makes no day of the calendar."""
    size = column.sizes.size
    filled = column.sizes > 0
    found = Moments(np.zeros(size, np.int64), np.zeros(size, np.bool_), np.zeros(size, np.bool_), filled)
    for width in np.flatnonzero(np.bincount(np.minimum(column.sizes, 64))).tolist():
        rows = np.flatnonzero(column.sizes == width)
        for layout in layouts.get(width, ()):
            if not rows.size:
                break
            rows = rows[~_read(column, rows, layout, width, found)]
    return found


def _read(column: Flat, rows: Rows, layout: Layout, width: int, found: Moments) -> NDArray[np.bool_]:
    """Fills in the rows that have this layout, and says which they are."""
    if rows.size * width == column.data.size:  # no other rows have any characters
        grid = column.data.reshape(rows.size, width)
    else:
        grid = column.data[column.offsets[rows][:, None] + np.arange(width, dtype=np.int32)]
    fits = np.ones(rows.size, np.bool_)
    at = 0
    places: dict[str, tuple[int, int]] = {}
    for part, size in layout:
        if len(part) == 1:
            fits &= grid[:, at] == ord(part)
        elif part != "offset":
            places[part] = (at, size)
        else:
            places[part] = (at + 1, 2)
            fits &= grid[:, at] == _Z if size == 1 else (grid[:, at] == _PLUS) | (grid[:, at] == _MINUS)
            if size == 6:
                fits &= grid[:, at + 3] == _COLON
        at += size
    if not fits.any():
        return fits
    numbers = {part: _number(grid, *place, fits) for part, place in places.items() if part != "offset"}
    micros, sure = _calendar(numbers)
    if "offset" in places:
        start, size = places["offset"][0], layout[-1][1]
        if size > 1:
            hours, minutes = _number(grid, start, 2, fits), _number(grid, width - 2, 2, fits)
            sure &= (hours < 24) & (minutes < 60)
            offset = hours * HOUR + minutes * _MINUTE
            micros -= np.where(grid[:, start - 1] == _MINUS, -offset, offset)
        found.fixed[rows[fits]] = True
    if "fraction" in places:
        micros += numbers["fraction"] * 10 ** (6 - places["fraction"][1])
    fitting = rows[fits]
    found.micros[fitting] = micros[fits]
    found.sure[fitting] = sure[fits]
    return fits


def _number(grid: NDArray[np.uint8], at: int, size: int, fits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The number in some columns; `fits` no longer where there are no digits."""
    value = np.zeros(grid.shape[0], np.int64)
    for column in range(at, at + size):
        digit = grid[:, column] - np.uint8(_ZERO)
        fits &= digit <= 9
        value = value * 10 + digit
    return value


def _calendar(numbers: dict[str, NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds, and if it is a time of the calendar for sure: at its very ends an offset may lead out of it."""
    year, month, day = numbers["year"], numbers["month"], numbers["day"]
    sure = (year > 1) & (year < 9999) & (month >= 1) & (month <= 12) & (day >= 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    sure &= day <= _MONTHS[np.clip(month, 1, 12) - 1] + (leap & (month == 2))
    # Days since 1970 of a year that begins in March, so that the leap day is its last one: H. Hinnant, days_from_civil.
    years = year - (month <= 2)
    era = years // 400
    of_era = years - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    micros = days * DAY
    for part, (most, unit) in _TIMES.items():
        if part in numbers:
            sure &= numbers[part] <= most
            micros += numbers[part] * unit
    return micros, sure
