"""A backup becomes an installation, or stays what it is: everything is checked while it is copied beside the data
folder, and one rename puts it in its place."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import apsw

from loadingdock.adapters.backup import manifest as manifests
from loadingdock.adapters.backup.contacts import faults, put_in_use, restored
from loadingdock.adapters.backup.folder import (
    Damaged,
    Unreadable,
    copy_blob,
    copy_file,
    digest,
    held,
    open_blob,
    open_plain,
    sync,
)
from loadingdock.adapters.backup.manifest import Manifest
from loadingdock.adapters.backup.progress import Progress, in_batches
from loadingdock.adapters.blobs.tree import Folder, Tree
from loadingdock.adapters.records.sqlite import schema
from loadingdock.core.errors import Conflict

_NAMED = 20  # damaged blobs that are told by name


def restore(
    source: Path, data: Path, *, database: str, files: str, contacts: str, dry_run: bool, progress: Progress
) -> Manifest:
    """Into the data folder, which must be empty or not there; `database`, `files` and `contacts` are the names in it.
    With `dry_run` the backup is read and checked, and nothing is written. Raises Damaged without a backup and for one
    with faults, Conflict for a folder that is in use and for records of a newer program."""
    if not source.is_dir():
        raise Damaged(f"{source} is no backup: there is no such folder.")
    with held(source, alone=False):
        manifest = manifests.read(source)
        if manifest is None:
            raise Damaged(f"{source} is no backup: it has no manifest, which is written when a backup is complete.")
        progress.total_bytes = manifest.database_bytes + manifest.blob_bytes + manifest.contacts_bytes
        if dry_run:
            _Reading(source, manifest, progress).run(None, None, None)
            return manifest
        data = data.resolve()
        _refuse_unless_empty(data)
        data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _beside(data) as folder:
            tree = Tree(folder / files, os.fsync)
            try:
                _Reading(source, manifest, progress).run(folder / database, tree, folder / contacts)
            finally:
                tree.close()
            sync(folder)
            _refuse_unless_empty(data)
            folder.rename(data)  # refused by the system for a folder with something in it
            sync(data.parent)
        return manifest


def _refuse_unless_empty(data: Path) -> None:
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise Conflict(f"{data} is not empty: restore into a new data folder, nothing is ever overwritten.")
    if data.is_mount():
        raise Conflict(f"{data} is a mount point, which cannot be put in place at once: name a folder in it.")


@contextlib.contextmanager
def _beside(data: Path) -> Iterator[Path]:
    """A folder on the same file system, gone at the end. One that a killed restoration left is emptied first."""
    folder = data.with_name(f".{data.name}.restoring")
    folder.mkdir(mode=0o700, exist_ok=True)
    with held(folder, alone=True):
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # it has another name if all went well


class _Reading:
    def __init__(self, source: Path, manifest: Manifest, progress: Progress) -> None:
        self._source = source
        self._manifest = manifest
        self._progress = progress
        self._faults: list[str] = []
        self._found = 0

    def run(self, database: Path | None, tree: Tree | None, contacts: Path | None) -> None:
        """To these places, or nowhere. Raises Damaged with all that is wrong."""
        manifest = self._manifest
        with _opened(self._source / manifest.database) as fd:
            seen = digest(fd, self._progress) if database is None else copy_file(fd, database, self._progress)
        if seen != manifest.database_sha256:
            self._fault(manifest.database, seen, manifest.database_sha256)
        with _opened(self._source / manifest.list) as fd:
            seen = digest(fd, Progress())
        if seen != manifest.blobs_sha256:
            self._fault(manifest.list, seen, manifest.blobs_sha256)
        self._raise_faults()  # what follows believes them
        with _records(database or self._source / manifest.database) as records:
            self._examine(records)
            self._compare(records)
        self._tables(contacts)
        self._blobs(tree)
        self._raise_faults()

    def _tables(self, contacts: Path | None) -> None:
        if contacts is not None and self._manifest.contacts:
            contacts.mkdir(mode=0o700)
        for name, sha256 in self._manifest.contacts.items():
            to = None if contacts is None else contacts / restored(name)
            with _opened(self._source / name) as fd:
                seen = digest(fd, self._progress) if to is None else copy_file(fd, to, self._progress)
            if seen != sha256:
                self._fault(name, seen, sha256)
                continue
            self._add([f"{name}: {fault}" for fault in faults(to or self._source / name)])
            if to is not None:
                put_in_use(to)
        if contacts is not None and self._manifest.contacts:
            sync(contacts)

    def _examine(self, records: apsw.Connection) -> None:
        self._add(f"{self._manifest.database}: {fault}" for fault in schema.faults(records))
        self._raise_faults()
        version, known = schema.version_of(records), schema.known_version()
        if version > known:
            raise Conflict(
                f"The backup has schema version {version}, but this program knows versions up to {known}: "
                "restore it with a newer program."
            )

    def _compare(self, records: apsw.Connection) -> None:
        """Everything that a record points at is in the list."""
        records.execute("CREATE TEMP TABLE listed (key TEXT PRIMARY KEY) WITHOUT ROWID")
        lines = manifests.lines(self._source / self._manifest.list)
        with records:
            records.executemany("INSERT OR IGNORE INTO temp.listed VALUES (?)", ((key,) for key, _ in lines))
        for column in ("blob_key", "text_key"):
            query = f"SELECT {column} FROM versions WHERE {column} IS NOT NULL EXCEPT SELECT key FROM temp.listed"  # noqa: S608 - nothing in it comes from outside
            missing = (key for (key,) in records.execute(query))
            self._add(f"blobs/{key} is not in the list" for key in missing if key not in self._manifest.damaged)

    def _blobs(self, tree: Tree | None) -> None:
        def one(listed: tuple[str, str]) -> tuple[Folder | None, str | None]:
            key, sha256 = listed
            folder: Folder | None = None
            try:
                fd = open_blob(self._source, key)
                try:
                    if tree is None:
                        seen = digest(fd, self._progress)
                    else:
                        folder, seen = copy_blob(fd, tree, key, self._progress)
                finally:
                    os.close(fd)
            except Unreadable as error:
                return None, f"blobs/{key} cannot be read: {error}"
            return folder, None if seen == sha256 else _altered(f"blobs/{key}", seen, sha256)

        for done in in_batches(one, manifests.lines(self._source / self._manifest.list)):
            for folder in {folder for folder, _ in done if folder is not None}:
                os.fsync(folder.fd)
            self._add(fault for _, fault in done if fault is not None)

    # --- what is wrong ---

    def _fault(self, name: str, seen: str, written: str) -> None:
        self._add([_altered(name, seen, written)])

    def _add(self, faults: Iterator[str] | list[str]) -> None:
        for fault in faults:
            self._found += 1
            if len(self._faults) < _NAMED:
                self._faults.append(fault)

    def _raise_faults(self) -> None:
        if self._found:
            more = f"; and {self._found - len(self._faults)} more" if self._found > len(self._faults) else ""
            raise Damaged(
                f"The backup {self._source} is damaged, and nothing was restored: {'; '.join(self._faults)}{more}.",
                faults=tuple(self._faults),
            )


def _altered(name: str, seen: str, written: str) -> str:
    return f"{name} is altered: its SHA-256 is {seen}, written was {written}"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        fd = open_plain(path)
    except Unreadable as error:
        raise Damaged(f"{path} cannot be read: {error}.") from error
    try:
        yield fd
    except Unreadable as error:
        raise Damaged(f"{path} cannot be read: {error}.") from error
    finally:
        os.close(fd)


@contextlib.contextmanager
def _records(path: Path) -> Iterator[apsw.Connection]:
    """The database as it is, with no lock and no file beside it, where nothing can be written too."""
    name = f"file:{quote(str(path.absolute()))}?immutable=1"
    try:
        connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            yield connection
        finally:
            connection.close()
    except apsw.Error as error:
        raise Damaged(f"{path} is damaged: {error}.") from error
