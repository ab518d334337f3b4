"""From a file to batches of good rows and of rejected ones. Blocking: for a thread or a process of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from loadingdock.adapters.contacts.reading import decoding
from loadingdock.adapters.contacts.reading.batches import Batch, Rows, gathered
from loadingdock.adapters.contacts.reading.blocks import Block, blocks
from loadingdock.adapters.contacts.reading.checking import Checker
from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.header import after_header, header_names, named
from loadingdock.adapters.contacts.reading.outcome import RejectedRow, Totals
from loadingdock.adapters.contacts.reading.rules import ColumnRule
from loadingdock.adapters.contacts.reading.source import contents

# Arrow's own pool keeps what it has had, which for columns of every size is a quarter more memory, and is slower.
pa.set_memory_pool(pa.system_memory_pool())


class Reader:
    """Batches in the file's order, once. `names` are the columns that the file brings, in its order; `encoding` is what
    it is read in, a byte order mark being stronger than the dialect; `totals` grow with every batch taken.

    `bom` and `header` are the file's own bytes: what a file of rejected records begins with to be read the same way.
    """

    names: tuple[str, ...]
    encoding: str
    bom: bytes
    header: bytes | None
    warnings: list[str]
    totals: Totals

    def __init__(
        self,
        source: Path | Iterable[bytes],
        name: str,
        dialect: Dialect,
        rules: Mapping[str, ColumnRule],
        names: Sequence[str] | None,
        limits: Limits,
    ) -> None:
        self.totals = Totals()
        self.warnings = []
        pieces = contents(source, name, self.totals, limits)
        head = b""
        while len(head) < 4 and (piece := next(pieces, b"")):
            head += piece
        self.bom, self.encoding = decoding.marked(head, dialect.encoding)
        if self.bom and self.encoding != decoding.marked(b"", dialect.encoding)[1]:
            self.warnings.append(
                f"The file begins with the byte order mark of {self.encoding} and was read as that, not as"
                f" {dialect.encoding}."
            )
        decoder = decoding.decoder(self.encoding, len(self.bom))
        pieces = itertools.chain([head[len(self.bom) :]], pieces)
        self._blocks: Iterator[Block] = blocks(pieces, decoder, dialect, limits)
        self.header = None
        found: tuple[str, ...] | None = None
        if dialect.header:
            first = next(self._blocks, None)
            found, self.header = header_names(first, dialect, limits)
            assert first is not None  # or there would be no header
            self._blocks = itertools.chain([after_header(first)], self._blocks)
        self.names = named(found, names, rules, limits, self.warnings)
        self._checker = Checker([rules[name] for name in self.names], dialect, limits)
        self._limits = limits

    def __iter__(self) -> Iterator[Batch]:
        for batch in gathered(self._checked(), self._checker.schema, self._limits):
            self.totals.good += len(batch.columns)
            self.totals.rejected += len(batch.rejected)
            self.totals.records = self.totals.good + self.totals.rejected
            yield batch

    def _checked(self) -> Iterator[tuple[Rows, list[RejectedRow]]]:
        ordinal = 1
        for block in self._blocks:
            yield from self._checker.check(block, ordinal)
            ordinal += block.records.begin.size


def open_records(
    source: Path | Iterable[bytes],
    dialect: Dialect,
    rules: Mapping[str, ColumnRule],
    names: Sequence[str] | None = None,
    limits: Limits | None = None,
    *,
    name: str | None = None,
) -> Reader:
    """`rules` are the table's columns by name, of which the file brings those in `names`, or in its header. `name` is
    the file's, whose ending .gz or .zst says that it is compressed. Raises FileRefused, here and with every batch, and
    ValueError where a rule makes no sense."""
    if name is None:
        name = source.name if isinstance(source, Path) else ""
    return Reader(source, name, dialect, rules, names, limits or Limits())
