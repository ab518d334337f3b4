"""The SQL of a load, the same for both engines but for the words of `Words`.

Each batch goes by way of two temporary tables. STAGE takes it as it is: `n`, the record's ordinal, and `c0`, `c1`, ...
in the file's order. WORK has beside them the row `id` that has the record's key, NULL for none, whether the record
`differs` from that row, and what the row was `before`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from loadingdock.adapters.contacts.tables.statements import ROW_NAME, Tongue, quoted
from loadingdock.core.contactmodel import OWN, Column, ContactTable
from loadingdock.core.loading import Load, Operation

STAGE, WORK = quoted(OWN + "stage"), quoted(OWN + "work")
LOADS = OWN + "loads"
"""Beside the tables of a company: the loads that were committed."""
MAKING_LOADS = (
    "CREATE TABLE IF NOT EXISTS {0} (number bigint PRIMARY KEY, contact_table bigint NOT NULL, counts text NOT NULL,"
    " brought text NOT NULL, columns bigint NOT NULL)"
)


class Words(Protocol):
    """What the engines say in other words. `dropped`: behind a temporary table. `emptied`: of such a table. `mark`: the
    type of what `digest` makes of a list of values, another one for other values. `array`: all of a list as one text.
    """

    dropped: str
    emptied: str
    mark: str
    digest: str
    array: str

    def kept(self, column: Column, place: int) -> str:
        """The value at a place of `u.before`, which is such an array."""
        ...


Unique = tuple[Column, ...]
"""Columns of which no two rows have the same values."""


def uniques(table: ContactTable) -> tuple[Unique, ...]:
    single = tuple((column,) for column in table.visible if column.unique)
    return ((table.key_columns,) if table.key else ()) + single


def undoing(number: int) -> str:
    """The name of the table of what rows were before a load, or that they were not."""
    return f"{OWN}undo_{number:d}"


def digest(words: Words, columns: Iterable[Column]) -> str:
    """Of the row `o`."""
    return words.digest.format(", ".join(f"o.{quoted(column.name)}" for column in columns))


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
        self.upsertable = load.operation is Operation.UPDINS and any(
            {column.name for column in unique} == key for unique in uniques(table)
        )
        """The engine can do it by itself, for as long as nothing is wrong."""
        self.absent = tuple(column for column in table.visible if column.required and column.name not in load.columns)
        self.staging = f"{STAGE} ({', '.join(('n', *self._staged.values()))})"
        self.direct = f"{self.home} ({', '.join(map(quoted, self._staged))})"

    def making(self) -> tuple[str, ...]:
        columns = ", ".join(f"c{place} {self._tongue.type(each)}" for place, each in enumerate(self.columns))
        stage = f"CREATE TEMPORARY TABLE {STAGE} (n bigint, {columns}){self._words.dropped}"
        work = (
            f"CREATE TEMPORARY TABLE {WORK} (n bigint, {columns}, id bigint, differs boolean, before text)"
            f"{self._words.dropped}"
        )
        if not self._load.undoable:
            return stage, work
        return stage, work, f"CREATE TABLE {self.undo} (id bigint NOT NULL, before text, after {self._words.mark})"

    def emptying(self) -> tuple[str, ...]:
        return tuple(self._words.emptied.format(name) for name in (STAGE, WORK))

    # --- which rows it is about ------------------------------------------------------------------

    def working(self) -> str:
        load, staged = self._load, ", ".join(f"s.{name}" for name in self._staged.values())
        if not load.key:
            return f"INSERT INTO {WORK} SELECT s.n, {staged}, NULL, NULL, NULL FROM {STAGE} s"  # noqa: S608 - ours
        found, before = f"o.{ROW_NAME} IS NOT NULL", "NULL"
        if load.undoable and self._changing and load.operation is not Operation.INSNEW:
            before = f"CASE WHEN {found} AND ({self._differs('s')}) THEN {self._before} END"
        return (
            f"INSERT INTO {WORK} SELECT s.n, {staged}, o.{ROW_NAME}, CASE WHEN {found} THEN {self._differs('s')} END,"  # noqa: S608 - names are quoted
            f" {before} FROM {STAGE} s LEFT JOIN {self.home} o ON {self._same}"
        )

    @property
    def _same(self) -> str:
        return " AND ".join(f"o.{quoted(name)} = s.{self._staged[name]}" for name in self._load.key)

    @property
    def _changing(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.name not in self._load.key)

    @property
    def _before(self) -> str:
        return self._words.array.format(", ".join(f"o.{quoted(column.name)}" for column in self.columns))

    def _differs(self, source: str) -> str:
        said = (f"o.{quoted(each.name)} IS DISTINCT FROM {self._new(each, source)}" for each in self._changing)
        return " OR ".join(said) or "1 = 0"

    def _changes(self, source: str) -> str:
        return ", ".join(f"{quoted(column.name)} = {self._new(column, source)}" for column in self._changing)

    def _new(self, column: Column, source: str) -> str:
        """What the column has after the record of `source`: the stage's, the work's, or what an INSERT excluded. Of a
        record without a row, `o` is NULL."""
        if (staged := self._staged.get(column.name)) is None:
            return f"o.{quoted(column.name)}"
        brought = f"{source}.{quoted(column.name) if source == 'excluded' else staged}"
        return f"coalesce({brought}, o.{quoted(column.name)})" if self._load.ignore_empty else brought

    ambiguous = f"SELECT n, count(*) FROM {WORK} WHERE id IS NOT NULL GROUP BY n HAVING count(*) > 1"  # noqa: S608 - ours
    known = f"SELECT n FROM {WORK} WHERE id IS NOT NULL ORDER BY n"  # noqa: S608 - ours
    new = f"SELECT n FROM {WORK} WHERE id IS NULL ORDER BY n"  # noqa: S608 - ours
    unchanged = f"SELECT count(*) FROM {WORK} WHERE NOT differs"  # noqa: S608 - ours

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

    # --- the change ------------------------------------------------------------------------------

    def upserting(self) -> str:
        action = (
            f"UPDATE SET {self._changes('excluded')} WHERE {self._differs('excluded')}" if self._changing else "NOTHING"
        )
        key, names = ", ".join(map(quoted, self._load.key)), ", ".join(map(quoted, self._staged))
        return (
            f"INSERT INTO {self.home} AS o ({names}) SELECT {', '.join(self._staged.values())} FROM {STAGE} WHERE true"  # noqa: S608 - names are quoted
            f" ON CONFLICT ({key}) DO {action}"
        )

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

    def remembering_inserted(self, highest: int) -> str:
        """Those since."""
        mark = digest(self._words, self._load.table.columns)
        return (
            f"INSERT INTO {self.undo} SELECT o.{ROW_NAME}, NULL, {mark}"  # noqa: S608 - quoted
            f" FROM {self.home} o WHERE o.{ROW_NAME} > {highest:d}"
        )

    def remembering_updated(self) -> str:
        """Before it is done."""
        return (
            f"INSERT INTO {self.undo} SELECT w.id, w.before, {self._after('w')}"  # noqa: S608 - quoted
            f" FROM {WORK} w JOIN {self.home} o ON o.{ROW_NAME} = w.id WHERE w.differs"
        )

    def remembering_upserted(self) -> str:
        """Those that it will find there, before it does."""
        return (
            f"INSERT INTO {self.undo} SELECT o.{ROW_NAME}, {self._before}, {self._after('s')}"  # noqa: S608 - quoted
            f" FROM {STAGE} s JOIN {self.home} o ON {self._same} WHERE {self._differs('s')}"
        )

    def _after(self, source: str) -> str:
        return self._words.digest.format(", ".join(self._new(column, source) for column in self._load.table.columns))


class Undoing:
    """Statements that take a load back. `places` of the table's columns were brought; the first `known` were there."""

    def __init__(
        self, tongue: Tongue, words: Words, table: ContactTable, number: int, places: Sequence[int], known: int
    ):
        self._words = words
        self._home = tongue.home(table.company_id, table.code)
        self._undo = tongue.home(table.company_id, undoing(number))
        self._brought = [table.columns[place] for place in places]
        added = "".join(f" AND o.{quoted(column.name)} IS NULL" for column in table.columns[known:])
        marked = f"o.{ROW_NAME} IS NOT NULL AND {digest(words, table.columns[:known])} = u.after"
        self._inserted = f"u.before IS NULL AND {marked}{added}"
        self._updated = f"u.before IS NOT NULL AND {marked}"
        self._shown = ", ".join(f"o.{quoted(column.name)}" for column in table.visible)

    def conflicts(self) -> str:
        """The row, the same if it is there still, its values. An inserted one that is gone is as it was."""
        return (
            f"SELECT u.id, o.{ROW_NAME}, {self._shown} FROM {self._undo} u"  # noqa: S608 - quoted
            f" LEFT JOIN {self._home} o ON o.{ROW_NAME} = u.id WHERE NOT ({self._inserted}) AND NOT ({self._updated})"
            f" AND (u.before IS NOT NULL OR o.{ROW_NAME} IS NOT NULL) ORDER BY u.id"
        )

    def removing(self) -> str:
        return (
            f"DELETE FROM {self._home} WHERE {ROW_NAME} IN (SELECT o.{ROW_NAME} FROM {self._undo} u"  # noqa: S608 - names are quoted
            f" JOIN {self._home} o ON o.{ROW_NAME} = u.id WHERE {self._inserted})"
        )

    def restorable(self) -> str:
        return (
            f"SELECT u.id, o.{ROW_NAME}, {self._shown} FROM {self._undo} u JOIN {self._home} o ON o.{ROW_NAME} = u.id"  # noqa: S608 - names are quoted
            f" WHERE {self._updated} ORDER BY u.id"
        )

    def restoring(self, row: int | None = None) -> str:
        changes = ", ".join(
            f"{quoted(column.name)} = {self._words.kept(column, place)}" for place, column in enumerate(self._brought)
        )
        only = "" if row is None else f" AND u.id = {row:d}"
        return (
            f"UPDATE {self._home} AS o SET {changes} FROM {self._undo} u"  # noqa: S608 - quoted
            f" WHERE o.{ROW_NAME} = u.id AND {self._updated}{only}"
        )

    def dropping(self) -> str:
        return f"DROP TABLE IF EXISTS {self._undo}"
