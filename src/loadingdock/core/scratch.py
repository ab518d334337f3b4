"""Folders for what is needed while a job is done. They hold what people sent, so none is to outlive its job: not even
that of a process that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "loadingdock-job-"


@contextmanager
def scratch() -> Iterator[Path]:
    """Empty, readable for nobody else, and gone afterwards. Locked meanwhile, which ends with the process."""
    made = Path(tempfile.mkdtemp(prefix="loadingdock-"))
    folder = made.with_name(made.name.replace("loadingdock-", _PREFIX))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder)  # so there is none of that name that is not locked yet
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def clear() -> int:
    """Removes those of processes that are no more. How many. Blocks."""
    count = 0
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        with suppress(OSError):  # somebody else's, just gone, or in use
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
                count += 1
            finally:
                os.close(lock)
    return count
