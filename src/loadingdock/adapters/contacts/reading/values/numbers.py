"""Integers and decimals: ASCII digits, perhaps a minus before them, and nothing else."""

from __future__ import annotations

import decimal
import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.rules import Decimal
from loadingdock.adapters.contacts.reading.values.converting import (
    Flat,
    Rows,
    Wrong,
    flat,
    shown,
    unflat,
    without,
)

_MINUS = 45
_INTEGER = re.compile(r"-?[0-9]+")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_SURELY_INTEGER = 18  # digits, of which any 64 bits hold, or 17 and a minus


def _others(column: Flat) -> tuple[NDArray[np.int64], Rows, NDArray[np.bool_]]:
    """Where there is no digit, in which rows, and if it is a minus before at least one character."""
    at = np.flatnonzero(column.data - np.uint8(48) > 9)
    rows = column.rows_of(at)
    minus = (column.data[at] == _MINUS) & (column.offsets[rows] == at) & (column.sizes[rows] > 1)
    return at, rows, minus


class Integers:
    arrow = pa.int64()

    def parse(self, text: str) -> int | Wrong:
        if _INTEGER.fullmatch(text) is None:
            return Wrong(
                "not_an_integer",
                f"{shown(text)} is no whole number: write digits, with a minus before them if it is negative.",
            )
        digits = text.lstrip("-").lstrip("0")
        # int() of thousands of digits is refused, be they zeros.
        value = int(digits or "0") * (-1 if text[0] == "-" else 1) if len(digits) < 20 else None
        if value is None or not _LEAST <= value <= _MOST:
            return Wrong("out_of_range", f"{shown(text)} is out of range: at least {_LEAST}, at most {_MOST}.")
        return value

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        column = flat(texts)
        doubtful = column.sizes > _SURELY_INTEGER
        _, rows, minus = _others(column)
        doubtful[rows[~minus]] = True
        return without(texts, doubtful).cast(self.arrow), np.flatnonzero(doubtful)


class Decimals:
    def __init__(self, rule: Decimal) -> None:
        self._scale = rule.scale
        self._whole = rule.precision - rule.scale
        self._point = "," if rule.comma else "."
        self._form = re.compile(rf"-?[0-9]+(?:{re.escape(self._point)}[0-9]+)?")
        self.arrow = pa.decimal128(rule.precision, rule.scale)

    def parse(self, text: str) -> decimal.Decimal | Wrong:
        if self._form.fullmatch(text) is None:
            point = "comma" if self._point == "," else "point"
            return Wrong(
                "not_a_decimal",
                f"{shown(text)} is no decimal number: write digits, with a minus before them if it is negative, a"
                f" {point} before the decimal places, and nothing between thousands.",
            )
        whole, _, places = text.partition(self._point)
        if len(places) > self._scale:
            return Wrong(
                "too_many_places",
                f"{shown(text)} has {len(places)} decimal places, but the column has {self._scale}: round it.",
            )
        whole = whole.lstrip("-").lstrip("0")
        if len(whole) > self._whole:
            return Wrong(
                "out_of_range",
                f"{shown(text)} has {len(whole)} digits before the decimal places, but the column has room for"
                f" {self._whole}.",
            )
        # Not of the text, whose zeros alone may be more than a number has digits.
        value = decimal.Decimal(f"{whole or '0'}.{places or '0'}")
        return value.copy_negate() if text[0] == "-" else value

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        column = flat(texts)
        at, rows, minus = _others(column)
        point = column.data[at] == ord(self._point)
        doubtful = np.zeros(len(texts), np.bool_)
        doubtful[rows[~(minus | point)]] = True
        point_at, point_rows = at[point], rows[point]
        doubtful[point_rows[1:][point_rows[1:] == point_rows[:-1]]] = True  # two points
        places = np.zeros(len(texts), np.int32)
        places[point_rows] = column.offsets[point_rows + 1] - point_at - 1
        with_point = np.zeros(len(texts), np.int32)
        with_point[point_rows] = 1
        negative = np.zeros(len(texts), np.int32)
        negative[rows[minus]] = 1
        whole = column.sizes - places - with_point - negative
        doubtful |= (places > self._scale) | (whole > self._whole)
        doubtful |= (column.sizes > 0) & ((whole < 1) | (places < with_point))
        if self._point != "." and point_at.size:
            data = column.data.copy()
            data[point_at] = ord(".")
            texts = unflat(texts, column.offsets, data)
        return without(texts, doubtful).cast(self.arrow), np.flatnonzero(doubtful)
