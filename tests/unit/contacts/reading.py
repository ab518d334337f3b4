"""What tests of reading share: a file read with some rules, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.outcome import RejectedRow
from loadingdock.adapters.contacts.reading.reader import Reader, open_records
from loadingdock.adapters.contacts.reading.rules import ColumnRule, Text, Type

QUOTED = Dialect(quote='"')


@dataclass
class Read:
    reader: Reader
    rows: list[list[Any]]
    lines: list[int]
    rejected: list[RejectedRow]

    @property
    def errors(self) -> list[tuple[int, str | None, str]]:
        """Line, column, code."""
        return [(row.line, error.column, error.code) for row in self.rejected for error in row.errors]


def rules(types: Sequence[Type], required: bool = False) -> dict[str, ColumnRule]:
    """Columns a, b, c ..."""
    names = (chr(ord("a") + at) if at < 26 else f"n{at}" for at in range(len(types)))
    return {name: ColumnRule(name, kind, required) for name, kind in zip(names, types, strict=False)}


def read(
    source: bytes | Path | Iterable[bytes],
    columns: int | Sequence[Type],
    dialect: Dialect = QUOTED,
    limits: Limits | None = None,
    *,
    name: str | None = None,
    required: bool = False,
    names: Sequence[str] | None = None,
) -> Read:
    """With named columns, or as many of text; without a header their names are a, b, c ..."""
    of_table = rules([Text()] * columns if isinstance(columns, int) else columns, required)
    if names is None and not dialect.header:
        names = list(of_table)
    reader = open_records(_pieces(source), dialect, of_table, names, limits, name=name)
    done = Read(reader, [], [], [])
    for batch in reader:
        done.rows += [list(row.values()) for row in batch.columns.to_pylist()]
        done.lines += batch.lines.tolist()
        done.rejected += batch.rejected
    assert reader.totals.records == len(done.rows) + len(done.rejected)
    return done


def _pieces(source: bytes | Path | Iterable[bytes]) -> Path | Iterable[bytes]:
    return _cut(source) if isinstance(source, bytes) else source


def _cut(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 65_536] for at in range(0, len(data), 65_536))
