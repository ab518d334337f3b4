"""Keys of blobs: the minute they were made in, and 128 random bits."""

from __future__ import annotations

import os
import re
import time

from loadingdock.core.errors import NotFound

KEY = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{4}/[0-9a-f]{32}")

_names: list[str] = []  # random ones that nobody has yet


def fresh_key() -> str:
    return f"{folder_now()}/{_fresh_name()}"


def folder_now() -> str:
    return time.strftime("%Y/%m/%d/%H%M", time.gmtime())


def _fresh_name() -> str:
    """128 bits of the kernel's. Drawn many at a time, because each draw lets the interpreter go to another thread,
    which under load keeps it longer than all the rest of opening a writer takes."""
    try:
        return _names.pop()
    except IndexError:
        drawn = os.urandom(16 * 256).hex()
        _names.extend(drawn[at : at + 32] for at in range(32, len(drawn), 32))
        return drawn[:32]


def split(key: str) -> tuple[str, str]:
    """(folder, file name); NotFound for anything that this store would not have made."""
    if KEY.fullmatch(key) is None:
        raise NotFound("blob")
    folder, _, name = key.rpartition("/")
    return folder, name
