"""SQLite's side of a move. Everything here blocks and belongs in a thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from loadingdock.adapters.moving.tables import Row, Table, Value
from loadingdock.adapters.records.sealing import LOG, MARK, OWN, WORDS
from loadingdock.adapters.records.sqlite import schema
from loadingdock.adapters.records.sqlite.connection import connect, refusal

_TRIGGER = OWN + "sealed_"


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.place = f"SQLite {self.path}"

    def version(self) -> int:
        if not self.path.exists():
            return 0
        with _errors():
            return schema.version(self.path)

    def migrate(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _errors():
            schema.migrate(self.path)

    @contextmanager
    def reading(self) -> Iterator[SqliteSession]:
        with self._transaction("BEGIN", readonly=True) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[SqliteSession]:
        with self._transaction("BEGIN IMMEDIATE", readonly=False) as session:
            yield session

    @contextmanager
    def _transaction(self, begin: str, *, readonly: bool) -> Iterator[SqliteSession]:
        with _errors():
            connection = connect(self.path, readonly=readonly)
            try:
                connection.execute(begin)
                yield SqliteSession(connection)
                connection.execute("COMMIT")
            finally:
                connection.close()  # and, after an exception, rolls back


class SqliteSession:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def ask(self, statement: str, *values: Value) -> list[Row]:
        return list(self.stream(statement, *values))

    def stream(self, statement: str, *values: Value) -> Iterator[Row]:
        yield from self._connection.execute(statement, values)

    def load(self, table: Table, rows: Iterable[Row]) -> None:
        columns, places = ", ".join(table.columns), ", ".join("?" * len(table.columns))
        self._connection.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", rows)  # noqa: S608 - our own names

    def count_on(self, table: Table) -> None:
        """It always goes on behind the largest: https://sqlite.org/autoinc.html"""

    def tables(self) -> list[Table]:
        names = [
            str(name)
            for (name,) in self.ask(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            )
        ]
        return [self._table(name) for name in names if not name.startswith(OWN)]

    def _table(self, name: str) -> Table:
        columns = self.ask("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", name)
        parents = self.ask('SELECT DISTINCT "table" FROM pragma_foreign_key_list(?)', name)
        key = sorted((pk, column, kind) for column, kind, pk in columns if isinstance(pk, int) and pk)
        serial = str(key[0][1]) if len(key) == 1 and key[0][2] == "INTEGER" else None
        return Table(
            name,
            tuple(str(column) for column, _, _ in columns),
            tuple(str(column) for _, column, _ in key),
            frozenset(str(parent) for (parent,) in parents),
            serial,
        )

    def marked(self) -> bool:
        return self._connection.table_exists(None, MARK)

    def seal(self, tables: Sequence[Table]) -> None:
        """Who holds the write lock, as this transaction does, is alone."""
        for table in tables:
            if table.name != LOG:
                for deed in ("INSERT", "UPDATE", "DELETE"):
                    self._connection.execute(
                        f"CREATE TRIGGER {_TRIGGER}{table.name}_{deed.lower()} BEFORE {deed} ON {table.name}"
                        f" BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
                    )

    def unseal(self) -> None:
        for row in self.ask("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            if (name := str(row[0])).startswith(_TRIGGER):
                self._connection.execute(f"DROP TRIGGER {name}")


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        if (refused := refusal(error)) is None:
            raise
        raise refused() from error
