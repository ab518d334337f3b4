"""Keys of records: their order, and which of them come again in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from loadingdock.core.loading import Batch

Hashes = NDArray[np.int64]
_EARLIEST_RUN = 1 << 16  # hashes; shorter runs are joined at once
_LONGEST_RUN = 1 << 21  # longer ones would take as much memory again while they are joined


def counted(column: Any) -> Any:
    """As what is compared by a whole number: days, microseconds since 1970, smallest units of a decimal. Texts stay.
    None of it rounds."""
    kind = column.type
    if pa.types.is_date32(kind):
        return column.view(pa.int32()).cast(pa.int64())
    if pa.types.is_timestamp(kind):
        return column.view(pa.int64())
    if pa.types.is_boolean(kind):
        return column.cast(pa.int64())
    if pa.types.is_decimal(kind):
        # Two halves of 64 bits, the lower one first: https://arrow.apache.org/docs/format/Columnar.html
        halves = np.frombuffer(column.buffers()[1], np.int64)[2 * column.offset : 2 * (column.offset + len(column))]
        return pa.array(halves[::2], mask=column.is_null().to_numpy(zero_copy_only=False))
    return column


def ordered(columns: Any, names: Sequence[str]) -> Any:
    """Places by key, as far as it goes in the order of the database's index: what is next to each other there is
    inserted together."""
    texts = {name: columns.column(name) for name in names}
    return pc.sort_indices(pa.table(texts), sort_keys=[(name, "ascending") for name in names])


class Surveyed:
    """Eight bytes for each record, and the keys that come again. Their hashes only say where to look: a key counts as
    repeated by its values."""

    def __init__(self, key: Sequence[str]) -> None:
        self._key = tuple(key)
        self._runs: list[Hashes] = []  # each sorted, each longer than the next or as long as can be
        self._last: dict[Any, int] = {}
        self._repeated: Hashes | None = None

    def add(self, batch: Batch) -> None:
        self.meets(batch)

    def meets(self, batch: Batch) -> bool:
        """Adds it. True if a key of an earlier batch comes again, or, once in a great while, seems to."""
        keys, places = _keys(batch.columns, self._key)
        hashes = _hashes(keys)
        met = _seen(self._runs, hashes)
        again = met | _repeats(hashes)
        for at in np.flatnonzero(again):
            self._last[keys[at]] = int(batch.ordinals[places[at]])
        self._runs.append(np.sort(hashes))
        while len(self._runs) > 1 and _joinable(*self._runs[-2:]):
            later = self._runs.pop()
            self._runs[-1] = np.concatenate([self._runs[-1], later])
            self._runs[-1].sort(kind="stable")
        self._repeated = None
        return bool(met.any())

    def complete(self) -> None:
        """All was seen: of keys that come once nothing need be kept."""
        self._runs = []

    def superseded(self, batch: Batch) -> NDArray[np.int64]:
        """The places in the batch of records that a later one of the file replaces."""
        if not self._last:
            return np.empty(0, np.int64)
        if self._repeated is None:
            self._repeated = np.sort(_hashes(list(self._last)))
        keys, places = _keys(batch.columns, self._key)
        found = np.flatnonzero(_seen([self._repeated], _hashes(keys)))
        replaced = [places[at] for at in found if self._last.get(keys[at], 0) > int(batch.ordinals[places[at]])]
        return np.array(replaced, np.int64)


def _keys(columns: Any, names: Sequence[str]) -> tuple[list[Any], NDArray[np.int64]]:
    """Those without NULL, and their places."""
    given = columns.select(list(names))
    places = np.arange(len(columns), dtype=np.int64)
    if any(column.null_count for column in given.columns):
        whole = np.ones(len(columns), np.bool_)
        for column in given.columns:
            whole &= column.is_valid().to_numpy(zero_copy_only=False)
        places = np.flatnonzero(whole)
        given = given.take(pa.array(places))
    values = [counted(column).to_pylist() for column in given.columns]
    return (values[0] if len(values) == 1 else list(zip(*values, strict=True))), places


def _hashes(keys: Sequence[Any]) -> Hashes:
    """Python's own: nobody outside can make texts that meet."""
    return np.fromiter(map(hash, keys), np.int64, len(keys))


def _joinable(run: Hashes, later: Hashes) -> bool:
    if run.size + later.size > _LONGEST_RUN:
        return False
    return run.size < 2 * later.size or run.size < _EARLIEST_RUN


def _seen(runs: Sequence[Hashes], hashes: Hashes) -> NDArray[np.bool_]:
    order = np.argsort(hashes)  # what is looked for in order is found several times as fast
    sought, found = hashes[order], np.zeros(hashes.size, np.bool_)
    for run in runs:
        if run.size:
            at = np.minimum(np.searchsorted(run, sought), run.size - 1)
            found[order] |= run[at] == sought
    return found


def _repeats(hashes: Hashes) -> NDArray[np.bool_]:
    """All but the first of each, within."""
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(hashes.size, np.bool_)
    again[order[1:]] = hashes[order[1:]] == hashes[order[:-1]]
    return again
