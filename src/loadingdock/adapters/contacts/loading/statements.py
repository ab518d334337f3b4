"""The SQL of a load, the same for both engines but for the words of `Words`.

Each batch goes by way of two temporary tables. STAGE takes it as it is: `n`, the record's ordinal, and `c0`, `c1`, ...
in the file's order. WORK has beside them the row `id` that has the record's key, NULL for none, and whether the record
`differs` from that row. Where nothing can be against any record, neither is needed, or only STAGE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from loadingdock.adapters.contacts.loading.undoing import null
from loadingdock.adapters.contacts.tables.former import kept, making_undo, undoing
from loadingdock.adapters.contacts.tables.plans import indexes, indexing
from loadingdock.adapters.contacts.tables.statements import LOAD_NAME, ROW_NAME, Tongue, quoted
from loadingdock.core.loading import Load, Operation
from loadingdock.core.model.contacts import OWN, Column, ContactTable

STAGE, WORK, WATCH = quoted(OWN + "stage"), quoted(OWN + "work"), quoted(OWN + "watch")


class Words(Protocol):
    """What the engines say in other words. `dropped`: behind a temporary table. `emptied`: of such a table. `merges`:
    one statement may find rows, keep what they are and change them; where none can, a trigger keeps it. `returns`: it
    costs little to go back to where a batch began; where it does not, an index may be made after what it is of.
    """

    dropped: str
    emptied: str
    merges: bool
    returns: bool


Unique = tuple[Column, ...]
"""Columns of which no two rows have the same values."""


Old = Callable[[Column], str]
"""What a column was."""


def _of(row: str) -> Old:
    return lambda column: f"{row}.{quoted(column.name)}"


_OF_ROW = _of("o")


def uniques(table: ContactTable) -> tuple[Unique, ...]:
    single = tuple((column,) for column in table.visible if column.unique)
    return ((table.key_columns,) if table.key else ()) + single


class Loading:
    """Statements of one load."""

    def __init__(self, tongue: Tongue, words: Words, load: Load) -> None:
        table = load.table
        self._tongue, self._words, self._load = tongue, words, load
        self.columns = tuple(table.column(name) for name in load.columns)
        self.home = tongue.home(table.company_id, table.code)
        self.undo = tongue.home(table.company_id, undoing(load.number))
        self._staged = {column.name: f"c{place}" for place, column in enumerate(self.columns)}
        key = {*load.key}
        self.uniques = tuple(
            unique
            for unique in uniques(table)
            # Of the key itself nothing is left to check: it was looked up, and comes once.
            if {column.name for column in unique} != key and any(column.name in self._staged for column in unique)
        )
        self.indexed = any({column.name for column in unique} <= key for unique in uniques(table))
        """The row of a key is found by an index, and is one at most."""
        self.optional = tuple(column for column in self.columns if column.required and not load.needs(column))
        """Contacts that are there keep what they have, new ones need a value."""
        # With other unique columns, the order of the rows would decide whether a value is free by then.
        self.upsertable = (
            load.operation is Operation.UPDINS
            and not self.uniques
            and not self.optional
            and any({column.name for column in unique} == key for unique in uniques(table))
        )
        """The engine can do it by itself: of new contacts and of others, none is refused."""
        self.absent = tuple(column for column in table.visible if column.required and column.name not in load.columns)
        self.staging = f"{STAGE} ({', '.join(('n', *self._staged.values()))})"
        names = ", ".join(map(quoted, self._staged))
        self.direct, self.upserted = f"{self.home} ({names})", f"{self.home} AS o ({names})"
        self.bringing = f"{self.home} ({ROW_NAME}, {names})"
        """Rows that have their numbers."""

        self.changed = self._changing if load.operation in {Operation.UPDINS, Operation.UPALL} else ()
        """Columns that rows have other values in afterwards."""
        self.keeps = load.undoable and bool(self.changed)
        """What rows were, in the undo table."""
        self._kept = {column.name: kept(table.columns.index(column)) for column in self.changed}

    def making(self) -> Iterator[str]:
        columns = ", ".join(f"c{place} {self._tongue.type(each)}" for place, each in enumerate(self.columns))
        yield f"CREATE TEMPORARY TABLE {STAGE} (n bigint, {columns}){self._words.dropped}"
        yield f"CREATE TEMPORARY TABLE {WORK} (n bigint, {columns}, id bigint, differs boolean){self._words.dropped}"
        if not self.keeps:
            return
        yield making_undo(self._tongue, self.undo, {self._kept[each.name]: each for each in self.changed})
        if not self._words.merges:
            values = ", ".join(self._former("old", _of("old"), _of("new")))
            yield (
                f"CREATE TEMPORARY TRIGGER {WATCH} AFTER UPDATE ON main.{self.home}"  # noqa: S608 - names are quoted
                f" BEGIN INSERT INTO {self.undo} VALUES ({values}); END"
            )

    def unindexing(self) -> Iterator[str]:
        table = self._load.table
        for name in sorted(indexes(table)):
            yield f"DROP INDEX {self._tongue.home(table.company_id, name)}"

    def indexing(self) -> Iterator[str]:
        return indexing(self._tongue, self._load.table)

    def emptying(self, temporary: str) -> str:
        return self._words.emptied.format(temporary)

    # --- which rows it is about ------------------------------------------------------------------

    def working(self) -> str:
        load, staged = self._load, ", ".join(f"s.{name}" for name in self._staged.values())
        if not load.key:
            return f"INSERT INTO {WORK} SELECT s.n, {staged}, NULL, NULL FROM {STAGE} s"  # noqa: S608 - ours
        differs = f"CASE WHEN o.{ROW_NAME} IS NOT NULL THEN {self._differs('s')} END"
        return (
            f"INSERT INTO {WORK} SELECT s.n, {staged}, o.{ROW_NAME}, {differs}"  # noqa: S608 - names are quoted
            f" FROM {STAGE} s LEFT JOIN {self.home} o ON {self._same}"
        )

    @property
    def _same(self) -> str:
        return " AND ".join(f"o.{quoted(name)} = s.{self._staged[name]}" for name in self._load.key)

    @property
    def _changing(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.name not in self._load.key)

    def _differs(self, source: str) -> str:
        said = (f"o.{quoted(each.name)} IS DISTINCT FROM {self._new(each, source)}" for each in self._changing)
        return " OR ".join(said) or "1 = 0"

    def _changes(self, source: str) -> str:
        changes = (f"{quoted(column.name)} = {self._new(column, source)}" for column in self._changing)
        return ", ".join((*changes, f"{LOAD_NAME} = {self._load.number:d}"))

    def _new(self, column: Column, source: str, old: Old = _OF_ROW) -> str:
        """What the column has after the record of `source`: the stage's, the work's, or what an INSERT excluded. Of a
        record without a row, `old` is NULL."""
        if (staged := self._staged.get(column.name)) is None:
            return old(column)
        brought = f"{source}.{quoted(column.name) if source == 'excluded' else staged}"
        return f"coalesce({brought}, {old(column)})" if self._load.ignore_empty else brought

    ambiguous = f"SELECT n, count(*) FROM {WORK} WHERE id IS NOT NULL GROUP BY n HAVING count(*) > 1"  # noqa: S608 - ours
    known = f"SELECT n FROM {WORK} WHERE id IS NOT NULL ORDER BY n"  # noqa: S608 - ours
    new = f"SELECT n FROM {WORK} WHERE id IS NULL ORDER BY n"  # noqa: S608 - ours
    unchanged = f"SELECT count(*) FROM {WORK} WHERE NOT differs"  # noqa: S608 - ours

    def lacking(self, column: Column) -> str:
        return f"SELECT n FROM {WORK} WHERE id IS NULL AND {self._staged[column.name]} IS NULL ORDER BY n"  # noqa: S608 - ours

    def leaving_out(self, ordinals: Iterable[int]) -> str:
        return f"DELETE FROM {WORK} WHERE n IN ({', '.join(f'{n:d}' for n in ordinals)})"  # noqa: S608 - numbers

    # --- values that only one may have -----------------------------------------------------------

    def taken(self, unique: Unique) -> str:
        """Records, and which row of the table has the value they bring."""
        same = " AND ".join(f"x.{quoted(column.name)} = {self._new(column, 'w')}" for column in unique)
        return (
            f"SELECT w.n, min(x.{ROW_NAME}) FROM {self._image(unique)}"  # noqa: S608 - quoted
            f" JOIN {self.home} x ON {same} AND x.{ROW_NAME} IS DISTINCT FROM w.id"
            " WHERE (w.id IS NULL OR w.differs) GROUP BY w.n"
        )

    def repeated(self, unique: Unique) -> str:
        """Records that bring a value of which there are several, and the value."""
        values = [self._new(column, "w") for column in unique]
        shown = ", ".join(f"{value} AS v{place}" for place, value in enumerate(values))
        given = " AND ".join(f"{value} IS NOT NULL" for value in values)
        return (
            f"SELECT * FROM (SELECT w.n, count(*) OVER (PARTITION BY {', '.join(values)}) AS times, {shown}"  # noqa: S608 - names are quoted
            f" FROM {self._image(unique)} WHERE (w.id IS NULL OR w.differs) AND {given}) AS brought WHERE times > 1"
        )

    def _image(self, unique: Unique) -> str:
        if self._load.ignore_empty or any(column.name not in self._staged for column in unique):
            return f"{WORK} w LEFT JOIN {self.home} o ON o.{ROW_NAME} = w.id"
        return f"{WORK} w"

    def freeing(self) -> str:
        """A record by which a row gives such a value up, if there is one."""
        columns = {column: f"o.{quoted(column.name)}" for unique in self.uniques for column in unique}
        freed = (
            f"({old} IS NOT NULL AND {old} IS DISTINCT FROM {self._new(column, 'w')})"
            for column, old in columns.items()
        )
        return (
            f"SELECT w.n FROM {WORK} w JOIN {self.home} o ON o.{ROW_NAME} = w.id"  # noqa: S608 - quoted
            f" WHERE w.differs AND ({' OR '.join(freed)}) LIMIT 1"
        )

    # --- the change ------------------------------------------------------------------------------

    def upserting(self) -> str:
        """Behind an INSERT of records into `home AS o`: of those whose key is there."""
        key = ", ".join(map(quoted, self._load.key))
        if not self.changed:
            return f"ON CONFLICT ({key}) DO NOTHING"
        return f"ON CONFLICT ({key}) DO UPDATE SET {self._changes('excluded')} WHERE {self._differs('excluded')}"

    def merging(self) -> str:
        """From the stage, what rows were being kept: how many are inserted, and how many updated."""

        def was(column: Column) -> str:
            return f"f.was_{self._kept[column.name]}"

        there, staged = f"o.{ROW_NAME} IS NOT NULL", ", ".join(self._staged.values())
        # What every pass asks for comes first. What rows were is compared for those alone that are kept.
        found = [f"{there} AS there, {there} AND ({self._differs('s')}) AS differs, o.ctid AS place", staged]
        if self.keeps:
            found.append(f"o.{ROW_NAME}, o.{LOAD_NAME}")
            found += (f"o.{quoted(name)} AS was_{kept}" for name, kept in self._kept.items())
        parts = {
            "found": f"SELECT {', '.join(found)} FROM {STAGE} s LEFT JOIN {self.home} o ON {self._same}",  # noqa: S608 - quoted
            "added": f"INSERT INTO {self.direct} SELECT {staged} FROM found WHERE NOT there",  # noqa: S608 - quoted
        }
        if self.keeps:
            former = ", ".join(self._former("f", was, lambda column: self._new(column, "f", was)))
            parts["kept"] = f"INSERT INTO {self.undo} SELECT {former} FROM found f WHERE differs"  # noqa: S608 - quoted
        if self.changed:
            # By place, which needs no index.
            parts["changed"] = (
                f"UPDATE {self.home} AS o SET {self._changes('f')} FROM found f"  # noqa: S608 - names are quoted
                " WHERE o.ctid = f.place AND f.differs"
            )
        said = ", ".join(f"{name} AS MATERIALIZED ({part})" for name, part in parts.items())
        counts = "count(*) FILTER (WHERE NOT there), count(*) FILTER (WHERE differs)"
        return f"WITH {said} SELECT {counts} FROM found"  # noqa: S608 - names are quoted

    def since(self, highest: int) -> str:
        """How many rows are new. Their numbers only grow, and nobody else writes."""
        return f"SELECT count(*) FROM {self.home} WHERE {ROW_NAME} > {highest:d}"  # noqa: S608 - quoted

    def updating(self) -> str:
        return f"UPDATE {self.home} AS o SET {self._changes('w')} FROM {WORK} w WHERE o.{ROW_NAME} = w.id AND w.differs"  # noqa: S608 - names are quoted

    def inserting(self) -> str:
        return f"INSERT INTO {self.direct} SELECT {', '.join(self._staged.values())} FROM {WORK} WHERE id IS NULL"  # noqa: S608 - names are quoted

    # --- what is kept for undoing it -------------------------------------------------------------

    def highest(self) -> str:
        return f"SELECT coalesce(max({ROW_NAME}), 0) FROM {self.home}"  # noqa: S608 - quoted

    def keeping(self) -> str:
        """Of rows that the work will change, before it does."""
        former = ", ".join(self._former("o", _OF_ROW, lambda column: self._new(column, "w")))
        return (
            f"INSERT INTO {self.undo} SELECT {former}"  # noqa: S608 - quoted
            f" FROM {WORK} w JOIN {self.home} o ON o.{ROW_NAME} = w.id WHERE w.differs"
        )

    def _former(self, row: str, old: Old, new: Callable[[Column], str]) -> Iterator[str]:
        """What the undo table's columns take of a row that changes: what it was where it changes, else NULL, and in
        `nulls` the names of those of them where it was NULL."""
        empty = {
            null(self._kept[each.name]): f"({old(each)} IS NULL AND {new(each)} IS NOT NULL)" for each in self.changed
        }
        told = " || ".join(f"CASE WHEN {each} THEN {name} ELSE '' END" for name, each in empty.items())
        yield f"{row}.{ROW_NAME}"
        yield f"{row}.{LOAD_NAME}"
        yield f"CASE WHEN {' OR '.join(empty.values())} THEN {told} END"
        for column in self.changed:
            yield f"CASE WHEN {old(column)} IS DISTINCT FROM {new(column)} THEN {old(column)} END"
