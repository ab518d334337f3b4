"""What an undo did, written into the table of loads by its own transaction: who did it may be gone before it is told.

Of the rows that it left it has the numbers alone: whatever else is said of them, they are asked for it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from loadingdock.adapters.contacts.loading.engine import Engine
from loadingdock.adapters.contacts.tables.former import LOADS
from loadingdock.adapters.contacts.tables.statements import ROW_NAME, Reading, quoted
from loadingdock.core.loading import Undone, Untouched
from loadingdock.core.model.contacts import ContactTable

_TOGETHER = 500  # rows


def remember(engine: Engine, table: ContactTable, number: int, done: Undone) -> None:
    """Whole numbers and words of ours all of it."""
    left: dict[str, list[int]] = {}
    for each in done.conflicts:
        left.setdefault(each.why, []).append(each.row)
    told = json.dumps({"removed": done.removed, "restored": done.restored, "left": left})
    engine.run(f"UPDATE {_home(engine, table)} SET undone = '{told}' WHERE number = {number:d}")  # noqa: S608 - quoted


def recalled(engine: Engine, table: ContactTable, number: int) -> Undone | None:
    """None if it is not undone. A row that was left, and was deleted since, is without a key."""
    found = engine.all(
        f"SELECT undone FROM {_home(engine, table)}"  # noqa: S608 - names are quoted
        f" WHERE number = {number:d} AND contact_table = {table.number:d} AND undone IS NOT NULL"
    )
    if not found:
        return None
    told = json.loads(found[0][0])
    left = [each for why, rows in told["left"].items() for each in _left(engine, table, why, rows)]
    return Undone(told["removed"], told["restored"], tuple(sorted(left, key=lambda each: each.row)))


def untouched(engine: Engine, table: ContactTable, row: Sequence[Any], why: str) -> Untouched:
    """Of a row's number, the same if it is there still, and its values."""
    number, there, *values = row
    if there is None:
        return Untouched(number, (), "gone")
    contact = Reading(engine.tongue, table).contact((number, *values))
    held = dict(zip((column.name for column in table.visible), contact.values, strict=True))
    return Untouched(number, tuple(held[name] for name in table.key), why)


def _left(engine: Engine, table: ContactTable, why: str, rows: Sequence[int]) -> Iterator[Untouched]:
    shown = ", ".join(quoted(column.name) for column in table.visible)
    home = engine.tongue.home(table.company_id, table.code)
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        numbers = ", ".join(f"{row:d}" for row in some)
        asked = f"SELECT {ROW_NAME}, {ROW_NAME}, {shown} FROM {home} WHERE {ROW_NAME} IN ({numbers})"  # noqa: S608 - quoted
        there = {row[0]: untouched(engine, table, row, why) for row in engine.all(asked)}
        yield from (there.get(row) or Untouched(row, (), why) for row in some)


def _home(engine: Engine, table: ContactTable) -> str:
    return engine.tongue.home(table.company_id, LOADS)
