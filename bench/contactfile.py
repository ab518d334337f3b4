"""The contacts of every measurement: 12 typed columns and some 350 bytes a row, the same in every run."""

from __future__ import annotations

from pathlib import Path

KEY = "email"
REGION = "VE"  # of the phone numbers
# The types as `POST /api/v1/tables` takes them.
TYPES = {
    "id": "integer",
    "first": "text(100)",
    "last": "text(100)",
    "email": "email",
    "phone": "phone",
    "born": "date",
    "joined": "datetime",
    "balance": "decimal(12,2)",
    "score": "integer",
    "active": "boolean",
    "city": "text(200)",
    "note": "text",
}
NAMES = ", ".join(f'"{name}"' for name in TYPES)


def write(path: Path, rows: int, *, bad: float = 0, quoted: bool = False) -> None:
    """Made anew from fixed text, so that every run has the same rows. Of the bad ones the date does not exist."""
    every = int(1 / bad) if bad else 0
    note = "Met at the fair; asked for the catalogue and a call back in the afternoon. " * 2 + "Prefers e-mail"
    mark = '"' if quoted else ""
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(TYPES) + "\n")
        for row in range(rows):
            number = row * 7_919 % 100_000_000
            day = (
                "2023-02-30" if every and row % every == 7 else f"19{row % 90 + 10}-{row % 12 + 1:02}-{row % 28 + 1:02}"
            )
            values = (
                str(row),
                f"Maria {number % 977}",
                f"Fernández García {number % 7_919}",
                f"maria.fernandez.{number}@mail{row % 50}.example.com",
                f"+58414{number % 10_000_000:07}",
                day,
                f"2024-{row % 12 + 1:02}-{row % 28 + 1:02}T{row % 24:02}:{row % 60:02}:{row * 7 % 60:02}Z",
                f"{number % 1_000_000}.{row % 100:02}",
                str(number),
                "true" if row % 3 else "false",
                f"Ciudad Guayana {row % 321}",
                note,
            )
            file.write(",".join(f"{mark}{value}{mark}" for value in values) + "\n")
