"""What contacts were before loads changed them: kept beside the tables of a company while a load can be undone.

`adapters.contacts.loading` writes it. Who deletes a contact for good has to know of it, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from loadingdock.adapters.contacts.tables.statements import Statement, Tongue
from loadingdock.core.model.contacts import OWN, Column, ContactTable

LOADS = OWN + "loads"
"""The loads that were committed."""
_COLUMNS = {
    "number": "bigint PRIMARY KEY",
    "contact_table": "bigint NOT NULL",
    "counts": "text NOT NULL",
    "changed": "text NOT NULL",
    "above": "bigint",
    "upto": "bigint",
    "undone": "text",
}
"""`above` < number of a row that it put in <= `upto`; neither is there if it cannot be taken back. `undone`: what was
done when it was."""


def making_loads(home: str, there: Collection[str]) -> tuple[str, ...]:
    """What is to be done so that LOADS is as it should be: `there` are the names of the columns that it has, fewer of
    them where an earlier version made it, none where nobody did."""
    if not there:
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        return (f"CREATE TABLE {home} ({columns})",)
    return tuple(f"ALTER TABLE {home} ADD COLUMN {name} {kind}" for name, kind in _COLUMNS.items() if name not in there)


def undoing(number: int) -> str:
    """The name of the table of what rows were before a load. There is none where it changed no row."""
    return f"{OWN}undo_{number:d}"


def kept(place: int) -> str:
    """The column of it for what was in the table's column of that place."""
    return f"c{place:d}"


def form(column: Column) -> list[object]:
    """What of a column makes its values what they are, as JSON takes it."""
    return [column.kind.value, column.scale]


def making_undo(tongue: Tongue, home: str, columns: Mapping[str, Column]) -> str:
    """The table itself; `columns`: what they hold, by the names of `kept`. A row's number, which load had changed it
    before, which of the values were NULL, and those that were not, where the load has changed them."""
    former = ", ".join(f"{name} {tongue.type(column)}" for name, column in columns.items())
    # No constraint: for each record whose statement may fail behind a write, SQLite copies the pages that it changes
    # (https://sqlite.org/tempfiles.html, 2.5), which costs more than the record.
    return f"CREATE TABLE {home} (id bigint, was {tongue.load}, nulls text, {former})"


def undoable(tongue: Tongue, table: ContactTable) -> Statement:
    """The numbers of the loads that can be taken back."""
    home = tongue.home(table.company_id, LOADS)
    return Statement(
        f"SELECT number FROM {home} WHERE contact_table = {tongue.place(1)} AND upto IS NOT NULL",  # noqa: S608 - quoted
        (table.number,),
    )


def emptying(tongue: Tongue, table: ContactTable, load: int, row: int) -> tuple[Statement, Statement]:
    """What takes out what a row was; and what, if there was something, leaves its number alone, by which an undo tells
    that it is gone."""
    home, place = tongue.home(table.company_id, undoing(load)), tongue.place(1)
    return (
        Statement(f"DELETE FROM {home} WHERE id = {place}", (row,)),  # noqa: S608 - quoted
        Statement(f"INSERT INTO {home} (id) VALUES ({place})", (row,)),  # noqa: S608 - quoted
    )
