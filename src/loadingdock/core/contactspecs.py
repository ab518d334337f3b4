"""Columns as they are typed: `NAME:TYPE[,required][,max=N][,format=F]...`."""

from __future__ import annotations

import re

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, Kind

TYPES = "text, text(N), integer, decimal(DIGITS,PLACES), boolean, date, datetime, email, phone"
_KINDS = "|".join(Kind)
_TYPE = re.compile(
    rf"(?P<kind>{_KINDS})(?:\(\s*(?P<first>[0-9]{{1,9}})\s*(?:,\s*(?P<second>[0-9]{{1,9}})\s*)?\))?", re.ASCII | re.I
)
# A name may hold a colon itself: the first one that a type follows divides.
_COLUMN = re.compile(rf"(?P<name>.+?):(?P<type>{_TYPE.pattern})(?P<rest>,.*)?", re.ASCII | re.I | re.S)
# A format may hold a comma itself: only one that an option follows divides.
_OPTION = re.compile(r",(?=(?:(?:required|unique|comma)(?:,|$)|(?:max|format|region|zone)=))", re.I)
_FLAGS = frozenset({"required", "unique", "comma"})


def column(text: str) -> Column:
    """Raises InvalidInput(field="column") that says what would be right; what the words mean is checked elsewhere."""
    match = _COLUMN.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{text[:200]!r} is no column: write NAME:TYPE and what else it needs, such as 'EMAIL:email,required' or"
            f" 'BORN:date,format=DD/MM/YYYY'. Types are {TYPES}.",
            field="column",
        )
    found = of_type(match["type"], match["name"])
    values: dict[str, str] = {}
    flags: set[str] = set()
    formats: list[str] = []
    for option in _OPTION.split(match["rest"] or "")[1:] if match["rest"] else ():
        word, equals, value = option.partition("=")
        word = word.lower()
        if not equals and word in _FLAGS:
            flags.add(word)
        elif equals and word == "format" and value:
            formats.append(value)
        elif equals and word in {"max", "region", "zone"} and value and word not in values:
            values[word] = value
        else:
            raise _no_option(option)
    if match["rest"] and not _OPTION.match(match["rest"]):
        raise _no_option(match["rest"][1:])
    limit = values.get("max")
    if limit is not None and not re.fullmatch("[0-9]{1,9}", limit, re.ASCII):
        raise InvalidInput(f"max={limit[:80]} is no number of characters.", field="column")
    return Column(
        found.name,
        found.kind,
        max=found.max if limit is None else int(limit),
        precision=found.precision,
        scale=found.scale,
        required="required" in flags,
        unique="unique" in flags,
        formats=tuple(formats),
        region=values.get("region"),
        comma="comma" in flags,
        zone=values.get("zone"),
    )


def of_type(text: str, name: str = "") -> Column:
    """A column of that type: `decimal(10,2)`. Raises InvalidInput(field="type")."""
    match = _TYPE.fullmatch(text.strip())
    kind = Kind(match["kind"].lower()) if match else None
    numbers = [int(number) for number in (match["first"], match["second"]) if number] if match else []
    if kind is Kind.TEXT and len(numbers) <= 1:
        return Column(name, kind, max=numbers[0] if numbers else None)
    if kind is Kind.DECIMAL:
        precision, scale = (*numbers, 0)[:2] if numbers else (None, None)
        return Column(name, kind, precision=precision, scale=scale)
    if kind is None or numbers:
        raise InvalidInput(f"{text[:80]!r} is no type; types are {TYPES}.", field="type")
    return Column(name, kind)


def _no_option(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:80]!r} says nothing about a column: what can follow its type is required, unique, max=N, format=F (may"
        " be repeated), region=XX, comma (decimals are written with one) and zone=AREA/CITY, divided by commas.",
        field="column",
    )
