"""Contact tables, a file for each company, in a backup and out of it again.

They are copied after the records' moment. What a table is by then the records learn from it when it is used; a table
that was declared since is none of the backup's, and its number will be given to another one. So will that of an import
that was asked for since: what it has changed stays, but nothing is to say that it was done.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from loadingdock.adapters.backup.folder import Damaged, sync
from loadingdock.adapters.contacts.tables.former import LOADS, undoing
from loadingdock.adapters.contacts.tables.sqlite_tongue import TONGUE, connect
from loadingdock.adapters.contacts.tables.statements import TABLES
from loadingdock.adapters.records.sqlite.connection import refusal
from loadingdock.adapters.records.tables import of_declared

_FILE = re.compile(r"([0-9]+)\.sqlite")
_KEPT = re.compile(r"contacts-[0-9a-f]{8}-([0-9]+)\.sqlite3")
_PAGES = 1024  # at a time


def copies(folder: Path, target: Path, id: str, known: Callable[[int], set[int]], last_import: int) -> Iterator[Path]:
    """Copies every company's file into the backup, durable when it is named here. Of the backup's records, `known` are
    the numbers of a company's tables, and `last_import` that of the last import."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _FILE.fullmatch(path.name):
            kept = target / f"contacts-{id}-{match[1]}.sqlite3"
            with _errors():
                _copy(path, kept, known(int(match[1])), last_import)
            sync(kept)
            yield kept


def _copy(path: Path, kept: Path, known: set[int], last_import: int) -> None:
    os.close(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    source, to = connect(path, readonly=True), apsw.Connection(str(kept), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        with to.backup("main", source, "main") as backup:
            while not backup.done:
                backup.step(_PAGES)
        to.execute("PRAGMA journal_mode = DELETE")  # no files beside it
        there = to.execute(f"SELECT number, declared FROM {TABLES}").fetchall()  # noqa: S608 - ours
        for number, text in there:
            if number not in known:
                table = of_declared(str(text))
                to.execute(f"DROP TABLE {TONGUE.home(table.company_id, table.code)}")
                to.execute(f"DELETE FROM {TABLES} WHERE number = ?", (number,))  # noqa: S608 - ours
        _forget(to, last_import)
    finally:
        to.close()
        source.close()


def _forget(to: apsw.Connection, last_import: int) -> None:
    """The loads of imports behind that one."""
    if to.table_exists("main", LOADS):
        for (number,) in to.execute(f"SELECT number FROM {LOADS} WHERE number > ?", (last_import,)).fetchall():  # noqa: S608 - ours
            to.execute(f"DROP TABLE IF EXISTS {undoing(int(str(number)))}")
            to.execute(f"DELETE FROM {LOADS} WHERE number = ?", (number,))  # noqa: S608 - ours


def restored(name: str) -> str:
    """What a file of the backup is called in the folder of contact tables. Raises Damaged for one that is none."""
    if (match := _KEPT.fullmatch(name)) is None:
        raise Damaged(f"The manifest names {name}, which is no file of contact tables.")
    return f"{match[1]}.sqlite"


def put_in_use(path: Path) -> None:
    """As the service keeps it, durably: a file in a backup has no log beside it."""
    with _errors():
        connect(path).close()
    sync(path)


def faults(path: Path) -> list[str]:
    """What is wrong within a file, which is read whole; nothing is written beside it."""
    try:
        connection = apsw.Connection(
            f"{path.absolute().as_uri()}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            return [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)") if row[0] != "ok"]
        finally:
            connection.close()
    except apsw.Error as error:
        return [str(error)]


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        if (refused := refusal(error)) is None:
            raise
        raise refused() from error
