"""The folders of a local store, reached by directory descriptors only.

    root/blobs/2026/11/22/0517/<32 hex>         what was committed, mode 0400
    root/staging/2026-11-22-0517-<32 hex>       what is being written or was suspended, mode 0600

Blobs of one minute share a folder, so that a batch of small files needs one folder fsync, and a folder stays far
below the ten million entries that ext4 takes. No component is ever followed if it is a symbolic link. Everything
here blocks and belongs in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from loadingdock.adapters.blobs.keys import KEY, folder_now, split
from loadingdock.core.errors import NotFound

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a planted FIFO must not stop a thread
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
_KEPT = 4  # folders held open for writing


@contextlib.contextmanager
def absent_is_not_found() -> Iterator[None]:
    """A link or a folder where a file should be is no blob either."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise NotFound("blob") from error
        raise


class Folder:
    """An open directory. One that several threads use is closed when the last of them lets go of it, so that nobody
    is left with a number reused; one of a single thread by `with`."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def open(cls, name: str, parent: Folder) -> Folder:
        return cls(os.open(name, _FOLDER, dir_fd=parent.fd))

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tree:
    """`fsync` is the store's own: it remembers failures."""

    def __init__(self, root: Path, fsync: Callable[[int], None]) -> None:
        self._root = root.absolute()
        self._fsync = fsync
        self._lock = Lock()
        self._durable: dict[str, Folder] = {}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._top = Folder(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))  # the root may be a link
        for name in ("blobs", "staging"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._top.fd)
        fsync(self._top.fd)
        self._blobs = Folder.open("blobs", self._top)
        self._staging = Folder.open("staging", self._top)

    # --- folders of blobs ----------------------------------------------------

    def _existing(self, folder: str) -> Folder:
        """Walked each time: a folder held open may have been pruned and made again by another process."""
        first, *rest = folder.split("/")
        at = Folder.open(first, self._blobs)
        for name in rest:
            with at:
                inner = Folder.open(name, at)
            at = inner
        return at

    def _made(self, folder: str) -> Folder:
        """The folder, with every parent's entry durable. Whoever made it may not have synced it yet, so a process
        syncs the parents once for each folder it writes to."""
        with self._lock:
            known = self._durable.get(folder)
            if known is not None:
                return known
            at = self._blobs
            for name in folder.split("/"):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=at.fd)
                inner = Folder.open(name, at)
                self._fsync(at.fd)
                at = inner
            while len(self._durable) >= _KEPT:
                self._durable.pop(next(iter(self._durable)))
            self._durable[folder] = at
            return at

    def _prune(self, folder: str) -> None:
        """Removes the folder and its parents as far as they are empty; `publish` makes them again at need."""
        with contextlib.suppress(OSError):
            while folder:
                os.rmdir(folder, dir_fd=self._blobs.fd)
                folder = folder.rpartition("/")[0]

    # --- files ---------------------------------------------------------------

    def create_staged(self, key: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _FILE
        return os.open(_staged(key), flags, 0o600, dir_fd=self._staging.fd)

    def open_staged(self, key: str) -> int:
        split(key)
        with absent_is_not_found():
            return _plain(os.open(_staged(key), os.O_RDWR | _FILE, dir_fd=self._staging.fd))

    def open_blob(self, key: str) -> int:
        folder, name = split(key)
        with absent_is_not_found(), self._existing(folder) as at:
            return _plain(os.open(name, os.O_RDONLY | _FILE, dir_fd=at.fd))

    def publish(self, key: str) -> Folder:
        """Moves the staged file to its place. The caller syncs the folder it gets, once for all it published."""
        folder, name = split(key)
        at = self._made(folder)
        try:
            os.rename(_staged(key), name, src_dir_fd=self._staging.fd, dst_dir_fd=at.fd)
        except FileNotFoundError:  # the folder was pruned meanwhile
            with self._lock:
                self._durable.pop(folder, None)
            at = self._made(folder)
            os.rename(_staged(key), name, src_dir_fd=self._staging.fd, dst_dir_fd=at.fd)
        return at

    def unpublish(self, key: str) -> None:
        """Back to where it can be resumed."""
        folder, name = split(key)
        with self._existing(folder) as at:
            os.chmod(name, 0o600, dir_fd=at.fd)
            os.rename(name, _staged(key), src_dir_fd=at.fd, dst_dir_fd=self._staging.fd)

    def folder(self, key: str) -> Folder:
        """The folder of that blob, to be synced; its parents' entries are durable."""
        return self._made(split(key)[0])

    def sync_staging(self) -> None:
        self._fsync(self._staging.fd)

    def unlink_staged(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_staged(key), dir_fd=self._staging.fd)

    def unlink(self, key: str) -> None:
        folder, name = split(key)
        self.unlink_staged(key)
        with contextlib.suppress(NotFound), absent_is_not_found(), self._existing(folder) as at:
            os.unlink(name, dir_fd=at.fd)
            if folder != folder_now():
                self._prune(folder)

    def unlink_all(self, keys: Iterable[str]) -> None:
        for key in keys:
            with contextlib.suppress(NotFound):  # a key that cannot be ours is missing as well
                self.unlink(key)

    def size(self, key: str) -> int:
        folder, name = split(key)
        with absent_is_not_found(), self._existing(folder) as at:
            found = os.stat(name, dir_fd=at.fd, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise NotFound("blob")
        return found.st_size

    def path(self, key: str) -> Path:
        return self._root / "blobs" / key

    # --- the whole -----------------------------------------------------------

    def walk(self, before: datetime) -> Iterator[str]:
        """Keys last written before that time; passes over what is not of our making."""
        limit = before.timestamp()
        newest = before.astimezone(UTC).strftime("%Y/%m/%d/%H%M")
        with Folder.open(".", self._staging) as staging:  # of its own: two listings would share the place in one
            for name in _old_files(staging, limit):
                key = name.replace("-", "/")
                if KEY.fullmatch(key):
                    yield key
        with Folder.open(".", self._blobs) as blobs:
            yield from self._walk(blobs, "", newest, limit)

    def _walk(self, at: Folder, path: str, newest: str, limit: float) -> Iterator[str]:
        if path.count("/") == 4:
            yield from (path + name for name in _old_files(at, limit) if KEY.fullmatch(path + name))
            return
        with os.scandir(at.fd) as entries:
            for entry in entries:
                inner = path + entry.name
                # A blob is written after its folder's minute began, so later folders need no look.
                if inner <= newest and entry.is_dir(follow_symlinks=False):
                    with (
                        contextlib.suppress(NotFound),
                        absent_is_not_found(),
                        Folder.open(entry.name, at) as folder,
                    ):
                        yield from self._walk(folder, inner + "/", newest, limit)

    def probe(self) -> None:
        """Writes and syncs one byte, always in the same file, so that nothing gathers when a process dies here."""
        fd = os.open("probe", os.O_WRONLY | os.O_CREAT | _FILE, 0o600, dir_fd=self._top.fd)
        try:
            os.pwrite(fd, b"\n", 0)
            self._fsync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        for folder in (*self._durable.values(), self._staging, self._blobs, self._top):
            folder.close()

    def free_bytes(self) -> int:
        found = os.fstatvfs(self._top.fd)
        return found.f_bavail * found.f_frsize


def _staged(key: str) -> str:
    return key.replace("/", "-")


def _plain(fd: int) -> int:
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise NotFound("blob")


def _old_files(at: Folder, limit: float) -> Iterator[str]:
    with os.scandir(at.fd) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # gone since
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_mtime < limit:
                    yield entry.name
