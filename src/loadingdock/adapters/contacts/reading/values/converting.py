"""What the converters of all types have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Wrong:
    code: str
    reason: str


class Converter(Protocol):
    @property
    def arrow(self) -> pa.DataType: ...

    def parse(self, text: str) -> Any:
        """The value of a text that is not empty, or Wrong."""

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        """Values in `arrow`'s type, null where the text is; and the rows that only `parse` can tell about, whose values
        here mean nothing."""


def convert(converter: Converter, texts: pa.StringArray) -> tuple[pa.Array, list[tuple[int, Wrong]]]:
    """The values, null where the text is null or wrong, and what is wrong, by row."""
    values, doubtful = converter.fast(texts)
    if not doubtful.size:
        return values, []
    wrong: list[tuple[int, Wrong]] = []
    patches: list[Any] = []
    for row, text in zip(doubtful.tolist(), texts.take(pa.array(doubtful)).to_pylist(), strict=True):
        value = converter.parse(text)
        if isinstance(value, Wrong):
            wrong.append((row, value))
            value = None
        patches.append(value)
    mask = np.zeros(len(texts), np.bool_)
    mask[doubtful] = True
    return pc.replace_with_mask(values, pa.array(mask), pa.array(patches, converter.arrow)), wrong


def by_distinct(converter: Converter, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
    """A `fast` for types whose columns hold few different values."""
    encoded = texts.dictionary_encode()
    parsed = [converter.parse(text) for text in encoded.dictionary.to_pylist()]
    wrong = np.array([isinstance(value, Wrong) for value in parsed], np.bool_)
    values = pa.array([None if bad else value for value, bad in zip(parsed, wrong, strict=True)], converter.arrow)
    doubtful = np.empty(0, np.int64)
    if wrong.any():
        doubtful = np.flatnonzero(wrong[encoded.indices.fill_null(0).to_numpy()] & texts.is_valid().to_numpy(False))
    return values.take(encoded.indices), doubtful


@dataclass(frozen=True, slots=True)
class Flat:
    """A column's bytes one behind the other; row `r` is `data[offsets[r]:offsets[r + 1]]`, of `sizes[r]` bytes."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    sizes: NDArray[np.int32]

    def rows_of(self, positions: NDArray[np.int64]) -> Rows:
        return np.searchsorted(self.offsets, positions, side="right") - 1


def flat(texts: pa.StringArray) -> Flat:
    _, offsets, data = texts.buffers()
    at = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    all_bytes = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return Flat(all_bytes[at[0] : at[-1]], at - at[0], np.diff(at))


def unflat(like: pa.StringArray, offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> pa.StringArray:
    """Null where `like` is, which is no slice."""
    return pa.StringArray.from_buffers(len(like), pa.py_buffer(offsets), pa.py_buffer(data), like.buffers()[0])


def without(texts: pa.StringArray, rows: NDArray[np.bool_]) -> pa.StringArray:
    """Null in those rows too."""
    return pc.if_else(pa.array(rows), pa.scalar(None, pa.string()), texts) if rows.any() else texts


def shown(text: str) -> str:
    """For a sentence: as a person would recognise it, on one line, of a bearable length."""
    cut = text if len(text) <= 40 else text[:37] + "..."
    return f"'{cut}'" if cut.isprintable() else ascii(cut)


def words(alternatives: Sequence[str], last: str = "or") -> str:
    return (
        f" {last} ".join((", ".join(alternatives[:-1]), alternatives[-1])) if len(alternatives) > 1 else alternatives[0]
    )
