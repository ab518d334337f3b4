"""Records to typed columns and errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.batches import Rows
from loadingdock.adapters.contacts.reading.blocks import Block
from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.faults import error, faults
from loadingdock.adapters.contacts.reading.outcome import RejectedRow, RowError
from loadingdock.adapters.contacts.reading.records import Records
from loadingdock.adapters.contacts.reading.rules import ColumnRule
from loadingdock.adapters.contacts.reading.values.converters import converter
from loadingdock.adapters.contacts.reading.values.converting import convert

_REQUIRED = "The value is empty, but the column needs one."


class Checker:
    def __init__(self, rules: Sequence[ColumnRule], dialect: Dialect, limits: Limits) -> None:
        self._rules = rules
        self._limits = limits
        self._names = tuple(rule.name for rule in rules)
        self._quote = dialect.quote
        self._converters = [converter(rule.type) for rule in rules]
        self.schema = pa.schema([(rule.name, each.arrow) for rule, each in zip(rules, self._converters, strict=True)])

    def check(self, block: Block, ordinal: int) -> Iterator[tuple[Rows, list[RejectedRow]]]:
        """`ordinal` is the first record's. In slices, so that what is made of a block of short lines is bounded too."""
        found = faults(block, len(self._rules), self._limits)
        values = _Values(block, self._quote)
        size = block.records.begin.size
        for low in range(0, size, self._limits.rows):
            high = min(size, low + self._limits.rows)
            errors = {
                row: [error(block, found, row, self._names, self._limits)]
                for row in (np.flatnonzero(found.kind[low:high]) + low).tolist()
            }
            rows = np.flatnonzero(found.kind[low:high] == 0) + low
            columns, bad = self._columns(values, rows, errors)
            if bad.size:
                kept = np.ones(rows.size, np.bool_)
                kept[bad] = False
                columns, rows = columns.filter(pa.array(kept)), rows[kept]
            rejected = [
                RejectedRow(
                    ordinal + row,
                    block.line + int(block.records.line[row]),
                    block.raw(row),
                    tuple(of_row),
                    whole=of_row[0].code != "record_too_long",
                )
                for row, of_row in sorted(errors.items())
            ]
            yield Rows(columns, block, rows, ordinal), rejected

    def _columns(
        self, values: _Values, rows: NDArray[np.int64], errors: dict[int, list[RowError]]
    ) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
        """Typed columns of these records; which of them are wrong is said by index, and what in `errors` by record."""
        arrays, wrong_rows = [], []
        for index, (rule, each) in enumerate(zip(self._rules, self._converters, strict=True)):
            texts = values.column(index, rows)
            array, wrong = convert(each, texts)
            reasons = {at: RowError(rule.name, one.code, one.reason) for at, one in wrong}
            if rule.required and texts.null_count:
                reasons |= {
                    at: RowError(rule.name, "required", _REQUIRED)
                    for at in np.flatnonzero(texts.is_null().to_numpy(False)).tolist()
                }
            for at, reason in reasons.items():
                of_row = errors.setdefault(int(rows[at]), [])
                if len(of_row) < self._limits.errors:
                    of_row.append(reason)
            wrong_rows.append(np.fromiter(reasons, np.int64, len(reasons)))
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), np.concatenate(wrong_rows)


class _Values:
    """The fields of a block as Arrow strings."""

    def __init__(self, block: Block, quote: str) -> None:
        self._records: Records = block.records
        self._quote = quote
        starts, ends = self._records.starts, self._records.ends
        # Values and what lies between them by turns: an array as Arrow wants it, from which columns are taken.
        offsets = np.zeros(2 * starts.size + 1, np.int32)
        offsets[:-1:2], offsets[1::2] = starts, ends
        if ends.size:
            offsets[-1] = ends[-1]
        self._all = pa.BinaryArray.from_buffers(
            pa.binary(), 2 * starts.size, [None, pa.py_buffer(offsets), pa.py_buffer(block.text)]
        )

    def column(self, index: int, rows: NDArray[np.int64]) -> pa.StringArray:
        """Null where nothing stands."""
        fields = self._records.first[rows] + index
        taken = pc.take(self._all, pa.array(2 * fields), boundscheck=False)
        _, offsets, data = taken.buffers()
        filled = np.diff(np.frombuffer(offsets, np.int32)[: rows.size + 1]) > 0
        validity = None if filled.all() else pa.py_buffer(np.packbits(filled, bitorder="little"))
        texts = pa.StringArray.from_buffers(rows.size, offsets, data, validity)
        if self._records.escaped is not None and (escaped := self._records.escaped[fields]).any():
            once = pc.replace_substring(texts, self._quote * 2, self._quote)
            texts = pc.if_else(pa.array(escaped), once, texts)
        return texts
