"""The names of a file's columns: its header's, or the caller's by position."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence

from loadingdock.adapters.contacts.reading.blocks import Block
from loadingdock.adapters.contacts.reading.dialect import Dialect, Limits
from loadingdock.adapters.contacts.reading.faults import error, faults
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from loadingdock.adapters.contacts.reading.rules import ColumnRule

_FIELDS = "fieldsCode"
_SEPARATORS = frozenset(",;\t|")  # that files have


def header_names(block: Block | None, dialect: Dialect, limits: Limits) -> tuple[tuple[str, ...], bytes]:
    """The first record's values, and its own bytes. Raises FileRefused."""
    if block is None:
        raise FileRefused(
            "no_header", "The file is empty, but its first record must be the header with the names of columns.", "file"
        )
    records = block.records
    count = int(records.count[0])
    found = faults(block, count, limits)
    if found.kind[0]:
        reason = error(block, found, 0, (), limits).reason
        raise FileRefused(
            "bad_header", f"The header, in line {block.line + int(records.line[0])}, is wrong. {reason}", "file"
        )
    if count > limits.fields:
        raise FileRefused(
            "too_many_columns", f"The header has {count} names; at most {limits.fields} are taken.", "file"
        )
    first = int(records.first[0])
    double, single = (dialect.quote * 2).encode(), dialect.quote.encode()
    names = []
    for field in range(first, first + count):
        text = block.text[records.starts[field] : records.ends[field]]
        if records.escaped is not None and records.escaped[field]:
            text = text.replace(double, single)
        names.append(text.decode())
    return tuple(names), block.raw(0)


def after_header(block: Block) -> Block:
    return dataclasses.replace(block, records=block.records.part(slice(1, None)))


def named(
    header: tuple[str, ...] | None,
    given: Sequence[str] | None,
    rules: Mapping[str, ColumnRule],
    limits: Limits,
    warnings: list[str],
) -> tuple[str, ...]:
    """The rules' names in the file's order, whatever their case in the file, and whatever blanks are around them in a
    header; one that says something else than the caller adds a warning. Raises FileRefused."""
    known = {_folded(name): name for name in rules}
    if header is not None:
        header = tuple(name if _folded(name) in known else name.strip() for name in header)
    if given is not None:
        names, field = tuple(given), _FIELDS
        if header is not None and [*map(_folded, header)] != [*map(_folded, names)]:
            warnings.append(_disagreement(header, names))
    elif header is not None:
        names, field = header, "file"
    else:
        raise FileRefused("no_names", "The file has no header, so the names of its columns must be given.", _FIELDS)
    if len(names) > limits.fields:
        raise FileRefused(
            "too_many_columns", f"{len(names)} columns are named; at most {limits.fields} are taken.", field
        )
    if not names:
        raise FileRefused("no_names", "No column is named.", field)
    found: dict[str, None] = {}
    for position, name in enumerate(names, 1):
        column = known.get(_folded(name))
        if column is None:
            what = f"Column {position} has no name" if not name else f"The table has no column {name[:80]!r}"
            raise FileRefused("unknown_column", f"{what}; it has {_some(list(rules))}.{_hint(header, field)}", field)
        if column in found:
            raise FileRefused("duplicate_name", f"The column {name[:80]!r} is named twice; name it once.", field)
        found[column] = None
    return tuple(found)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _disagreement(header: tuple[str, ...], names: tuple[str, ...]) -> str:
    if len(header) != len(names):
        return f"The header has {len(header)} names, but {len(names)} were given; those given count."
    position, (theirs, ours) = next(
        (at, pair) for at, pair in enumerate(zip(header, names, strict=True), 1) if _folded(pair[0]) != _folded(pair[1])
    )
    return f"The header calls column {position} {theirs[:80]!r}, but {ours[:80]!r} was given; the names given count."


def _hint(header: tuple[str, ...] | None, field: str) -> str:
    """Of the commonest mistake of all."""
    if field == _FIELDS or header is None or len(header) > 1 or not _SEPARATORS & {*header[0]}:
        return ""
    return " If those are the names of several columns, the file has another separator than the one that was said."


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
