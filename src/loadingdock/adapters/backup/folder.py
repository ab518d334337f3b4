"""Files read with their digests, and files made durable."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from loadingdock.adapters.backup.progress import Progress
from loadingdock.adapters.blobs.keys import split
from loadingdock.adapters.blobs.spool import PIECE, write_all
from loadingdock.adapters.blobs.tree import Folder, Tree
from loadingdock.core.errors import Conflict, DockError

BLOBS = "blobs"


class Unreadable(Exception):
    """A file that was to be read cannot be. Says why; what cannot be written stays an OSError."""


class Damaged(DockError):
    """A backup that is not what was written."""

    code = "damaged"


def open_blob(root: Path, key: str) -> int:
    """For reading only, so that a backup on a medium that cannot be written is read too."""
    split(key)
    return open_plain(root / BLOBS / key)


def open_plain(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(error.strerror) from error


def pieces(fd: int) -> Iterator[bytes]:
    try:
        while piece := os.read(fd, PIECE):
            yield piece
    except OSError as error:
        raise Unreadable(error.strerror) from error


def digest(fd: int, progress: Progress) -> str:
    seen = hashlib.sha256()
    for piece in pieces(fd):
        seen.update(piece)
        progress.add(len(piece))
    return seen.hexdigest()


def copy(source: int, to: int, progress: Progress) -> str:
    """Copies to the end, durably; the SHA-256 of what was copied."""
    seen = hashlib.sha256()
    for piece in pieces(source):
        write_all(to, [piece])
        seen.update(piece)
        progress.add(len(piece))
    os.fsync(to)
    return seen.hexdigest()


def copy_blob(source: int, tree: Tree, key: str, progress: Progress) -> tuple[Folder, str]:
    """Under its key in the tree. Durable once the folder has been synced, which many blobs share."""
    tree.unlink_staged(key)  # left by an attempt that was killed
    to = tree.create_staged(key)
    try:
        with naming(key):
            seen = copy(source, to, progress)
            os.fchmod(to, 0o400)
            os.fsync(to)
            return tree.publish(key), seen
    finally:
        os.close(to)


def copy_file(source: int, path: Path, progress: Progress) -> str:
    to = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with naming(str(path)):
            return copy(source, to, progress)
    finally:
        os.close(to)


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """The system's errors about open files do not say which."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or what
        raise


def write_whole(path: Path, text: str) -> None:
    """There with all of its text, or as it was before."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, [text.encode()])
        os.fsync(fd)
    finally:
        os.close(fd)
    beside.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """A file's content, or a folder's entries."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def held(folder: Path, *, alone: bool) -> Iterator[None]:
    """The folder is ours until the end, or until this process dies. Raises Conflict if it is another's."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Another backup or restoration is working in {folder}: wait until it has ended.") from None
        yield
    finally:
        os.close(fd)
