"""The statements about contact tables that the engines share, and what of them differs.

Names come from people: they stand in a statement quoted and nothing else of theirs does. Values are parameters always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadingdock.core.contactvalues import Condition, Is, Wanted, after_prefix
from loadingdock.core.model.contacts import OWN, ROW, TEXTS, Column, Contact, ContactTable, Value

TABLES = OWN + "tables"
"""Beside the tables of a company: what each of them was declared as when it was last changed."""


class Tongue(Protocol):
    """How an engine speaks. `first`: said of a column of an index, it has NULL before everything else. `contains`: that
    the text {0} has {1} in it. `row` and `load`: the declarations of the system's own columns; `end`: said behind all
    columns."""

    row: str
    load: str
    end: str
    first: str
    contains: str

    def home(self, company_id: int, name: str) -> str:
        """A table or index of the company, quoted and with where it is."""
        ...

    def place(self, number: int) -> str:
        """The parameter of that number, from 1 on."""
        ...

    def type(self, column: Column) -> str: ...

    def retyped(self, home: str, old: Column, new: Column) -> tuple[str, ...]:
        """Statements by which a column, named as `new` already, gets its type; none where it is the same there."""
        ...

    def lossy(self, old: Column, new: Column) -> str | None:
        """Which values, under the old name, the new type cannot hold; None if it holds all."""
        ...

    def bound(self, column: Column, value: Value) -> Any:
        """A value as it is kept."""
        ...

    def maker(self, column: Column) -> Callable[[Any], Value] | None:
        """What makes a value of one that is kept and not NULL; None where it is one."""
        ...

    def value(self, column: Column, kept: Any) -> Value:
        """The value of one that is kept."""
        make = None if kept is None else self.maker(column)
        value: Value = kept if make is None else make(kept)
        return value


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


ROW_NAME = quoted(ROW)
LOAD = OWN + "load"
"""The number of the load that has changed the row last, NULL if none has since it was put there."""
LOAD_NAME = quoted(LOAD)


def index(table: ContactTable, what: str | int) -> str:
    """The name of the index of the key, or of a unique column by its place."""
    return f"{OWN}{table.number}_{what}"


@dataclass(frozen=True, slots=True)
class Statement:
    text: str
    values: tuple[Any, ...] = ()


class Reading:
    """Statements that read one table."""

    def __init__(self, tongue: Tongue, table: ContactTable) -> None:
        self._tongue = tongue
        self._table = table
        self._home = tongue.home(table.company_id, table.code)
        self._made = tuple(map(tongue.maker, table.visible))
        self._names = [quoted(column.name) for column in table.visible]
        self._columns = ", ".join((ROW_NAME, *self._names))
        self._all = ", ".join((ROW_NAME, LOAD_NAME, *self._names))

    def contact(self, row: Sequence[Any]) -> Contact:
        """Of a row as `rows`, `find` and `export` find it."""
        return Contact(row[0], self._values(row[1:]))

    def copied(self, row: Sequence[Any]) -> Contact:
        """Of a row as `copy` finds it."""
        return Contact(row[0], self._values(row[2:]), row[1])

    def _values(self, row: Sequence[Any]) -> tuple[Value, ...]:
        values = zip(self._made, row, strict=True)
        return tuple([kept if kept is None or make is None else make(kept) for make, kept in values])

    def count(self, wanted: Wanted) -> Statement:
        said = _Saying(self._tongue)
        return said.end(f"SELECT count(*) FROM {self._home}{said.where(self._table, wanted)}")  # noqa: S608 - quoted

    def rows(self, wanted: Wanted, *, by_key: bool, limit: int, after: Contact | None) -> Statement:
        """Those behind `after`, of which the key and the number count."""
        said = _Saying(self._tongue)
        order = [quoted(name) for name in self._table.key] if by_key else []
        behind = () if after is None else (said.behind(self._table if by_key else None, after),)
        where = said.where(self._table, wanted, behind)
        ordered = ", ".join([*(f"{name} NULLS FIRST" for name in order), ROW_NAME])
        return said.end(
            f"SELECT {self._columns} FROM {self._home}{where} ORDER BY {ordered} LIMIT {said.value(limit)}"  # noqa: S608 - names are quoted
        )

    def export(self, wanted: Wanted) -> Statement:
        said = _Saying(self._tongue)
        where = said.where(self._table, wanted)
        return said.end(f"SELECT {self._columns} FROM {self._home}{where} ORDER BY {ROW_NAME}")  # noqa: S608 - quoted

    def copy(self) -> Statement:
        return Statement(f"SELECT {self._all} FROM {self._home} ORDER BY {ROW_NAME}")  # noqa: S608 - quoted

    def find(self, key: Sequence[Value]) -> Statement:
        said = _Saying(self._tongue)
        equal = (
            f"{quoted(column.name)} = {said.value(self._tongue.bound(column, value))}"
            for column, value in zip(self._table.key_columns, key, strict=True)
        )
        return said.end(f"SELECT {self._columns} FROM {self._home} WHERE {' AND '.join(equal)}")  # noqa: S608 - quoted

    def delete(self, row: int) -> Statement:
        return Statement(f"DELETE FROM {self._home} WHERE {ROW_NAME} = {self._tongue.place(1)}", (row,))  # noqa: S608 - names are quoted

    def put(self) -> str:
        places = ", ".join(self._tongue.place(number + 1) for number in range(2 + len(self._names)))
        return f"INSERT INTO {self._home} ({self._all}) VALUES ({places})"  # noqa: S608 - quoted

    def kept(self, contact: Contact) -> tuple[Any, ...]:
        return (contact.row, contact.load, *map(self._tongue.bound, self._table.visible, contact.values))


class _Saying:
    """A statement in the making, with its parameters."""

    def __init__(self, tongue: Tongue) -> None:
        self._tongue = tongue
        self._values: list[Any] = []

    def value(self, value: Any) -> str:
        self._values.append(value)
        return self._tongue.place(len(self._values))

    def end(self, text: str) -> Statement:
        return Statement(text, tuple(self._values))

    def where(self, table: ContactTable, wanted: Wanted, behind: Sequence[str] = ()) -> str:
        said = [*map(self._condition, wanted.conditions), *behind]
        if wanted.search is not None:
            said.append(self._search(table, wanted.search))
        return f" WHERE {' AND '.join(said)}" if said else ""

    def _condition(self, condition: Condition) -> str:
        name = quoted(condition.column.name)
        match condition.how:
            case Is.NULL:
                return f"{name} IS NULL"
            case Is.GIVEN:
                return f"{name} IS NOT NULL"
            case Is.PREFIX:
                begin = str(condition.value)
                end = after_prefix(begin)
                found = f"{name} >= {self.value(begin)}"  # a range goes by an index, a LIKE by none
                return found if end is None else f"{found} AND {name} < {self.value(end)}"
            case how:
                return f"{name} {how.value} {self.value(self._tongue.bound(condition.column, condition.value))}"

    def _search(self, table: ContactTable, text: str) -> str:
        names = [quoted(column.name) for column in table.visible if column.kind in TEXTS]
        if not names:
            return "1 = 0"
        place = self.value(_lower(text))
        found = (self._tongue.contains.format(f"lower({name})", place) for name in names)
        return f"({' OR '.join(found)})"

    def behind(self, table: ContactTable | None, after: Contact) -> str:
        """What follows a place in the order; with a table, that of its key."""
        if table is None:
            return f"{ROW_NAME} > {self.value(after.row)}"
        places = list(zip(table.key_columns, after.values, strict=True))
        if all(value is not None for _, value in places):
            # As one comparison it goes by the key's index. A NULL in a row makes it unknown, and lies before.
            names = ", ".join([*(quoted(column.name) for column, _ in places), ROW_NAME])
            values = ", ".join(self.value(self._tongue.bound(column, value)) for column, value in places)
            return f"({names}) > ({values}, {self.value(after.row)})"
        ways: list[str] = []
        equal: list[str] = []
        for column, value in places:
            name = quoted(column.name)
            if value is None:
                ways.append(" AND ".join([*equal, f"{name} IS NOT NULL"]))
                equal.append(f"{name} IS NULL")
            else:
                place = self.value(self._tongue.bound(column, value))
                ways.append(" AND ".join([*equal, f"{name} > {place}"]))
                equal.append(f"{name} = {place}")
        ways.append(" AND ".join([*equal, f"{ROW_NAME} > {self.value(after.row)}"]))
        return "((" + ") OR (".join(ways) + "))"


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _lower(text: str) -> str:
    """As both engines' `lower` does it for what is ordered by bytes."""
    return text.translate(_LOWER)
