"""What a copy of a table has beside its contacts: what is known of loads, and what rows were before them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from loadingdock.adapters.contacts.tables.former import LOADS, kept, making_undo, undoing
from loadingdock.adapters.contacts.tables.statements import Statement, Tongue
from loadingdock.core.model.contacts import MOST_DIGITS, Column, ContactTable, Kind
from loadingdock.core.ports.contacts import Former, KeptLoad

_SHARED = "number, counts, changed, above, upto"


class Loads:
    """Statements about the loads of one table."""

    def __init__(self, tongue: Tongue, table: ContactTable) -> None:
        self._tongue = tongue
        self._table = table
        self._home = tongue.home(table.company_id, LOADS)

    def all(self, there: Collection[str]) -> Statement:
        """By their numbers. `there`: the columns of LOADS, some of which an earlier version did not make."""
        undone = "undone" if "undone" in there else "NULL"
        place = self._tongue.place(1)
        return Statement(
            f"SELECT {_SHARED}, {undone} FROM {self._home} WHERE contact_table = {place} ORDER BY number",  # noqa: S608 - quoted
            (self._table.number,),
        )

    def known(self, load: KeptLoad) -> Statement:
        place = self._tongue.place(1)
        return Statement(f"SELECT 1 FROM {self._home} WHERE number = {place}", (load.number,))  # noqa: S608 - quoted

    def put(self, load: KeptLoad) -> Statement:
        places = ", ".join(self._tongue.place(number + 1) for number in range(7))
        return Statement(
            f"INSERT INTO {self._home} ({_SHARED}, undone, contact_table) VALUES ({places})",  # noqa: S608 - quoted
            (load.number, load.counts, load.changed, load.above, load.upto, load.undone, self._table.number),
        )


class FormerRows:
    """Statements about what rows were before one load. `there`: there is something of the kind."""

    def __init__(self, tongue: Tongue, table: ContactTable, load: KeptLoad) -> None:
        self._tongue = tongue
        self.name = undoing(load.number)
        self._home = tongue.home(table.company_id, self.name)
        self._columns = {kept(place): _formed(kept(place), *form) for place, *form in json.loads(load.changed)}
        self._made = [tongue.maker(column) for column in self._columns.values()]
        self._names = ", ".join(("id", "was", "nulls", *self._columns))
        self.there = load.upto is not None and bool(self._columns)

    def making(self) -> str:
        return making_undo(self._tongue, self._home, self._columns)

    def all(self) -> str:
        """By the rows' numbers."""
        return f"SELECT {self._names} FROM {self._home} ORDER BY id"  # noqa: S608 - quoted

    def row(self, row: Sequence[Any]) -> Former:
        id, was, nulls, *values = row
        made = zip(self._made, values, strict=True)
        return Former(id, was, nulls, tuple([v if v is None or make is None else make(v) for make, v in made]))

    def put(self) -> str:
        places = ", ".join(self._tongue.place(number + 1) for number in range(3 + len(self._columns)))
        return f"INSERT INTO {self._home} ({self._names}) VALUES ({places})"  # noqa: S608 - quoted

    def kept(self, row: Former) -> tuple[Any, ...]:
        return (row.row, row.load, row.nulls, *map(self._tongue.bound, self._columns.values(), row.values))


def _formed(name: str, kind: str, scale: int | None) -> Column:
    """As it was when the load changed it; of as many digits as there may be."""
    return Column(name, Kind(kind), precision=None if scale is None else MOST_DIGITS, scale=scale)
