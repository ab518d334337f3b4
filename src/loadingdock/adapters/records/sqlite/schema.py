"""Bringing the schema up to date, and looking whether the database is sound. Blocking."""

from __future__ import annotations

from pathlib import Path

import apsw

from loadingdock.adapters.records import sealing
from loadingdock.adapters.records.queries import fill, migrations
from loadingdock.adapters.records.sqlite.connection import WORDS, connect
from loadingdock.core.errors import Conflict
from loadingdock.core.ports.examination import Examination

_APPLICATION = 0x4C446F63  # "LDoc", in the file's header: https://sqlite.org/fileformat.html#application_id
_PATIENCE_MS = 120_000  # another process may be migrating a large database


def known_version() -> int:
    return len(migrations())


def version(path: Path) -> int:
    """0 for a database without our tables. Raises Conflict for another program's."""
    connection = connect(path)
    try:
        return version_of(connection)
    finally:
        connection.close()


def migrate(path: Path) -> tuple[int, int]:
    """All of the missing migrations or none, in one transaction under the write lock: a second process waits, then
    finds nothing to do. Raises Conflict for a newer database and for another program's."""
    connection = connect(path)
    try:
        connection.set_busy_timeout(_PATIENCE_MS)
        connection.execute("BEGIN IMMEDIATE")
        before, known = version_of(connection), known_version()
        if before > known:
            raise Conflict(
                f"The database has schema version {before}, but this program knows versions up to {known}: "
                "start a newer program, or restore a backup from before the upgrade."
            )
        if before == known:  # then nothing is written, and no commit waits for the disk
            return before, known
        for number, text in migrations()[before:]:
            connection.execute(fill(text, WORDS))
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute("COMMIT")
        return before, known
    finally:
        connection.close()  # and, after an exception, rolls back


def sealed(path: Path) -> str:
    """Where the installation is being moved to, or has been; empty if it takes changes."""
    connection = connect(path, readonly=True)
    try:
        marked = connection.table_exists(None, sealing.MARK)
        rows = connection.execute(sealing.SEALED).fetchall() if marked else []
        return str(rows[0][0]) if rows else ""
    finally:
        connection.close()


def examine(path: Path) -> Examination:
    """Reads all of the file."""
    engine = f"SQLite {apsw.sqlite_lib_version()}"
    connection = connect(path, readonly=True)
    try:
        mode = connection.pragma("journal_mode")
        engine = f"{engine} in {str(mode).upper()} mode"
        # Without shared memory beside the file SQLite stays in another mode, where every write holds up the readers.
        found = [] if mode == "wal" else [f"The journal is in mode {mode}, not WAL."]
        return Examination(engine, (*found, *faults(connection)))
    except apsw.CorruptError as error:
        return Examination(engine, (str(error),))
    finally:
        connection.close()


def faults(connection: apsw.Connection) -> list[str]:
    """What is wrong within the file, which is read whole."""
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)") if row[0] != "ok"]
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        found.append(f"A row of {table} points at a row of {parent} that is not there.")
    return found


def version_of(connection: apsw.Connection) -> int:
    number = int(connection.pragma("user_version"))
    tables = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
    if connection.pragma("application_id") != _APPLICATION and (tables or number):
        raise Conflict(f"{connection.filename} is the database of another program.")
    return number
