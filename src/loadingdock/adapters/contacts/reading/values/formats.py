"""How dates and times are written: `YYYY-MM-DD hh:mm:ss` and the like, letter by letter."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

_PARTS = {
    "YYYY": ("year", "[0-9]{4}"),
    "MM": ("month", "[0-9]{2}"),
    "M": ("month", "[0-9]{1,2}"),
    "DD": ("day", "[0-9]{2}"),
    "D": ("day", "[0-9]{1,2}"),
    "hh": ("hour", "[0-9]{2}"),
    "h": ("hour", "[0-9]{1,2}"),
    "mm": ("minute", "[0-9]{2}"),
    "ss": ("second", "[0-9]{2}"),
    "f": ("fraction", "[0-9]{1,6}"),
    "ZZ": ("offset", "Z|[+-][0-9]{2}:?[0-9]{2}"),
    "AM": ("half", "[AaPp][Mm]"),
}
_PIECES = re.compile("|".join([*sorted(_PARTS, key=len, reverse=True), "."]), re.DOTALL)
_AFTER = {"half": "hour", "minute": "hour", "second": "minute", "fraction": "second", "offset": "hour"}
_WIDTHS: dict[str, tuple[int, ...]] = {"M": (), "D": (), "h": (), "AM": (), "f": (1, 2, 3, 4, 5, 6), "ZZ": (1, 5, 6)}

ISO_DATE = "YYYY-MM-DD"
ISO_DATETIMES = tuple(
    f"YYYY-MM-DD{between}{time}{offset}"
    for between in "T "
    for time in ("hh:mm:ss", "hh:mm:ss.f", "hh:mm")
    for offset in ("", "ZZ")
)


Layout: TypeAlias = tuple[tuple[str, int], ...]
"""The parts of one width each, in order; of other characters themselves."""


@dataclass(frozen=True, slots=True)
class Format:
    """`layouts` are all those that its values can have, or none if they are too many to be gone through."""

    text: str
    pattern: re.Pattern[str]
    parts: frozenset[str]
    layouts: tuple[Layout, ...]


@cache
def compiled(text: str) -> Format:
    """Raises ValueError."""
    parts: list[str] = []
    pattern: list[str] = []
    widths: list[list[tuple[str, int]]] = []
    for piece in _PIECES.findall(text):
        if piece not in _PARTS:
            if piece.isalnum() and piece != "T":
                raise ValueError(f"the format {text!r} has {piece!r}; its parts are {', '.join(_PARTS)}")
            pattern.append(re.escape(piece))
            widths.append([(piece, 1)] if piece.isascii() else [])
            continue
        part, form = _PARTS[piece]
        if part in parts:
            raise ValueError(f"the format {text!r} has two parts for the {part}")
        parts.append(part)
        pattern.append(f"(?P<{part}>{form})")
        widths.append([(part, width) for width in _WIDTHS.get(piece, (len(piece),))])
    lacking = [part for part in ("year", "month", "day") if part not in parts]
    lacking += [before for part, before in _AFTER.items() if part in parts and before not in parts]
    if lacking:
        raise ValueError(f"the format {text!r} lacks the {lacking[0]}")
    if "offset" in parts and not text.endswith("ZZ"):
        raise ValueError(f"the format {text!r} has the offset from UTC elsewhere than at its end")
    return Format(text, re.compile("".join(pattern)), frozenset(parts), tuple(itertools.product(*widths)))
