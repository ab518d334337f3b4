"""What an undo left, as rows and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from loadingdock.adapters.contacts.importing.reports import FIRST
from loadingdock.core.contactvalues import spelled
from loadingdock.core.loading import ContactLoader, Undone, Untouched
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Outcome, RowProblem, RowReport

_REASONS = {
    "changed": "The contact was changed after the import, or a column: it does not take what it held.",
    "gone": "The contact was deleted after the import.",
    "not_unique": "Another contact has a value now that only one may have.",
}


def undo(
    loader: ContactLoader, table: ContactTable, number: int, folder: Path
) -> tuple[Undone, list[RowReport], Path | None]:
    """The first rows that were left, and the file of them all, if there are any. Raises what the loader does."""
    done = loader.undo(table, number)
    if not done.conflicts:
        return done, [], None
    path = folder / "report.ndjson"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_lines(table, done))
    return done, [_row(each) for each in done.conflicts[:FIRST]], path


def _row(left: Untouched) -> RowReport:
    key = ", ".join("" if value is None else spelled(value) for value in left.key)
    return RowReport(Outcome.LEFT, left.row, 0, (RowProblem(None, left.why, _REASONS[left.why]),), key)


def _lines(table: ContactTable, done: Undone) -> Iterator[str]:
    for left in done.conflicts:
        key = {
            name: None if value is None else spelled(value)
            for name, value in zip(table.key, left.key, strict=False)  # none if it is gone
        }
        error = {"column": None, "code": left.why, "reason": _REASONS[left.why]}
        line = {"outcome": Outcome.LEFT, "row": left.row, "key": key, "errors": [error]}
        yield json.dumps(line, ensure_ascii=False) + "\n"
