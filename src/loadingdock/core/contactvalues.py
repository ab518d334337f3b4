"""Values of contacts between what is kept and text: one spelling each, whatever the database.

| type | spelling |
| --- | --- |
| integer | `-42` |
| decimal | `12.50`, always with the column's places |
| boolean | `true`, `false` |
| date | `2026-01-31` |
| datetime | `2026-01-31T23:59:00Z`, with up to six places of a second where there are any |
| text, email, phone | as it is, in NFC |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import TEXTS, Column, Contact, ContactTable, Kind, Value, folded, normal

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
)
_EXAMPLES = {
    Kind.INTEGER: "a whole number of at most 64 bits, such as 42",
    Kind.DECIMAL: "a number with a point, such as 12.50",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date such as 2026-01-31",
    Kind.DATETIME: "a moment such as 2026-01-31T23:59:00Z",
}


def spelled(value: Value) -> str:
    """What is not NULL, as text."""
    return _SPELLINGS.get(type(value), str)(value)


def _moment_spelled(value: Any) -> str:
    moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    return f"{moment.isoformat()[: -len('+00:00')]}Z"


_SPELLINGS: Mapping[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    datetime: _moment_spelled,
    date: date.isoformat,
    Decimal: "{:f}".format,
}


def plain(value: Value) -> str | int | bool | None:
    """For JSON: numbers and truth values as they are, the rest spelled; a decimal too, which a reader may round."""
    return value if value is None or isinstance(value, int) else spelled(value)


def parsed(column: Column, text: str) -> Value:
    """The reverse: the value that is spelled so. Raises InvalidInput(field=the column's name)."""
    value: Value = None
    match column.kind:
        case Kind.INTEGER if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
            value = int(text)
        case Kind.DECIMAL if _DECIMAL.fullmatch(text):
            value = scaled(column, Decimal(text))
        case Kind.BOOLEAN if text in {"true", "false"}:
            value = text == "true"
        case Kind.DATE if _DATE.fullmatch(text):
            value = _date(text)
        case Kind.DATETIME if _DATETIME.fullmatch(text):
            value = _moment(text)
        case Kind.TEXT | Kind.EMAIL | Kind.PHONE if "\0" not in text and _is_unicode(text):
            value = normal(text)
    if value is None:
        expected = _EXAMPLES.get(column.kind, "a text without a NUL")
        if column.kind is Kind.DECIMAL:
            expected = f"{expected}, with at most {column.scale} places"
        raise InvalidInput(
            f"{column.name} is of type {column.type}: {text[:80]!r} is not {expected}.", field=column.name
        )
    return value


def scaled(column: Column, value: Decimal) -> Decimal | None:
    """With exactly the column's places; None for one that would have to be rounded or has too many digits."""
    places = Decimal(1).scaleb(-(column.scale or 0))
    exact = value.quantize(places) if abs(value) < 10**36 else None
    if exact is None or exact != value or abs(exact) >= 10 ** ((column.precision or 0) - (column.scale or 0)):
        return None
    return exact if exact else abs(exact)  # no minus zero


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


# --- what rows are asked for by ------------------------------------------------------------------


class Is(StrEnum):
    """How a value is compared. Texts by their bytes, which is the order of their code points."""

    EQUAL = "="
    PREFIX = "^="
    FROM = ">="
    AFTER = ">"
    UP_TO = "<="
    BEFORE = "<"
    NULL = " is null"
    GIVEN = " is not null"


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` is None for those that need none."""

    column: Column
    how: Is
    value: Value = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows that meet every condition and, with `search`, hold that text in one of the columns of text: ASCII letters
    whatever their case."""

    conditions: tuple[Condition, ...] = ()
    search: str | None = None


_LONGEST_FIRST = sorted(Is, key=lambda how: -len(how.value))
_MOST = 50  # conditions


def wanted(table: ContactTable, where: Sequence[str] = (), search: str | None = None) -> Wanted:
    """Of texts such as `AGE>=18`, `EMAIL^=anna@`, `CITY=Bonn` and `PHONE is null`. Where names of columns hold such
    signs themselves the longest name counts. Raises InvalidInput."""
    if len(where) > _MOST:
        raise InvalidInput(f"At most {_MOST} conditions at once.", field="where")
    if search is not None and ("\0" in search or not search or not _is_unicode(search)):
        raise InvalidInput("What is searched is a text of at least one character, without a NUL.", field="search")
    conditions = tuple(_condition(table, text) for text in where)
    return Wanted(conditions, None if search is None else normal(search))


def _condition(table: ContactTable, text: str) -> Condition:
    for column in sorted(table.visible, key=lambda column: -len(column.name)):
        # As it was typed: a name may be of another length in another case.
        for length in _lengths(column.name, text):
            rest = text[length:]
            for how in _LONGEST_FIRST:
                if how in {Is.NULL, Is.GIVEN}:
                    if rest.casefold() == how.value:
                        return Condition(column, how)
                elif rest.startswith(how.value):
                    return _compared(column, how, rest.removeprefix(how.value))
    known = ", ".join(column.name for column in table.visible)
    raise InvalidInput(
        f"{text[:200]!r} is no condition: write a column ({known}) and =, ^= (begins with), >=, >, <=, < and a value,"
        " or `is null`, `is not null`.",
        field="where",
    )


def _lengths(name: str, text: str) -> Iterable[int]:
    wanted = folded(name)
    return (length for length in range(min(len(text), 4 * len(name)), 0, -1) if folded(text[:length]) == wanted)


def _compared(column: Column, how: Is, text: str) -> Condition:
    if how is Is.PREFIX and column.kind not in TEXTS:
        raise InvalidInput(
            f"{column.name} is of type {column.type}: only texts begin with something.", field=column.name
        )
    if column.kind is Kind.BOOLEAN and how is not Is.EQUAL:
        raise InvalidInput(f"{column.name} is a boolean: it is compared by = alone.", field=column.name)
    return Condition(column, how, parsed(column, text))


def after_prefix(prefix: str) -> str | None:
    """The first text behind all that begin with it, in the order of code points; None if there is none."""
    for place in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[place])
        if code < 0x10FFFF:
            return prefix[:place] + chr(0xE000 if code == 0xD7FF else code + 1)
    return None


# --- cells of a CSV ------------------------------------------------------------------------------

_QUOTED = re.compile('[,"\r\n]')
_PLAIN = re.compile('[^=+@\t\r\n,"-][^,"\r\n]*')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PREFIX = "'"


def header(table: ContactTable, *, raw: bool) -> str:
    """The first record: the names of the columns."""
    write = _cell if raw else _harmless_cell
    return _record([write(column.name) for column in table.visible])


def records(table: ContactTable, contacts: Iterable[Contact], *, raw: bool) -> str:
    """Their records (RFC 4180): NULL is nothing at all, an empty text `""`. `raw`: texts as they are kept. A number is
    no formula: it stays one."""
    text = _cell if raw else _harmless_cell
    writes: list[Callable[[Any], str]] = [text if column.kind in TEXTS else spelled for column in table.visible]
    return "".join(
        _record(["" if value is None else write(value) for write, value in zip(writes, contact.values, strict=True)])
        for contact in contacts
    )


def _record(cells: Sequence[str]) -> str:
    return (",".join(cells) or '""') + "\r\n"  # a line with nothing in it would be no record


def harmless(text: str) -> str:
    """As a spreadsheet takes it for a text and never for a formula (CWE-1236)."""
    return _PREFIX + text if text.startswith(_FORMULA) else text


def _harmless_cell(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else _cell(harmless(text))


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if not text or _QUOTED.search(text) else text
