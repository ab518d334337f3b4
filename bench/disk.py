"""Where the servers write: an ext4 image on a loop device with direct I/O, so that every disk has a journal.

A root file system without one makes creates slow for minutes after mass deletes, which would be measured as ours.
Without root or loop devices it is a temporary folder, and the report says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def disk(where: Path | None, gigabytes: int = 24) -> Iterator[tuple[Path, str]]:
    """The folder, and what it is."""
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=where))
    root.chmod(0o711)  # a server that runs as another user has its folder within
    image, mount = root / "image", root / "mount"
    mount.mkdir()
    loop = ""
    try:
        if os.geteuid() == 0 and shutil.which("losetup") and shutil.which("mkfs.ext4"):
            with image.open("wb") as file:
                file.truncate(gigabytes * 1024**3)
            try:
                _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
                loop = _run("losetup", "--direct-io=on", "--find", "--show", str(image))
                _run("mount", loop, str(mount))
            except subprocess.CalledProcessError as error:
                print(f"no loop device here ({error.stderr.strip()}); measuring on {root}")
                yield mount, "a folder of this machine's disk"
                return
            yield mount, "ext4 with a journal on a loop device, direct I/O"
            return
        yield mount, "a folder of this machine's disk"
    finally:
        if loop:
            subprocess.run(["umount", str(mount)], check=False)
            subprocess.run(["losetup", "-d", loop], check=False)
        shutil.rmtree(root, ignore_errors=True)
