"""The SQL that takes a load back, and what is kept of every load for it.

Rows that a load has put in are known by their numbers alone: those between two, since numbers only grow and nobody else
writes meanwhile. A row that it has changed has its number as `LOAD`, and what it was before stands in the undo table.
So a row is as the load left it if it has that number still, or none in the first case: whoever changes it, changes
that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from loadingdock.adapters.contacts.tables.former import kept, undoing
from loadingdock.adapters.contacts.tables.statements import LOAD_NAME, ROW_NAME, Tongue, quoted
from loadingdock.core.model.contacts import Column, ContactTable, Kind


def null(name: str) -> str:
    """A literal: how its column `nulls` says that the value under a name was NULL."""
    return f"'/{name}/'"


@dataclass(frozen=True, slots=True)
class Taken:
    """A load as LOADS knows it. `places`: of the table's columns it has changed; `altered`: one of them holds its
    values in another form by now."""

    number: int
    above: int
    upto: int
    places: Sequence[int]
    altered: bool


class Undoing:
    """Statements that take a load back. `updated`: there is a table of what rows were."""

    def __init__(self, tongue: Tongue, table: ContactTable, load: Taken) -> None:
        self.updated, self._contains = bool(load.places), tongue.contains
        self._home = tongue.home(table.company_id, table.code)
        self._undo = tongue.home(table.company_id, undoing(load.number))
        self._changed = [(place, quoted(table.columns[place].name)) for place in load.places]
        self._inserted = f"o.{ROW_NAME} > {load.above:d} AND o.{ROW_NAME} <= {load.upto:d}"
        self._same = "1 = 0" if load.altered else f"o.{LOAD_NAME} = {load.number:d}"
        barred = [bar for place in load.places for bar in _barred(tongue, table.columns[place], kept(place))]
        if barred and not load.altered:
            # A CASE, as it is no deeper with more columns.
            self._same += f" AND NOT CASE {' '.join(f'WHEN {each} THEN 1 = 1' for each in barred)} ELSE 1 = 0 END"
        self._shown = ", ".join(f"o.{quoted(column.name)}" for column in table.visible)

    def conflicts(self) -> str:
        """The row, the same if it is there still, its values. An inserted one that is gone is as it was."""
        inserted = (
            f"SELECT o.{ROW_NAME} AS id, o.{ROW_NAME}, {self._shown} FROM {self._home} o"  # noqa: S608 - quoted
            f" WHERE {self._inserted} AND o.{LOAD_NAME} IS NOT NULL"
        )
        if not self.updated:
            return f"{inserted} ORDER BY 1"
        return (
            f"{inserted} UNION ALL SELECT u.id, o.{ROW_NAME}, {self._shown} FROM {self._undo} u"  # noqa: S608 - quoted
            f" LEFT JOIN {self._home} o ON o.{ROW_NAME} = u.id WHERE NOT coalesce({self._same}, 1 = 0) ORDER BY 1"
        )

    def removing(self) -> str:
        return f"DELETE FROM {self._home} AS o WHERE {self._inserted} AND o.{LOAD_NAME} IS NULL"  # noqa: S608 - quoted

    def restorable(self) -> str:
        return (
            f"SELECT u.id, o.{ROW_NAME}, {self._shown} FROM {self._undo} u JOIN {self._home} o ON o.{ROW_NAME} = u.id"  # noqa: S608 - names are quoted
            f" WHERE {self._same} ORDER BY u.id"
        )

    def restoring(self, row: int | None = None) -> str:
        changes = ", ".join(
            f"{name} = CASE WHEN {self._contains.format('u.nulls', null(kept(place)))} THEN NULL"
            f" ELSE coalesce(u.{kept(place)}, o.{name}) END"
            for place, name in self._changed
        )
        only = "" if row is None else f" AND u.id = {row:d}"
        return (
            f"UPDATE {self._home} AS o SET {changes}, {LOAD_NAME} = u.was FROM {self._undo} u"  # noqa: S608 - quoted
            f" WHERE o.{ROW_NAME} = u.id AND {self._same}{only}"
        )


def _barred(tongue: Tongue, column: Column, name: str) -> Iterator[str]:
    """When a value under that name of the undo table, `u`, is one that the column takes no longer: it may have been
    altered since. Of those that the load did not change nothing is kept."""
    if column.required and not column.retired:
        yield tongue.contains.format("u.nulls", null(name))
    if column.kind is Kind.TEXT and column.max is not None:
        yield f"length(u.{name}) > {column.max:d}"
    if column.kind is Kind.DECIMAL:
        beyond = tongue.bound(column, Decimal(10) ** ((column.precision or 0) - (column.scale or 0)))
        yield f"abs(u.{name}) >= {beyond}"
