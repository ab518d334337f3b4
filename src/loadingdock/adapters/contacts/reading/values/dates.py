"""Dates and moments, checked against the calendar: the proleptic Gregorian one, years 1 to 9999."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import zoneinfo
from functools import lru_cache

import numpy as np
import pyarrow as pa

from loadingdock.adapters.contacts.reading.rules import Date, Datetime
from loadingdock.adapters.contacts.reading.values.converting import Rows, Wrong, by_distinct, flat, shown, words
from loadingdock.adapters.contacts.reading.values.formats import ISO_DATE, ISO_DATETIMES, Format, compiled
from loadingdock.adapters.contacts.reading.values.grids import DAY, HOUR, Layouts, by_width, moments

_EPOCH = dt.datetime(1970, 1, 1)


class Dates:
    arrow = pa.date32()

    def __init__(self, rule: Date) -> None:
        self._formats = [compiled(text) for text in rule.formats or (ISO_DATE,)]
        for one in self._formats:
            if not one.parts <= {"year", "month", "day"}:
                raise ValueError(f"the format {one.text!r} of a date has a time")
        self._layouts = _layouts(self._formats)
        self._accepted = words([one.text for one in self._formats])

    def parse(self, text: str) -> dt.date | Wrong:
        for one in self._formats:
            if found := one.pattern.fullmatch(text):
                try:
                    return dt.date(int(found["year"]), int(found["month"]), int(found["day"]))
                except ValueError:
                    return Wrong("not_a_date", f"{shown(text)}, read as {one.text}, is no day of the calendar.")
        return Wrong("not_a_date", f"{shown(text)} is no date as it must be written here: {self._accepted}.")

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        if not self._layouts:
            return by_distinct(self, texts)
        found = moments(flat(texts), self._layouts)
        days = (found.micros // DAY).astype(np.int32)
        return pa.array(days, mask=~found.sure).cast(self.arrow), found.unsure


class Datetimes:
    arrow = pa.timestamp("us", "UTC")

    def __init__(self, rule: Datetime) -> None:
        self._formats = [compiled(text) for text in rule.formats or ISO_DATETIMES]
        self._layouts = _layouts(self._formats)
        self._accepted = words(rule.formats or (f"{ISO_DATE}Thh:mm:ss, perhaps with Z or +hh:mm behind it",))
        self._name = rule.zone
        self._utc = rule.zone == "UTC"
        try:
            # UTC needs no list of zones, which small systems may lack
            self._zone: dt.tzinfo = dt.UTC if self._utc else zoneinfo.ZoneInfo(rule.zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{rule.zone!r} is no time zone") from error
        self._offset = lru_cache(4096)(self._offset_of_hour)

    def parse(self, text: str) -> dt.datetime | Wrong:
        for one in self._formats:
            if found := one.pattern.fullmatch(text):
                try:
                    local = _clock(found)
                    if offset := found.groupdict().get("offset"):
                        return local.replace(tzinfo=_offset(offset)).astimezone(dt.UTC)
                    moment = local.replace(tzinfo=self._zone).astimezone(dt.UTC)
                    shows = moment.astimezone(self._zone).replace(tzinfo=None)
                except (ValueError, OverflowError):
                    return Wrong("not_a_datetime", f"{shown(text)}, read as {one.text}, is no time of the calendar.")
                if shows != local:
                    return Wrong(
                        "not_a_datetime", f"{shown(text)} never was: clocks in {self._name} were put forward over it."
                    )
                return moment
        return Wrong(
            "not_a_datetime", f"{shown(text)} is no date and time as it must be written here: {self._accepted}."
        )

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        if not self._layouts:
            return by_distinct(self, texts)
        found = moments(flat(texts), self._layouts)
        micros, sure = found.micros, found.sure
        if not self._utc and (local := np.flatnonzero(sure & ~found.fixed)).size:
            hours, which = np.unique(micros[local] // HOUR, return_inverse=True)
            offsets = [self._offset(hour) for hour in hours.tolist()]
            micros[local] -= np.array([offset or 0 for offset in offsets], np.int64)[which]
            sure[local] &= np.array([offset is not None for offset in offsets], np.bool_)[which]
        return pa.array(micros, mask=~sure).cast(pa.timestamp("us")).cast(self.arrow), found.unsure

    def _offset_of_hour(self, hour: int) -> int | None:
        """From UTC, in microseconds, all through an hour of local time; None where clocks are put on or back."""
        start = _EPOCH + dt.timedelta(hours=hour)
        ends = (start, start + dt.timedelta(hours=1, microseconds=-1))
        seen = {self._zone.utcoffset(end.replace(fold=fold)) for end in ends for fold in (0, 1)}
        offset = seen.pop()
        return None if seen or offset is None else offset // dt.timedelta(microseconds=1)


def _layouts(formats: list[Format]) -> Layouts:
    """Of the formats that have any; not of those behind one that has none, since the first that fits is right."""
    return by_width(itertools.takewhile(lambda one: one.layouts, formats))


def _clock(found: re.Match[str]) -> dt.datetime:
    """Raises ValueError."""
    given = found.groupdict()
    year, month, day, hour, minute, second = (
        int(given.get(part, "0")) for part in ("year", "month", "day", "hour", "minute", "second")
    )
    if half := given.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError("no hour of a half day")
        hour = hour % 12 + 12 * (half.upper() == "PM")
    return dt.datetime(year, month, day, hour, minute, second, int(given.get("fraction", "0").ljust(6, "0")))


def _offset(text: str) -> dt.timezone:
    """Raises ValueError."""
    if text == "Z":
        return dt.UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError("no offset from UTC")
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return dt.timezone(-offset if text[0] == "-" else offset)
