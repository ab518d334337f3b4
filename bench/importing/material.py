"""The files that are imported, and the table that they go into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.contactfile import KEY, REGION, TYPES, write

TABLE = "contacts"
BAD = 0.01  # of the records: their date does not exist
_EVERY = int(1 / BAD)
_SCORE = list(TYPES).index("score")


def declaration(code: str = TABLE) -> dict[str, object]:
    """As `POST /api/v1/tables` takes it."""
    columns = [{"name": name, "type": type} for name, type in TYPES.items()]
    return {"code": code, "columns": columns, "key": [KEY], "region": REGION}


@dataclass(frozen=True)
class Material:
    """`half` has every second record of `all`, with another score; `bad` differs from `all` in `rejected` records."""

    rows: int
    all: Path
    half: Path
    bad: Path

    @property
    def rejected(self) -> int:
        return (self.rows + _EVERY - 8) // _EVERY


def material(folder: Path, rows: int) -> Material:
    made = Material(rows, folder / f"all-{rows}.csv", folder / f"half-{rows}.csv", bad_of(folder, rows))
    write(made.all, rows)
    with made.all.open(encoding="utf-8") as whole, made.half.open("w", encoding="utf-8") as half:
        half.write(next(whole))
        for number, line in enumerate(whole):
            if number % 2:
                values = line.split(",")
                values[_SCORE] = "-1"
                half.write(",".join(values))
    return made


def bad_of(folder: Path, rows: int) -> Path:
    file = folder / f"bad-{rows}.csv"
    write(file, rows, bad=BAD)
    return file
