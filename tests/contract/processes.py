"""Processes, as the kernel sees them."""

from __future__ import annotations

import asyncio
import os
import select
from pathlib import Path


def children(of: int) -> set[int]:
    """Zombies too."""
    tasks = Path(f"/proc/{of}/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def importers(of: int | None = None) -> set[int]:
    """Those of its children that load contacts, or of this process."""
    pids = children(os.getpid() if of is None else of)
    return {pid for pid in pids if b"importing.child" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def visible(pid: int) -> bytes:
    """Its arguments and its environment."""
    return b"".join(Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "environ"))


def descriptors() -> set[str]:
    """What this process has open."""
    folder = Path("/proc/self/fd")
    return {f"{each.name} {os.readlink(each)}" for each in folder.iterdir() if os.path.lexists(each)}


class Watched:
    """A process whose end can be waited for, whoever started it."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    async def ended(self) -> None:
        try:
            assert await asyncio.to_thread(select.select, [self._fd], [], [], 20) == ([self._fd], [], [])
        finally:
            os.close(self._fd)


def peak(pid: int) -> int:
    """MiB of memory, at most, up to now."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024
