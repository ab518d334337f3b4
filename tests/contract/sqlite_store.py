"""Fresh SQLite stores for the contract suites."""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from loadingdock.testing.records import OpenStore, Store
from tests import sqlite


@asynccontextmanager
async def _open(path: Path) -> AsyncIterator[Store]:
    records = sqlite.opened(path)
    try:
        yield Store(records, records.jobs, partial(_open, path))
    finally:
        await records.close()


def opener(folder: Path) -> OpenStore:
    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        before = set(threading.enumerate())  # a shared service may be open in this process
        async with _open(folder / f"{secrets.token_hex(4)}.db") as store:
            yield store
        left = set(threading.enumerate()) - before
        assert not [thread.name for thread in left if thread.name.startswith("sqlite-")]

    return open_store
