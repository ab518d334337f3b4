"""SQLite's words for contact tables, and how their files are opened.

What SQLite has no type for is a number: a date its days and a datetime its microseconds since 1970, a decimal the
number of its smallest units. So each is compared as what it is, and nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from typing import Any

import apsw

from loadingdock.adapters.contacts.tables.statements import TABLES, Tongue, quoted
from loadingdock.adapters.records.values import micros, moment
from loadingdock.core.model.contacts import Column, Kind, Value

APPLICATION = 0x4C446F43  # "LDoC", in the file's header: https://sqlite.org/fileformat.html#application_id
BUSY_MS = 10_000
SETTINGS = ("trusted_schema = OFF", "journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 67108864")
"""Of every connection that writes."""
_1970 = date(1970, 1, 1)
_NEW = ".new-"  # and what tells it from others, while it is being made
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


def make(path: Path) -> None:
    """A company's file, if it has none. It has all that a file must have before it has its name: of two connections
    to a new one, SQLite lets neither change the journal's mode, however long they would wait. Its folder is synced
    with the log that the first transaction makes beside it."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}{_NEW}{token_hex(8)}")
    try:
        connection = apsw.Connection(str(new))
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(
                f"CREATE TABLE {TABLES}"
                " (number INTEGER PRIMARY KEY, version INTEGER NOT NULL, declared TEXT NOT NULL) STRICT"
            )
        finally:
            connection.close()
        with suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """A company's file, and what lies beside it."""
    for beside in ("", "-wal", "-shm"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    for left in path.parent.glob(f"{path.name}{_NEW}*"):  # by a crash
        left.unlink(missing_ok=True)


def connect(path: Path, *, readonly: bool = False) -> apsw.Connection:
    """No word in double quotes is ever taken for a text: https://sqlite.org/quirks.html#dblquote"""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MS)
    for setting in (apsw.SQLITE_DBCONFIG_DQS_DML, apsw.SQLITE_DBCONFIG_DQS_DDL):
        connection.config(setting, 0)
    for spoken in SETTINGS[:1] if readonly else SETTINGS:
        connection.execute(f"PRAGMA {spoken}")
    return connection
