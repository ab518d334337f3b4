"""Making a backup beside a service that goes on.

Bytes first, then records, as uploads are kept themselves. The blobs that records point at are copied, again and
again, until few are left that came meanwhile. Then, for a moment, nobody writes: the few are opened, and a
transaction begins that reads. From then on uploads and deletions may go on, for a file that is open stays
readable when its name is removed, and the transaction sees the state of that moment until it ends.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadingdock.adapters.backup import manifest as manifests
from loadingdock.adapters.backup.contacts import copies
from loadingdock.adapters.backup.database import Had, Live, Wanted, live
from loadingdock.adapters.backup.folder import (
    Damaged,
    Unreadable,
    copy_blob,
    digest,
    held,
    naming,
    open_blob,
    open_plain,
    sync,
    write_whole,
)
from loadingdock.adapters.backup.manifest import Manifest
from loadingdock.adapters.backup.progress import Progress, in_batches
from loadingdock.adapters.blobs.tree import Folder, Tree
from loadingdock.core.errors import Conflict, NotFound

_OWNER = "installation"
_OURS = re.compile(
    r"records-[0-9a-f]{8}\.sqlite3(-journal|-wal|-shm)?|blobs-[0-9a-f]{8}\.sha256|[a-z.]+\.new"
    r"|contacts-[0-9a-f]{8}-[0-9]+\.sqlite3(-journal|-wal|-shm)?"
)
_ROUNDS = 20
_SPARE = 128  # open files for everything else
_MOST_OPEN = 4096  # so that nobody waits long for the moment to end


@dataclass(frozen=True, slots=True)
class Made:
    """The backup, and how much of it this run copied and how much was there."""

    manifest: Manifest
    copied: int
    copied_bytes: int
    kept: int
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """What became of one blob. `folder` has to be synced."""

    key: str
    had: Had | None = None
    folder: Folder | None = None
    problem: str | None = None


def make(
    database: Path,
    files: Path,
    contacts: Path,
    target: Path,
    *,
    program: str,
    progress: Progress,
    at_once: int | None = None,
) -> Made:
    """`database` is a SQLite file, `files` the folder of blobs, `contacts` that of contact tables, `target` one that is
    new, empty or an earlier backup of the same installation. `at_once`: how many blobs may be open in the moment.
    Raises Conflict for other targets, and if more comes in than can be copied."""
    if not database.is_file():
        raise Conflict(f"There is nothing to back up: {database} is not there.")
    if target.resolve().is_relative_to(files.parent.resolve()):
        raise Conflict(f"{target} lies in the data folder: a backup belongs elsewhere, on another disk.")
    with live(database) as records:
        made_here = not target.exists()
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if made_here:
            sync(target.parent)
        with held(target, alone=True):
            _claim(target, records.installation())
            return _Making(records, files, contacts, target, program, progress, at_once or _room()).run()


def _room() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN + _SPARE
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(_MOST_OPEN, soft - _SPARE))


def _claim(target: Path, installation: str | None) -> None:
    """Says whose backup it is, before anything else is in it."""
    owner = target / _OWNER
    name = installation or "unknown"
    if owner.is_file():
        if owner.read_text().strip() != name:
            raise Conflict(f"{target} is the backup of another installation: name another folder.")
    elif {path.name for path in target.iterdir()} - {f"{_OWNER}.new"}:
        raise Conflict(f"{target} is neither empty nor a backup: name a new folder.")
    else:
        write_whole(owner, name + "\n")


class _Making:
    def __init__(
        self,
        records: Live,
        files: Path,
        contacts: Path,
        target: Path,
        program: str,
        progress: Progress,
        at_once: int,
    ) -> None:
        self._records = records
        self._files = files
        self._contacts = contacts
        self._target = target
        self._program = program
        self._progress = progress
        self._at_once = at_once
        self._tree = Tree(target, os.fsync)
        self._problems: dict[str, str] = {}

    def run(self) -> Made:
        try:
            earlier = manifests.read(self._target)
            if earlier is not None:
                self._records.remember_earlier(manifests.lines(self._target / earlier.list))
            self._progress.total_bytes = self._records.bytes()
            self._copy_until_few()
            made = self._finish()
            self._prune(made.manifest)
            return made
        except Damaged as error:
            raise Damaged(f"{error.message} Begin a backup in a new folder.") from error
        finally:
            self._records.release()
            self._tree.close()

    # --- rounds ---

    def _copy_until_few(self) -> None:
        """Until the moment has been taken: its transaction is then open, and the last blobs have been copied."""
        for _ in range(_ROUNDS):
            came = 0
            for taken in in_batches(self._by_name, self._records.wanted()):
                self._remember(taken)
                came += sum(one.had is not None for one in taken)
            if came <= self._at_once and self._take_moment():
                return
        raise Conflict(
            f"More comes in than can be copied: after {_ROUNDS} rounds still more than {self._at_once} new blobs. "
            "Back up at a quieter time, or allow more open files (`ulimit -n`)."
        )

    def _take_moment(self) -> bool:
        """False if too many blobs came in the last moments."""
        opened: dict[int, Wanted] = {}
        try:
            with self._records.nobody_writes():
                for wanted in self._records.wanted():
                    if len(opened) >= self._at_once:
                        self._records.release()
                        return False
                    try:
                        opened[open_blob(self._files, wanted.key)] = wanted
                    except (Unreadable, NotFound) as error:
                        self._problems[wanted.key] = f"cannot be read: {error}"
            for taken in in_batches(lambda one: self._take(*one), opened.items()):
                self._remember(taken)
            return True
        finally:
            for fd in opened:
                os.close(fd)

    # --- one blob ---

    def _by_name(self, wanted: Wanted) -> _Taken:
        try:
            fd = open_blob(self._files, wanted.key)
        except (Unreadable, NotFound):
            return _Taken(wanted.key)  # deleted since; if it was not, the moment will tell
        try:
            return self._take(fd, wanted)
        finally:
            os.close(fd)

    def _take(self, fd: int, wanted: Wanted) -> _Taken:
        key = wanted.key
        size = os.fstat(fd).st_size
        kept = self._kept(wanted, size)
        if kept is not None:
            self._progress.add(size)
            return _Taken(key, Had(key, size, kept, fresh=False), self._tree.folder(key))
        try:
            folder, seen = copy_blob(fd, self._tree, key, self._progress)
        except Unreadable as error:
            return _Taken(key, problem=f"cannot be read: {error}")
        problem = None
        if wanted.sha256 not in (None, seen):
            problem = f"is altered: its SHA-256 is {seen}, received was {wanted.sha256}"
        return _Taken(key, Had(key, size, seen, fresh=True), folder, problem)

    def _kept(self, wanted: Wanted, size: int) -> str | None:
        """The SHA-256 of the blob if it is in the backup already. One that an attempt left which did not come to its
        end is read once more."""
        try:
            if self._tree.size(wanted.key) != size:
                return None
            if wanted.earlier is not None:
                return wanted.earlier
            fd = self._tree.open_blob(wanted.key)
        except NotFound:
            return None
        try:
            seen = digest(fd, Progress())
        except Unreadable:
            return None
        finally:
            os.close(fd)
        return seen if wanted.sha256 in (None, seen) else None

    def _remember(self, taken: Sequence[_Taken]) -> None:
        for folder in {one.folder for one in taken if one.folder is not None}:
            os.fsync(folder.fd)
        self._records.remember(one.had for one in taken if one.had is not None)
        self._problems.update((one.key, one.problem) for one in taken if one.problem is not None)

    # --- the end ---

    def _finish(self) -> Made:
        id = os.urandom(4).hex()
        made_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        database = self._target / manifests.database_name(id)
        self._records.copy(database)
        blobs, counts = self._list(self._target / manifests.list_name(id))
        tables = list(copies(self._contacts, self._target, id, self._records.tables, self._records.last_import()))
        sync(self._target)
        manifest = Manifest(
            id=id,
            installation=self._records.installation(),
            program=self._program,
            made_at=made_at,
            database_bytes=database.stat().st_size,
            database_sha256=_digest(database),
            blobs=counts[True][0] + counts[False][0],
            blob_bytes=counts[True][1] + counts[False][1],
            blobs_sha256=blobs,
            damaged={key: problem for key, problem in self._problems.items() if self._records.refers(key)},
            contacts={path.name: _digest(path) for path in tables},
            contacts_bytes=sum(path.stat().st_size for path in tables),
        )
        manifest.write(self._target)
        return Made(manifest, *counts[True], *counts[False])

    def _list(self, path: Path) -> tuple[str, dict[bool, tuple[int, int]]]:
        """Its SHA-256, and how many blobs and bytes were copied (True) and kept (False)."""
        counts = {True: (0, 0), False: (0, 0)}
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with naming(str(path)), os.fdopen(fd, "w", encoding="ascii") as opened:
            for had in self._records.listed():
                opened.write(manifests.line(had.key, had.sha256))
                count, size = counts[had.fresh]
                counts[had.fresh] = count + 1, size + had.size
            opened.flush()
            os.fsync(fd)
        return _digest(path), counts

    def _prune(self, manifest: Manifest) -> None:
        """What the backup is no longer made of: blobs deleted since the earlier one, its records, what a killed
        attempt left."""
        current = {manifest.database, manifest.list, *manifest.contacts}
        for path in self._target.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in current:
                path.unlink()
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        for key in self._tree.walk(tomorrow):
            if not self._records.lists(key):
                self._tree.unlink(key)


def _digest(path: Path) -> str:
    fd = open_plain(path)
    try:
        return digest(fd, Progress())
    finally:
        os.close(fd)
