"""What is said of rows that are in the way of a change, and of tables that are not as declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from loadingdock.adapters.contacts.tables.plans import SHOWN, Check, indexes
from loadingdock.adapters.contacts.tables.statements import LOAD, Tongue
from loadingdock.core.contactvalues import spelled
from loadingdock.core.errors import Conflict
from loadingdock.core.model.contacts import OWN, ROW, Column, ContactTable

_SHOWN = 80  # characters
_OWN = {ROW, LOAD}


def contradiction(tongue: Tongue, check: Check, count: int, first: Sequence[Sequence[Any]]) -> Conflict:
    """`first` are rows as the check's own statement finds them."""
    told = []
    for row, *kept in first:
        values = map(tongue.value, check.columns, kept)
        held = ", ".join(repr(spelled(value)[:_SHOWN]) for value in values if value is not None)
        told.append(f"{row} ({held})" if held else str(row))
    more = ", ..." if len(told) == SHOWN < count else ""
    return Conflict(
        f"Nothing was changed: {count} contacts {check.sentence}. Rows: {', '.join(told)}{more}.",
        count=count,
        rows=[row for row, *_ in first],
    )


Made = tuple[Mapping[str, str], set[str]]
"""Of a table that is there: its columns' types by their names, and the names of its indexes."""


def compared(
    type_of: Callable[[Column], str],
    tables: Sequence[ContactTable],
    versions: Mapping[int, int],
    there: Mapping[str, Made],
    own: set[str],
) -> Iterator[str]:
    """`versions` are those that the tables know themselves by; `own` are tables of the system."""
    for table in tables:
        version = versions.get(table.number)
        if version is None and not table.version:
            continue  # it is made when it is used first
        if version is None or table.code not in there:
            yield f"The contact table {table.code} is not there."
        elif version != table.version:
            if version < table.version:  # else the records have not heard of it yet, and will
                yield f"The contact table {table.code} is at version {version}, the records know {table.version}."
        else:
            columns, made = there[table.code]
            wanted = {column.name: type_of(column) for column in table.columns}
            if {
                name: kind for name, kind in columns.items() if name not in _OWN
            } != wanted or not columns.keys() >= _OWN:
                yield f"The contact table {table.code} has other columns than the records know."
            for index in sorted(indexes(table) - made):
                yield f"The contact table {table.code} lacks its index {index}."
    known = {table.code for table in tables}
    for name in sorted(name for name in set(there) - own - known if not name.startswith(OWN)):
        yield f"There is a contact table {name} that the records do not know."
