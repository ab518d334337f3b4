"""How a table is made, and how one becomes another: what has to be true of its rows, then what is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadingdock.adapters.contacts.tables.statements import LOAD_NAME, ROW_NAME, Tongue, index, quoted
from loadingdock.core.model.contacts import OWN, Column, ContactTable, Kind

SHOWN = 5
"""Offenders that are told."""


@dataclass(frozen=True, slots=True)
class Check:
    """`count` says how many rows are in the way, `first` the numbers of the first of them and what they hold under
    `columns`."""

    count: str
    first: str
    columns: tuple[Column, ...]
    sentence: str


def making(tongue: Tongue, table: ContactTable) -> Iterator[str]:
    home = tongue.home(table.company_id, table.code)
    own = f"{ROW_NAME} {tongue.row}", f"{LOAD_NAME} {tongue.load}"
    columns = (f"{quoted(column.name)} {tongue.type(column)}" for column in table.columns)
    yield f"CREATE TABLE {home} ({', '.join((*own, *columns))}){tongue.end}"
    yield from indexing(tongue, table)


def indexing(tongue: Tongue, table: ContactTable) -> Iterator[str]:
    """Makes all of its indexes."""
    for place, column in enumerate(table.columns):
        if _is_unique(column):
            yield _indexing(tongue, table, place, (column,))
    if table.key:
        yield _indexing(tongue, table, "key", table.key_columns)


def checks(tongue: Tongue, table: ContactTable, was: ContactTable) -> Iterator[Check]:
    """In the names of `was`."""
    home = tongue.home(was.company_id, was.code)
    for old, new in zip(was.columns, table.columns, strict=False):
        name = quoted(old.name)
        if _is_required(new) and not _is_required(old):
            yield _rows(home, f"{name} IS NULL", (old,), f"have no value for {old.name}")
        if _is_unique(new) and not _is_unique(old):
            yield _duplicates(home, (old,))
        if new.kind is Kind.TEXT and new.max is not None and (old.max is None or new.max < old.max):
            yield _rows(
                home, f"length({name}) > {new.max:d}", (old,), f"have more than {new.max} characters in {old.name}"
            )
        if (lossy := tongue.lossy(old, new)) is not None:
            yield _rows(home, lossy, (old,), f"have a number in {old.name} that {new.type} cannot hold")
    for column in table.columns[len(was.columns) :]:
        if _is_required(column):
            yield _rows(home, "1 = 1", (), f"would have no value for {column.name}")
    places = _key_places(table)
    if places and places != _key_places(was) and max(places) < len(was.columns):
        yield _duplicates(home, tuple(was.columns[place] for place in places))


def _rows(home: str, where: str, columns: tuple[Column, ...], sentence: str) -> Check:
    shown = ", ".join((ROW_NAME, *(quoted(column.name) for column in columns)))
    return Check(
        f"SELECT count(*) FROM {home} WHERE {where}",  # noqa: S608 - quoted
        f"SELECT {shown} FROM {home} WHERE {where} ORDER BY {ROW_NAME} LIMIT {SHOWN}",  # noqa: S608 - quoted
        columns,
        sentence,
    )


def _duplicates(home: str, columns: tuple[Column, ...]) -> Check:
    """NULL is equal to nothing."""
    names = ", ".join(quoted(column.name) for column in columns)
    given = " AND ".join(f"{quoted(column.name)} IS NOT NULL" for column in columns)
    grouped = f"FROM {home} WHERE {given} GROUP BY {names} HAVING count(*) > 1"
    return Check(
        f"SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n {grouped}) AS same",  # noqa: S608 - quoted
        f"SELECT min({ROW_NAME}), {names} {grouped} ORDER BY 1 LIMIT {SHOWN}",
        columns,
        f"share their {', '.join(column.name for column in columns)} with another one",
    )


def altering(tongue: Tongue, table: ContactTable, was: ContactTable) -> Iterator[str]:
    home = tongue.home(was.company_id, was.code)
    pairs = list(zip(was.columns, table.columns, strict=False))
    rekeyed = _key_places(table) != _key_places(was)
    if rekeyed and was.key:
        yield f"DROP INDEX {tongue.home(was.company_id, index(was, 'key'))}"
    for place, (old, new) in enumerate(pairs):
        if _is_unique(old) and not _is_unique(new):
            yield f"DROP INDEX {tongue.home(was.company_id, index(was, place))}"
    # By way of names that nobody has, so that two may change theirs for one another's.
    renamed = [(place, old, new) for place, (old, new) in enumerate(pairs) if old.name != new.name]
    for place, old, _ in renamed:
        yield f"ALTER TABLE {home} RENAME COLUMN {quoted(old.name)} TO {quoted(f'{OWN}{place}')}"
    for place, _, new in renamed:
        yield f"ALTER TABLE {home} RENAME COLUMN {quoted(f'{OWN}{place}')} TO {quoted(new.name)}"
    for old, new in pairs:
        yield from tongue.retyped(home, old, new)
    for column in table.columns[len(pairs) :]:
        yield f"ALTER TABLE {home} ADD COLUMN {quoted(column.name)} {tongue.type(column)}"
    for place, new in enumerate(table.columns):
        if _is_unique(new) and not (place < len(pairs) and _is_unique(pairs[place][0])):
            yield _indexing(tongue, table, place, (new,))
    if rekeyed and table.key:
        yield _indexing(tongue, table, "key", table.key_columns)


def indexes(table: ContactTable) -> set[str]:
    """The names of all that the table has."""
    unique = {index(table, place) for place, column in enumerate(table.columns) if _is_unique(column)}
    return unique | ({index(table, "key")} if table.key else set())


def _indexing(tongue: Tongue, table: ContactTable, what: str | int, columns: tuple[Column, ...]) -> str:
    names = ", ".join(f"{quoted(column.name)}{tongue.first}" for column in columns)
    home = tongue.home(table.company_id, table.code)
    return f"CREATE UNIQUE INDEX {quoted(index(table, what))} ON {home} ({names})"


def _key_places(table: ContactTable) -> tuple[int, ...]:
    places = {column.name: place for place, column in enumerate(table.columns)}
    return tuple(places[name] for name in table.key)


def _is_unique(column: Column) -> bool:
    return column.unique and not column.retired


def _is_required(column: Column) -> bool:
    return column.required and not column.retired
