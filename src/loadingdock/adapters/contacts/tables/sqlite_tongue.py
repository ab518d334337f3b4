"""SQLite's words for contact tables, and how their files are opened.

What SQLite has no type for is a number: a date its days and a datetime its microseconds since 1970, a decimal the
number of its smallest units. So each is compared as what it is, and nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import apsw

from loadingdock.adapters.contacts.tables.statements import Tongue, quoted
from loadingdock.adapters.records.values import micros, moment
from loadingdock.core.contactmodel import Column, Kind, Value

APPLICATION = 0x4C446F43  # "LDoC", in the file's header: https://sqlite.org/fileformat.html#application_id
BUSY_MS = 10_000
SETTINGS = ("trusted_schema = OFF", "journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 67108864")
"""Of every connection that writes."""
_1970 = date(1970, 1, 1)
_COUNTED = {Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.DATE, Kind.DATETIME}


class _Sqlite(Tongue):
    row = "INTEGER PRIMARY KEY AUTOINCREMENT"
    load = "INTEGER"
    end = " STRICT"
    first = ""  # it always is
    contains = "instr({0}, {1}) > 0"

    def home(self, company_id: int, name: str) -> str:
        return quoted(name)

    def place(self, number: int) -> str:
        return f"?{number:d}"

    def type(self, column: Column) -> str:
        return "INTEGER" if column.kind in _COUNTED else "TEXT"

    def retyped(self, home: str, old: Column, new: Column) -> tuple[str, ...]:
        shift = _scale(new) - _scale(old)
        if not shift:
            return ()
        name = quoted(new.name)
        units = f"{name} * {10**shift:d}" if shift > 0 else f"{name} / {10**-shift:d}"
        return (f"UPDATE {home} SET {name} = {units} WHERE {name} IS NOT NULL",)  # noqa: S608 - quoted

    def lossy(self, old: Column, new: Column) -> str | None:
        if new.kind not in {Kind.INTEGER, Kind.DECIMAL} or (old.kind, old.precision, old.scale) == (
            new.kind,
            new.precision,
            new.scale,
        ):
            return None
        name, shift = quoted(old.name), _scale(new) - _scale(old)
        ways = []
        if new.kind is Kind.DECIMAL and (most := 10 ** ((new.precision or 0) - shift) - 1) < 2**63:
            ways.append(f"{name} NOT BETWEEN {-most:d} AND {most:d}")
        if shift < 0:
            ways.append(f"{name} % {10**-shift:d} <> 0")
        return " OR ".join(ways) or None

    def bound(self, column: Column, value: Value) -> Any:
        match value:
            case bool():
                return int(value)
            case Decimal():
                return int(value.scaleb(_scale(column)))
            case datetime():  # which is a date too
                return micros(value)
            case date():
                return (value - _1970).days
            case _:
                return value

    def maker(self, column: Column) -> Callable[[Any], Value] | None:
        scale = _scale(column)
        made: dict[Kind, Callable[[Any], Value]] = {
            Kind.BOOLEAN: bool,
            Kind.DECIMAL: lambda kept: Decimal(kept).scaleb(-scale),
            Kind.DATE: lambda kept: _1970 + timedelta(kept),
            Kind.DATETIME: moment,
        }
        return made.get(column.kind)


def _scale(column: Column) -> int:
    return (column.scale or 0) if column.kind is Kind.DECIMAL else 0


TONGUE: Tongue = _Sqlite()


def connect(path: Path, *, readonly: bool = False) -> apsw.Connection:
    """No word in double quotes is ever taken for a text: https://sqlite.org/quirks.html#dblquote"""
    flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(BUSY_MS)
    for setting in (apsw.SQLITE_DBCONFIG_DQS_DML, apsw.SQLITE_DBCONFIG_DQS_DDL):
        connection.config(setting, 0)
    for spoken in SETTINGS[:1] if readonly else SETTINGS:
        connection.execute(f"PRAGMA {spoken}")
    if not readonly and connection.pragma("application_id") != APPLICATION:
        connection.pragma("application_id", APPLICATION)
    return connection
