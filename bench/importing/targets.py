"""The tables that the others load into: the same types and the same key, and nothing else."""

from __future__ import annotations

from bench.contactfile import KEY, NAMES, TYPES

_POSTGRES = {
    "integer": "bigint",
    "text(100)": "text",
    "text(200)": "text",
    "text": "text",
    "email": "text",
    "phone": "text",
    "date": "date",
    "datetime": "timestamptz",
    "decimal(12,2)": "numeric(12,2)",
    "boolean": "boolean",
}
POSTGRES_TYPES = ", ".join(f'"{name}" {_POSTGRES[type]}' for name, type in TYPES.items())
# What the shell reads of dates and truths is text to it.
SQLITE_TYPES = ", ".join(f'"{name}" {"INTEGER" if type == "integer" else "TEXT"}' for name, type in TYPES.items())


def upsert(table: str) -> str:
    """Out of the table `staging`."""
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in TYPES if name != KEY)
    return (
        f"INSERT INTO {table} ({NAMES}) SELECT {NAMES} FROM staging WHERE true"
        f" ON CONFLICT ({KEY}) DO UPDATE SET {changed}"
    )
