"""What may be changed of a contact table, and the table that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import TEXTS, Column, ContactTable, Kind, checked, folded


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """None leaves a thing as it is; an empty text or tuple takes it away. `type` is a column that has the new type, its
    `max`, `precision` and `scale`, and nothing else to say."""

    name: str | None = None
    type: Column | None = None
    required: bool | None = None
    unique: bool | None = None
    formats: tuple[str, ...] | None = None
    region: str | None = None
    comma: bool | None = None
    zone: str | None = None
    retired: bool | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """All of it at once, or nothing. `columns` are changed by their present names; `added` come behind them."""

    name: str | None = None
    region: str | None = None
    ignore_empty: bool | None = None
    key: tuple[str, ...] | None = None
    added: tuple[Column, ...] = ()
    columns: Mapping[str, ColumnChange] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return self == Change()


def redeclared(column: Column) -> ColumnChange:
    """What makes a column of that name this one, whatever it was."""
    return ColumnChange(
        type=column,
        required=column.required,
        unique=column.unique,
        formats=column.formats,
        region=column.region or "",
        comma=column.comma,
        zone=column.zone or "",
    )


def altered(table: ContactTable, change: Change, now: datetime) -> ContactTable:
    """Raises InvalidInput for what cannot be, whatever rows there are."""
    if change.empty:
        raise InvalidInput("There is nothing to change.")
    places = {folded(column.name): place for place, column in enumerate(table.columns)}
    columns = list(table.columns)
    renamed: dict[str, str] = {}
    for name, one in change.columns.items():
        place = places.get(folded(name))
        if place is None:
            known = ", ".join(column.name for column in table.columns)
            raise InvalidInput(f"The table {table.code} has no column {name!r}; it has {known}.", field="columns")
        old = columns[place]
        if old is not table.columns[place]:
            raise InvalidInput(f"The column {old.name!r} is changed twice.", field="columns")
        columns[place] = _column(old, one, now)
        renamed[old.name] = columns[place].name
        if one.retired and old.name in table.key and change.key is None:
            raise InvalidInput(f"{old.name} belongs to the key; give another key, then retire it.", field=old.name)
    key = tuple(renamed.get(name, name) for name in table.key) if change.key is None else change.key
    return checked(
        replace(
            table,
            name=table.name if change.name is None else change.name,
            region=table.region if change.region is None else change.region or None,
            ignore_empty=table.ignore_empty if change.ignore_empty is None else change.ignore_empty,
            columns=(*columns, *change.added),
            key=key,
            changed_at=now,
            version=table.version + 1,
        )
    )


def _column(old: Column, change: ColumnChange, now: datetime) -> Column:
    new = replace(
        old,
        name=old.name if change.name is None else change.name,
        required=old.required if change.required is None else change.required,
        unique=old.unique if change.unique is None else change.unique,
        formats=old.formats if change.formats is None else change.formats,
        region=old.region if change.region is None else change.region or None,
        comma=old.comma if change.comma is None else change.comma,
        zone=old.zone if change.zone is None else change.zone or None,
    )
    if change.retired is not None and change.retired != old.retired:
        new = replace(new, retired_at=now if change.retired else None)
    if change.type is None:
        return new
    kind = change.type.kind
    if not _may_become(old.kind, kind):
        raise InvalidInput(
            f"{old.name} is of type {old.type} and cannot become {change.type.type}: email and phone become text,"
            " integer and decimal each other. Add a column of the new type instead, and retire this one.",
            field=old.name,
        )
    return replace(
        new,
        kind=kind,
        max=change.type.max,
        precision=change.type.precision,
        scale=change.type.scale,
        comma=new.comma and kind is Kind.DECIMAL,
        region=new.region if kind is Kind.PHONE else None,
    )


def _may_become(old: Kind, new: Kind) -> bool:
    return old is new or (old in TEXTS and new is Kind.TEXT) or {old, new} == {Kind.INTEGER, Kind.DECIMAL}
