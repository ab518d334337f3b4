"""The live database, and the moment at which it is taken."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import apsw

from loadingdock.adapters.backup.folder import sync
from loadingdock.adapters.records.sqlite.connection import connect, refusal

_PAGE = 500  # rows at a time while bytes are copied: no transaction is open then
_PAGES = 1024  # of the database, between looks at an interruption
_PATIENCE_MS = 60_000  # the server's writer takes the lock again and again; it is got in between

# Which bytes a version should have is known of those that can be read; others may have been put aside as altered.
_WANTED = tuple(
    f"""
SELECT {column}, {digest}, (SELECT sha256 FROM temp.earlier WHERE key = {column}) FROM main.versions
WHERE {column} > ? AND NOT EXISTS (SELECT 1 FROM temp.had WHERE key = {column})
GROUP BY {column} ORDER BY {column} LIMIT {_PAGE}
"""  # noqa: S608 - nothing in it comes from outside
    for column, digest in (
        ("blob_key", "MAX(CASE WHEN state IN ('received', 'processing', 'ready') THEN sha256 END)"),
        ("text_key", "NULL"),
    )
)
_REFERRED = """
EXISTS (SELECT 1 FROM main.versions WHERE blob_key = {0}) OR EXISTS (SELECT 1 FROM main.versions WHERE text_key = {0})
"""
# An upload whose bytes are still coming is the client's to begin again: they are not in the backup.
_BEGIN_AGAIN = """
UPDATE uploads SET received = 0, staging_key = NULL, held_until = NULL
WHERE completed_at IS NULL AND aborted_at IS NULL AND staging_key IS NOT NULL
"""


class Wanted(NamedTuple):
    """A blob that a record points at. `sha256` is None where the record does not say, `earlier` what the earlier
    backup's list says."""

    key: str
    sha256: str | None
    earlier: str | None


class Had(NamedTuple):
    """A blob that is in the backup. `fresh`: copied by this run."""

    key: str
    size: int
    sha256: str
    fresh: bool


class Live:
    """One connection that reads, with what the backup already has in temporary tables, and one for the write lock."""

    def __init__(self, path: Path) -> None:
        # The one that writes first: it makes the shared memory that one that only reads cannot make.
        self._writing = connect(path)
        self._writing.set_busy_timeout(_PATIENCE_MS)
        self._reading = connect(path, readonly=True)
        self._execute = self._reading.cursor().execute
        self._execute("PRAGMA temp_store = FILE")
        self._execute("CREATE TEMP TABLE had (key TEXT PRIMARY KEY, size, sha256, fresh) WITHOUT ROWID")
        self._execute("CREATE TEMP TABLE earlier (key TEXT PRIMARY KEY, sha256) WITHOUT ROWID")

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    def installation(self) -> str | None:
        """A name for the installation, which does not betray the secret that it is made from."""
        row = self._execute("SELECT value FROM installation WHERE name = 'secret'").fetchone()
        return None if row is None else hashlib.sha256(b"loadingdock installation\0" + row[0]).hexdigest()[:32]

    def bytes(self) -> int:
        return sum(row[0] for row in self._execute("SELECT bytes FROM ledger"))

    # --- what the backup has ---

    def remember_earlier(self, blobs: Iterable[tuple[str, str]]) -> None:
        with self._reading:
            self._reading.executemany("INSERT OR REPLACE INTO temp.earlier VALUES (?, ?)", blobs)

    def remember(self, blobs: Iterable[Had]) -> None:
        with self._reading:
            self._reading.executemany("INSERT OR REPLACE INTO temp.had VALUES (?, ?, ?, ?)", blobs)

    def wanted(self) -> Iterator[Wanted]:
        """Blobs that records point at and the backup does not have, in the order of their keys."""
        for query in _WANTED:
            after = ""
            while rows := self._execute(query, (after,)).fetchall():
                yield from map(Wanted._make, rows)
                after = str(rows[-1][0])

    # --- the moment ---

    @contextlib.contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """While the write lock is held, every blob that a record points at is there: bytes come before their record
        and go after it. What is read within, and until `release`, is the state of this moment."""
        self._writing.execute("BEGIN IMMEDIATE")
        try:
            self._execute("BEGIN")
            self._execute("SELECT 1 FROM main.sqlite_schema LIMIT 1").fetchall()
            yield
        finally:
            self._writing.execute("ROLLBACK")

    def release(self) -> None:
        if not self._reading.get_autocommit():
            self._execute("COMMIT")

    def listed(self) -> Iterator[Had]:
        """What the backup has of the moment."""
        query = f"SELECT key, size, sha256, fresh FROM temp.had h WHERE {_REFERRED.format('h.key')} ORDER BY key"  # noqa: S608 - as above
        for key, size, sha256, fresh in self._reading.execute(query):
            yield Had(key, size, sha256, bool(fresh))

    def refers(self, key: str) -> bool:
        ((found,),) = self._reading.execute(f"SELECT {_REFERRED.format('?1')}", (key,)).fetchall()
        return bool(found)

    def tables(self, company_id: int) -> set[int]:
        """The numbers of a company's contact tables."""
        query = "SELECT number FROM main.contact_tables WHERE company_id = ?"
        return {int(str(number)) for (number,) in self._reading.execute(query, (company_id,))}

    def last_import(self) -> int:
        """Its number; 0 if there is none."""
        ((last,),) = self._reading.execute("SELECT MAX(number) FROM main.imports").fetchall()
        return int(str(last or 0))

    def lists(self, key: str) -> bool:
        """Whether the backup has it, and the moment's records point at it."""
        had = self._reading.execute("SELECT 1 FROM temp.had WHERE key = ?", (key,)).fetchone()
        return had is not None and self.refers(key)

    def copy(self, path: Path) -> None:
        """The moment's database, durable in one file."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        to = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            with to.backup("main", self._reading, "main") as backup:
                while not backup.done:
                    backup.step(_PAGES)
            to.execute(_BEGIN_AGAIN)
            to.execute("PRAGMA journal_mode = DELETE")  # no files beside it
        finally:
            to.close()
        sync(path)


@contextlib.contextmanager
def live(path: Path) -> Iterator[Live]:
    """Raises Unavailable("database") for one that cannot be read."""
    try:
        opened = Live(path)
        try:
            yield opened
        finally:
            opened.close()
    except apsw.Error as error:
        if (refused := refusal(error)) is None:
            raise
        raise refused() from error
