"""A disk under SQLite that notes its syncs, fails, and fills up, on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import apsw


class Disk:
    """`syncs` names the files synced, in order; `broken` is how those end whose sync fails."""

    def __init__(self) -> None:
        self.syncs: list[str] = []
        self.broken: str | None = None
        self.full = False
        self.syncing = threading.Event()
        self.checkpointing = threading.Event()
        self._held = threading.Event()
        self._held.set()

    @contextmanager
    def mounted(self) -> Iterator[Disk]:
        """Every connection opened meanwhile stands on this disk."""
        system = _System(self)
        apsw.set_default_vfs(system.name)
        try:
            yield self
        finally:
            apsw.set_default_vfs("unix")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Syncs wait: what is written meanwhile queues up behind the one under way."""
        self.syncing.clear()
        self._held.clear()
        try:
            yield
        finally:
            self._held.set()

    def sync(self, name: str) -> None:
        self.syncing.set()
        self._held.wait(30)
        self.syncs.append(name)
        if name.endswith(".db"):
            self.checkpointing.set()
        if self.broken is not None and name.endswith(self.broken):
            raise apsw.IOError("the disk is broken")


class _System(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name = f"disk-{id(disk)}"
        self.disk = disk
        super().__init__(self.name, "unix", iVersion=2)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return _File(self.disk, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        self.disk.sync(self.name)
        super().xSync(flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.full:
            raise apsw.FullError("the disk is full")
        super().xWrite(data, offset)
