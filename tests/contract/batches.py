"""Batches as loaders take them, and random loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loadingdock.core.model.contacts import Column, Kind, Value

_TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True)
class Rows:
    columns: Any
    ordinals: NDArray[np.int64]


def batch_of(columns: Sequence[Column], rows: Sequence[Sequence[Value]], ordinals: Sequence[int]) -> Rows:
    arrays = [pa.array([row[place] for row in rows], arrow_type(column)) for place, column in enumerate(columns)]
    named = pa.RecordBatch.from_arrays(arrays, [column.name for column in columns])
    return Rows(named, np.array(ordinals, np.int64))


def arrow_type(column: Column) -> Any:
    """As the reader makes it."""
    if column.kind is Kind.DECIMAL:
        return pa.decimal128(column.precision, column.scale)
    return _TYPES.get(column.kind, pa.string())
