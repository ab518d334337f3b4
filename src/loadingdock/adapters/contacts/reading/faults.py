"""What can be wrong with a record before its values are looked at. Of several things the first of this list counts:
broken quotes and too long a record, bytes that cannot be decoded, NUL, too long a field, too few or too many fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loadingdock.adapters.contacts.reading.blocks import Block
from loadingdock.adapters.contacts.reading.dialect import Limits
from loadingdock.adapters.contacts.reading.outcome import RowError
from loadingdock.adapters.contacts.reading.records import Broken

_NONE, _RAGGED, _LONG_FIELD, _NUL, _UNDECODABLE, _BROKEN = range(6)


@dataclass(frozen=True, slots=True)
class Faults:
    """By record: what it is, and where: the index of a field, or an offset in the file."""

    kind: NDArray[np.uint8]
    where: NDArray[np.int64]


def faults(block: Block, columns: int, limits: Limits) -> Faults:
    records = block.records
    found = Faults((records.count != columns).astype(np.uint8), np.zeros(records.count.size, np.int64))
    if not records.begin.size:
        return found
    if int((records.end - records.begin).max()) > limits.field:
        long = np.flatnonzero(records.ends - records.starts > limits.field)[::-1]  # the first of a record is set last
        whole = np.flatnonzero(records.count)
        nth = np.searchsorted(records.first[whole], long, side="right") - 1
        long, rows = long[nth >= 0], whole[nth[nth >= 0]]
        where = long - records.first[rows]
        of_row = where < records.count[rows]  # headers and remarks lie before records and between them
        found.kind[rows[of_row]] = _LONG_FIELD
        found.where[rows[of_row]] = where[of_row]
    if b"\0" in block.text:
        nul = np.flatnonzero(np.frombuffer(block.text, np.uint8) == 0)
        found.kind[nul.searchsorted(records.end) > nul.searchsorted(records.begin)] = _NUL
    if not block.text.isascii() and not _is_utf8(block.text):
        _mark_undecodable(found, block)
    found.kind[list(records.broken)] = _BROKEN
    return found


def _is_utf8(text: bytes) -> bool:
    whole = pa.py_buffer(np.array([0, len(text)], np.int32))
    try:
        pa.StringArray.from_buffers(1, whole, pa.py_buffer(text)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _mark_undecodable(found: Faults, block: Block) -> None:
    records = block.records
    unusual = np.logical_or.reduceat(np.frombuffer(block.text, np.uint8) >= 0x80, records.begin)  # or what follows it
    for row in np.flatnonzero(unusual).tolist():
        begin = int(records.begin[row])
        try:
            block.text[begin : records.end[row]].decode()
        except UnicodeDecodeError as error:
            found.kind[row] = _UNDECODABLE
            found.where[row] = begin + error.start
    bad = found.kind == _UNDECODABLE
    found.where[bad] = block.offsets(found.where[bad])


def error(block: Block, found: Faults, row: int, names: tuple[str, ...], limits: Limits) -> RowError:
    """In words, for a record of which `kind` says that there is something."""
    records = block.records
    if broken := records.broken.get(row):
        return _broken(broken, block.line + int(records.line[row]), names, limits)
    where = int(found.where[row])
    match found.kind[row]:
        case kind if kind == _UNDECODABLE:
            return RowError(
                None,
                "undecodable",
                f"The byte at offset {where} of the file is no character of its encoding: name the encoding that the"
                " file has, or save it in the one that is named.",
            )
        case kind if kind == _NUL:
            return RowError(None, "nul", "The record has a NUL character, which no column can hold: remove it.")
        case kind if kind == _LONG_FIELD:
            return RowError(
                _name(names, where),
                "field_too_long",
                f"Value {where + 1} of the record is longer than {limits.field} bytes, the most that is taken:"
                " shorten it.",
            )
        case _:
            count, wanted = int(records.count[row]), len(names)
            few = count < wanted
            return RowError(
                None,
                "too_few_fields" if few else "too_many_fields",
                f"The record has {_values(count)}, but there are {wanted} columns: "
                + (
                    "add the missing ones, empty if need be."
                    if few
                    else "remove some, or quote a separator in a value."
                ),
            )


def _broken(broken: Broken, line: int, names: tuple[str, ...], limits: Limits) -> RowError:
    where = f"value {broken.field}" + (f", in line {line + broken.lines}," if broken.lines else "")
    reasons = {
        "record_too_long": f"The line is longer than {limits.record} bytes, the most that a record may have: see if the"
        " file has other line ends or is no CSV.",
        "text_after_quote": f"In {where} text follows the closing quote: double the quotes within the value, or end the"
        " value there.",
        "quote_in_value": f"In {where} a quote stands in a value that does not begin with one: quote the whole value"
        " and double the quotes within it.",
        "unclosed_quote": f"The quote that begins {where} is not closed in the next {limits.record} bytes, before a"
        " remark or to the end of the file: close it.",
    }
    column = _name(names, broken.field - 1) if broken.field else None
    return RowError(column, broken.code, reasons[broken.code] + " The next record begins with the next line.")


def _name(names: tuple[str, ...], index: int) -> str | None:
    return names[index] if index < len(names) else None


def _values(count: int) -> str:
    return f"{count} value" + "s" * (count != 1)
