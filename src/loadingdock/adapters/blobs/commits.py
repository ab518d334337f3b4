"""Many blobs made durable at once. Everything here blocks and belongs in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from loadingdock.adapters.blobs.spool import Disk, Spool
from loadingdock.adapters.blobs.tree import Folder
from loadingdock.core.errors import DockError
from loadingdock.core.model.blobs import BlobRef

T = TypeVar("T")


class Commit:
    """A blob whose last bytes have come. Afterwards `error` is there, or `ref` is right."""

    __slots__ = ("error", "pieces", "ref", "spool")

    def __init__(self, spool: Spool, pieces: Sequence[bytes]) -> None:
        self.spool = spool
        self.pieces = pieces
        self.ref: BlobRef | None = None
        self.error: DockError | None = None

    def attempt(self, step: Callable[[], T]) -> T | None:
        """The next step, unless an earlier one failed."""
        if self.error is None:
            try:
                return step()
            except DockError as error:
                self.error = error
        return None

    def seal(self) -> None:
        self.ref = self.attempt(self.spool.seal)


def commit_all(disk: Disk, commits: Sequence[Commit], helpers: Executor) -> None:
    """File fsync, rename, folder fsync: in this order for each, the last once for all that share a folder. The
    failure of one blob is its own.

    The helpers wait for several fsyncs at once, which then share the journal's commits and the disk's flushes: that is
    twice as many a second as one after the other, and within a tenth of one syncfs for all. That would wait for
    whatever else is dirty in the file system, a large upload above all.
    """
    for commit in commits:
        commit.attempt(partial(commit.spool.last, commit.pieces))
    if len(commits) == 1:
        commits[0].seal()
    else:
        deque(helpers.map(Commit.seal, commits), maxlen=0)
    folders: dict[Folder, list[Commit]] = {}
    for commit in commits:
        folder = commit.attempt(commit.spool.publish)
        if folder is not None:
            folders.setdefault(folder, []).append(commit)
    for folder, members in folders.items():
        try:
            disk.fsync(folder.fd)
        except DockError as error:
            for commit in members:
                commit.error = error
