"""Contact tables and their columns: what may be declared, and what is refused with a sentence.

A table's name (its code) and its columns' names are those that people gave. They are kept and compared as Unicode in
NFC; two that differ in case alone are one name, so that no database can take them for two or for one by itself.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from loadingdock.core.errors import InvalidInput
from loadingdock.core.names import BIDI

NAME_BYTES = 63  # of UTF-8: PostgreSQL cuts a longer identifier (NAMEDATALEN)
OWN = "_dock_"
"""What the system's own columns, indexes and tables begin with."""
ROW = OWN + "id"
"""The number of a row: given once, never again to another one."""
MOST_COLUMNS = 500  # retired ones counted: both databases take them, and any number of them fits a statement
MOST_KEY = 8  # columns of a key
LONGEST_TEXT = 1_000_000  # characters
MOST_DIGITS = 18  # of a decimal: as a number of its smallest unit it fits 64 bits, where a database has no decimals
# Bytes of an indexed value: PostgreSQL's B-tree takes entries up to 2,704 bytes.
_INDEXED_BYTES = 2600
_INDEXED_TEXT = 255
_EMAIL_CHARACTERS, _PHONE_CHARACTERS = 254, 16  # RFC 5321 4.5.3.1.3 less two brackets; E.164 with its plus
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, half characters, what breaks a line
# Columns that every table of PostgreSQL has: https://www.postgresql.org/docs/current/ddl-system-columns.html
# And SQLite's for a row's number, which its ALTER TABLE gives to no column and takes from none:
# https://sqlite.org/lang_createtable.html#rowid
_SYSTEM = ("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "rowid", "oid", "_rowid_")
_REGION = re.compile(r"[A-Za-z]{2}", re.ASCII)

Value: TypeAlias = str | int | Decimal | bool | date | datetime | None
"""What a row holds under a column. Texts are in NFC, moments in UTC, decimals have exactly the column's scale."""


class Kind(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    EMAIL = "email"
    PHONE = "phone"


TEXTS = frozenset({Kind.TEXT, Kind.EMAIL, Kind.PHONE})


@dataclass(frozen=True, slots=True)
class Column:
    """What a column takes.

    `max`: characters of a text. `precision` digits of a decimal, `scale` of them behind the point; with `comma` files
    write that point as a comma. `formats`: how files write a date or datetime, or `yes/no` pairs of a boolean; none:
    ISO 8601, and the usual words. `zone`: of datetimes that name no offset. `region`: of phone numbers written as they
    are dialled there. A retired column is kept where it is, and nobody sees it.
    """

    name: str
    kind: Kind = Kind.TEXT
    max: int | None = None
    precision: int | None = None
    scale: int | None = None
    required: bool = False
    unique: bool = False
    formats: tuple[str, ...] = ()
    region: str | None = None
    comma: bool = False
    zone: str | None = None
    retired_at: datetime | None = None

    @property
    def retired(self) -> bool:
        return self.retired_at is not None

    @property
    def type(self) -> str:
        """As it is declared: `text(80)`, `decimal(10,2)`, `date`."""
        if self.kind is Kind.TEXT and self.max is not None:
            return f"text({self.max})"
        if self.kind is Kind.DECIMAL:
            return f"decimal({self.precision},{self.scale})"
        return self.kind.value


@dataclass(frozen=True, slots=True)
class ContactTable:
    """A list of contacts. `number` counts up per installation. A column's place in `columns` is its own for good; new
    ones come behind. `key`: the names of the columns that identify a contact, none: nothing does. `version` grows with
    every change of what is declared here; 0 before the table was made."""

    company_id: int
    number: int
    code: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    region: str | None
    ignore_empty: bool
    created_at: datetime
    changed_at: datetime
    version: int = 0

    @property
    def visible(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.retired)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.column(name) for name in self.key)

    def column(self, name: str) -> Column:
        """The visible column of that name, whatever its case. Raises InvalidInput that says which there are."""
        wanted = folded(name)
        for column in self.visible:
            if folded(column.name) == wanted:
                return column
        known = ", ".join(column.name for column in self.visible)
        raise InvalidInput(f"The table {self.code} has no column {name!r}; it has {known}.", field=name)


@dataclass(frozen=True, slots=True)
class Contact:
    """A row: its number, and its values in the order of the table's visible columns. `load`, which only a copy of the
    table has: the number of the load that has changed it last, None if none has since it was put there."""

    row: int
    values: tuple[Value, ...]
    load: int | None = None


def normal(text: str) -> str:
    """The form in which texts are kept and compared: NFC, then by their bytes."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(name: str) -> str:
    """The form in which names are compared: whatever their case."""
    return normal(normal(name).casefold())


def checked(table: ContactTable) -> ContactTable:
    """The table as it is kept. Raises InvalidInput for one that cannot be, its field the name of what is wrong."""
    if not table.columns:
        raise InvalidInput("A table has at least one column.", field="columns")
    if len(table.columns) > MOST_COLUMNS:
        raise InvalidInput(f"A table has at most {MOST_COLUMNS} columns, retired ones counted.", field="columns")
    columns = tuple(map(_checked, table.columns))
    seen: dict[str, Column] = {}
    for column in columns:
        if (other := seen.setdefault(folded(column.name), column)) is not column:
            hint = " It is retired: bring it back, or rename it." if other.retired or column.retired else ""
            raise InvalidInput(
                f"There are two columns {column.name!r}; case makes no difference.{hint}", field="columns"
            )
    if all(column.retired for column in columns):
        raise InvalidInput("A table keeps at least one column.", field="columns")
    if len(table.name) > 255 or _hidden(table.name):
        raise InvalidInput("A table's name has at most 255 characters, none of them for control.", field="name")
    table = replace(
        table,
        code=_code(table.code),
        name=normal(table.name) or normal(table.code),
        columns=columns,
        region=_region(table.region),
    )
    return _indexable(replace(table, key=_key(table)))


def _code(code: str) -> str:
    code = _name(code, "code")
    if folded(code).startswith((OWN, "sqlite_")) or "/" in code or code in {".", ".."}:
        raise InvalidInput(
            f"{code!r} cannot be the code of a table: it must not begin with {OWN} or sqlite_, nor hold a /.",
            field="code",
        )
    return code


def _name(name: str, field: str) -> str:
    name = normal(name)
    if _hidden(name) or not 1 <= len(name.encode("utf-8", "replace")) <= NAME_BYTES:
        raise InvalidInput(
            f"{name[:80]!r} is no name: a name has 1 to {NAME_BYTES} bytes of UTF-8, and no control characters, nor"
            " those that turn the direction of writing.",
            field=field,
        )
    return name


def _hidden(text: str) -> bool:
    return any(character in BIDI or unicodedata.category(character) in _HIDDEN for character in text)


def _checked(column: Column) -> Column:
    name = _name(column.name, "columns")
    if folded(name).startswith(OWN) or folded(name) in _SYSTEM:
        raise InvalidInput(
            f"{name!r} is a name of the system's own, as is whatever begins with {OWN}, and {', '.join(_SYSTEM)}.",
            field=name,
        )
    column = replace(column, name=name, region=_region(column.region))
    kind = column.kind
    _only(column, "max", column.max is not None, kind is Kind.TEXT)
    _only(column, "precision and scale", (column.precision, column.scale) != (None, None), kind is Kind.DECIMAL)
    _only(column, "comma", column.comma, kind is Kind.DECIMAL)
    _only(column, "formats", bool(column.formats), kind in {Kind.DATE, Kind.DATETIME, Kind.BOOLEAN})
    _only(column, "zone", column.zone is not None, kind is Kind.DATETIME)
    _only(column, "region", column.region is not None, kind is Kind.PHONE)
    if column.max is not None and not 1 <= column.max <= LONGEST_TEXT:
        raise InvalidInput(f"{name}: max is 1 to {LONGEST_TEXT} characters.", field=name)
    if kind is Kind.DECIMAL:
        precision, scale = column.precision or MOST_DIGITS, 2 if column.scale is None else column.scale
        if not (1 <= precision <= MOST_DIGITS and 0 <= scale <= precision):
            raise InvalidInput(
                f"{name}: a decimal has 1 to {MOST_DIGITS} digits, and no more of them behind the point than in all,"
                " such as decimal(10,2).",
                field=name,
            )
        column = replace(column, precision=precision, scale=scale)
    if kind is Kind.BOOLEAN and not all(_is_pair(words) for words in column.formats):
        raise InvalidInput(f"{name}: the format of a boolean is a pair of words, such as yes/no.", field=name)
    if len(column.formats) > 20 or any(not 1 <= len(each) <= 80 for each in column.formats):
        raise InvalidInput(f"{name}: at most 20 formats, each of 1 to 80 characters.", field=name)
    if column.zone is not None:
        _zone(name, column.zone)
    return column


def _only(column: Column, what: str, given: bool, fits: bool) -> None:
    if given and not fits:
        raise InvalidInput(f"{column.name}: {what} cannot be given for the type {column.kind}.", field=column.name)


def _is_pair(words: str) -> bool:
    parts = [part.strip() for part in words.split("/")]
    return len(parts) == 2 and all(parts) and parts[0].casefold() != parts[1].casefold()


def _zone(name: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name of a folder, of a file that is none
        raise InvalidInput(f"{name}: {zone!r} is no time zone, such as Europe/Berlin.", field=name) from None


def _region(region: str | None) -> str | None:
    if region is None:
        return None
    if not _REGION.fullmatch(region):
        raise InvalidInput(f"{region!r} is no region: two letters of ISO 3166, such as DE.", field="region")
    return region.upper()


def _key(table: ContactTable) -> tuple[str, ...]:
    """The key's names as the columns spell them."""
    key = tuple(table.column(name).name for name in table.key)
    if len(set(key)) != len(key) or len(key) > MOST_KEY:
        raise InvalidInput(f"A key has at most {MOST_KEY} columns, each of them once.", field="key")
    return key


def _indexable(table: ContactTable) -> ContactTable:
    """Texts that an index holds have an end: those without a `max` are given one."""
    room = _INDEXED_BYTES // 4
    shared = min(_INDEXED_TEXT, room // max(1, sum(column.kind is Kind.TEXT for column in table.key_columns)))

    def ended(column: Column) -> Column:
        if column.kind is not Kind.TEXT or column.max is not None or column.retired:
            return column
        if column.name in table.key:
            return replace(column, max=shared)
        return replace(column, max=_INDEXED_TEXT) if column.unique else column

    table = replace(table, columns=tuple(map(ended, table.columns)))
    together = [table.key_columns, *((column,) for column in table.visible if column.unique)]
    for index in together:
        if sum(map(_characters, index)) > room:
            names = ", ".join(column.name for column in index)
            raise InvalidInput(
                f"{names}: a key, or a unique column, has at most {room} characters in all; set max to less.",
                field=index[0].name,
            )
    return table


def _characters(column: Column) -> int:
    match column.kind:
        case Kind.TEXT:
            return column.max or 0
        case Kind.EMAIL:
            return _EMAIL_CHARACTERS
        case Kind.PHONE:
            return _PHONE_CHARACTERS
        case _:
            return 4  # of a fixed length
