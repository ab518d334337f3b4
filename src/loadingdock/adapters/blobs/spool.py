"""One blob on its way to disk. Everything here blocks and belongs in a thread."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from threading import Lock

from loadingdock.adapters.blobs.hashes import Hashes
from loadingdock.adapters.blobs.tree import Folder, Tree
from loadingdock.core.errors import Conflict, NotFound, OffsetMismatch, StorageFull, Unavailable
from loadingdock.core.model.blobs import BlobRef

PIECE = 1 << 20
_RESERVE = 64 << 20  # a lying length may hold this much room, not all that it claims
_WRITE_BACK = 8 << 20
_IOV_MAX = os.sysconf("SC_IOV_MAX")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Turns what the operating system says into the two errors that leave a store."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull from error
        raise Unavailable("store") from error


class Disk:
    """fsync, which is not asked again once it failed: the kernel may have dropped the pages that it could not write,
    and a second call would then report success (https://wiki.postgresql.org/wiki/Fsync_Errors)."""

    def __init__(self) -> None:
        self.failed = False

    def check(self) -> None:
        if self.failed:
            raise Unavailable("store")

    def fsync(self, fd: int) -> None:
        self.check()
        try:
            os.fsync(fd)
        except OSError as error:
            self.failed = True
            raise Unavailable("store") from error


def write_all(fd: int, pieces: Sequence[bytes]) -> None:
    """writev until everything is out. A file takes a call whole unless the disk gets full: the rest is then refused
    by the next call."""
    while pieces:
        written = os.writev(fd, pieces[:_IOV_MAX])
        done = 0
        while done < len(pieces) and written >= len(pieces[done]):
            written -= len(pieces[done])
            done += 1
        rest = pieces[done:]
        pieces = [rest[0][written:], *rest[1:]] if written else rest


class Spool:
    """A staged file, opened at the first need. Its lock lets `discard` come at any time, while another thread is in
    the midst of a step: that step ends first, and no further one begins."""

    def __init__(
        self, tree: Tree, disk: Disk, key: str, hashes: Hashes, *, length: int = 0, suspended: int | None = None
    ) -> None:
        self.key = key
        self.size = suspended or 0
        self.hashes = hashes
        self._tree = tree
        self._disk = disk
        self._length = length
        self._lock = Lock()
        self._fd = -1
        self._end = 0  # of the file, which may be longer than what was written
        self._written_back = 0
        self._suspended = suspended  # how much of it outlives this spool
        self._touched = False
        self._published = False
        self._discarded = False

    def reopen(self) -> None:
        """Takes up a suspended blob. The lock is the file's own, so it binds other processes and goes with them."""
        with engine_errors(), self._lock:
            self._check()
            self._fd = self._tree.open_staged(self.key)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._close()
                raise Conflict("Another request is sending bytes of this upload; wait until it has ended.") from None
            found = os.fstat(self._fd)
            if found.st_nlink == 0 or found.st_size < self.size:
                self._close()
                if found.st_nlink == 0:
                    raise NotFound("blob")
                raise OffsetMismatch(current=found.st_size, claimed=self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            self._written_back = self.size
            self._end = found.st_size

    def write(self, pieces: Sequence[bytes]) -> None:
        with engine_errors(), self._lock:
            self._write(pieces)

    def _write(self, pieces: Sequence[bytes]) -> None:
        self._check()
        if self._fd < 0:
            self._fd = self._tree.create_staged(self.key)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif not self._touched:
            self._cut()
        self._touched = True
        size = self.size + sum(map(len, pieces))
        if self._end < size <= self._length:
            self._reserve(min(self._length, size + _RESERVE))
        self._end = max(self._end, size)
        write_all(self._fd, pieces)
        if self.hashes.size == self.size:
            self.hashes.update(pieces)
        self.size = size
        if size - self._written_back >= _WRITE_BACK:
            self._start_write_back()

    def _check(self) -> None:
        self._disk.check()
        if self._discarded:
            raise Unavailable("store")

    def _reserve(self, end: int) -> None:
        """Room for the bytes up to `end`, in few extents. Raises ENOSPC before they are sent in vain."""
        self._end = end
        try:
            os.posix_fallocate(self._fd, self.size, end - self.size)
        except OSError as error:
            if error.errno in _FULL:
                raise
            self._length = 0  # a file system without reservations

    def _cut(self) -> None:
        """Drops what lies behind the bytes written: reserved, or from an attempt that broke off."""
        if self._end > self.size:
            os.ftruncate(self._fd, self.size)
            self._end = self.size

    def _start_write_back(self) -> None:
        """Begun early, so that the fsync at the end finds little to do."""
        os.posix_fadvise(self._fd, self._written_back, self.size - self._written_back, os.POSIX_FADV_DONTNEED)
        self._written_back = self.size

    def last(self, pieces: Sequence[bytes]) -> None:
        """Writes the last bytes."""
        with engine_errors(), self._lock:
            self._write(pieces)
            self._cut()

    def seal(self) -> BlobRef:
        """The bytes are durable, and nobody changes them any more."""
        with engine_errors(), self._lock:
            self._check()
            self._hash_rest()
            os.fchmod(self._fd, 0o400)
            self._disk.fsync(self._fd)
            return self.hashes.ref(self.key, self.size)

    def publish(self) -> Folder:
        """Gives the sealed file its name; durable once the folder returned has been synced."""
        with engine_errors(), self._lock:
            self._check()
            folder = self._tree.publish(self.key)
            self._published = True
            self._close()
            return folder

    def suspend(self, pieces: Sequence[bytes]) -> int:
        with engine_errors(), self._lock:
            self._write(pieces)
            self._cut()
            self._disk.fsync(self._fd)
            self._tree.sync_staging()
            self._suspended = self.size
            self._close()
            return self.size

    def discard(self) -> None:
        """Leaves what was there before: nothing, or the suspended bytes. What cannot be removed is an orphan, which
        the sweep takes."""
        with self._lock, contextlib.suppress(OSError):
            self._discarded = True
            try:
                if self._suspended is None:
                    (self._tree.unlink if self._published else self._tree.unlink_staged)(self.key)
                elif self._published:
                    self._tree.unpublish(self.key)
                elif self._touched and self._fd >= 0:
                    os.ftruncate(self._fd, self._suspended)
            finally:
                self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _hash_rest(self) -> None:
        """Reads what was written while its digests' state was not known here."""
        while (at := self.hashes.size) < self.size:
            piece = os.pread(self._fd, min(PIECE, self.size - at), at)
            if not piece:
                raise OSError(errno.EIO, "the staged file has become shorter")
            self.hashes.update((piece,))
