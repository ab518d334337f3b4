"""Fresh records in SQLite: migrated once in a process and copied from then on, for migrating takes longer than most of
what is tested on them. That migrations do what they shall is shown in tests/unit/test_records_schema.py."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from loadingdock.adapters.records.sqlite import SqliteRecords, schema


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.db"
        schema.migrate(path)  # which closes the only connection to it: all is in the one file
        return path.read_bytes()


def opened(path: Path) -> SqliteRecords:
    """The records in the file, whose schema is up to date; empty ones where there is no file."""
    if not path.exists():
        path.write_bytes(_migrated())
    return SqliteRecords.open(path)
