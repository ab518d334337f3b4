"""What the database has of an import's records lives as long as the file that has all of them: both hold what people
wrote, and whoever deletes the one means the other."""

from __future__ import annotations

from loadingdock.core.model.files import File
from loadingdock.core.model.imports import Outcome
from loadingdock.core.ports.records import Unit

IMPORT = "import"
"""The attribute by which a file that an import wrote names it."""


async def forget_rows(unit: Unit, file: File) -> None:
    """The file has ended."""
    number = file.attributes.get(IMPORT)
    of = None if number is None else await unit.imports.get(int(number))
    if of is None:
        return
    if file.id == of.report_file:
        for outcome in (Outcome.REJECTED, Outcome.SKIPPED):
            await unit.imports.clear_rows(of.number, outcome)
    elif of.undone is not None and file.id == of.undone.report_file:
        await unit.imports.clear_rows(of.number, Outcome.LEFT)
