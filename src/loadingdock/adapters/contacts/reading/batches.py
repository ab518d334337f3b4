"""Good rows and rejected ones in batches of a size that loads well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.blocks import Block
from loadingdock.adapters.contacts.reading.dialect import MIB, Limits
from loadingdock.adapters.contacts.reading.outcome import RejectedRow

_REJECTED = 4096  # rows in a batch, however many good ones it has; people want to see the first of them soon
_REJECTED_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class Rows:
    """Good rows of one block: which of its records they are, and the ordinal of the block's first."""

    columns: pa.RecordBatch
    block: Block
    records: NDArray[np.int64]
    ordinal: int


@dataclass(frozen=True, slots=True)
class Batch:
    """`columns` holds the good rows with the types that the rules say; `ordinals` and `lines`, int64, are theirs.
    `rejected` lie between or around them, in the file's order."""

    columns: pa.RecordBatch
    ordinals: NDArray[np.int64]
    lines: NDArray[np.int64]
    rejected: list[RejectedRow]
    _parts: tuple[Rows, ...]

    def raw(self, row: int) -> bytes:
        """The file's own bytes of a good row, for one that turns out to be wrong later."""
        for part in self._parts:
            if row < part.records.size:
                return part.block.raw(int(part.records[row]))
            row -= part.records.size
        raise IndexError("no such row in the batch")


def gathered(checked: Iterator[tuple[Rows, list[RejectedRow]]], schema: pa.Schema, limits: Limits) -> Iterator[Batch]:
    """At most `limits.rows` good rows each."""
    parts: list[Rows] = []
    rejected: list[RejectedRow] = []
    good = size = 0
    for rows, wrong in checked:
        if good + rows.records.size > limits.rows:
            yield _batch(parts, rejected, schema)
            parts, rejected, good, size = [], [], 0, 0
        if rows.records.size:
            parts.append(rows)
            good += rows.records.size
        rejected += wrong
        size += sum(len(one.raw) for one in wrong)
        if len(rejected) >= _REJECTED or size >= _REJECTED_BYTES:
            yield _batch(parts, rejected, schema)
            parts, rejected, good, size = [], [], 0, 0
    if parts or rejected:
        yield _batch(parts, rejected, schema)


def _batch(parts: list[Rows], rejected: list[RejectedRow], schema: pa.Schema) -> Batch:
    if len(parts) == 1:
        columns = parts[0].columns
    else:
        columns = pa.Table.from_batches([part.columns for part in parts], schema).combine_chunks().to_batches()
        columns = columns[0] if columns else pa.RecordBatch.from_pylist([], schema)
    none = [np.empty(0, np.int64)]
    ordinals = np.concatenate(none + [part.records + part.ordinal for part in parts])
    lines = np.concatenate(none + [part.block.records.line[part.records] + np.int64(part.block.line) for part in parts])
    return Batch(columns, ordinals, lines, rejected, tuple(parts))
