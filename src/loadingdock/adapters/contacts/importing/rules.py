"""What a table's columns and an import's parameters are to the reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

from loadingdock.adapters.contacts.reading import rules
from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.outcome import FileRefused
from loadingdock.adapters.contacts.reading.rules import ColumnRule
from loadingdock.core.errors import InvalidInput
from loadingdock.core.loading import Load
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.model.imports import Asked

# The reader's names of parameters are the wire's.
_FIELDS = {"separator": "separator", "quote": "quote", "encodingType": "encoding", "fieldsCode": "columns"}


def dialect(asked: Asked) -> Dialect:
    """Raises FileRefused."""
    return Dialect(asked.separator, asked.quote, asked.header, asked.encoding)


def column_rules(table: ContactTable, load: Load | None = None) -> dict[str, ColumnRule]:
    """For the load, or as the table is declared."""
    return {
        column.name: ColumnRule(column.name, _type(column, table), load.needs(column) if load else column.required)
        for column in table.visible
    }


def _type(column: Column, table: ContactTable) -> rules.Type:
    match column.kind:
        case Kind.TEXT:
            return rules.Text(column.max)
        case Kind.INTEGER:
            return rules.Integer()
        case Kind.DECIMAL:
            return rules.Decimal(column.precision or 0, column.scale or 0, column.comma)
        case Kind.BOOLEAN:
            return _boolean(column.formats)
        case Kind.DATE:
            return rules.Date(column.formats)
        case Kind.DATETIME:
            return rules.Datetime(column.formats, column.zone or "UTC")
        case Kind.EMAIL:
            return rules.Email()
        case Kind.PHONE:
            return rules.Phone(column.region or table.region)
        case _:
            assert_never(column.kind)


def _boolean(pairs: tuple[str, ...]) -> rules.Boolean:
    """Of `yes/no`, the word for true first."""
    if not pairs:
        return rules.Boolean()
    words = [[word.strip() for word in pair.split("/")] for pair in pairs]
    return rules.Boolean(tuple(true for true, _ in words), tuple(false for _, false in words))


@contextmanager
def refusals() -> Iterator[None]:
    """A file that is refused is invalid input, under a name of Asked or `file`."""
    try:
        yield
    except FileRefused as error:
        raise InvalidInput(str(error), field=_FIELDS.get(error.field or "", "file")) from error
