"""Fresh SQLite stores for the contract suites."""

from __future__ import annotations

import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.testing.records import OpenStore, Store


@asynccontextmanager
async def _open(path: Path) -> AsyncIterator[Store]:
    records = SqliteRecords.open(path)
    try:
        await records.migrate()
        yield Store(records, records.jobs, partial(_open, path))
    finally:
        await records.close()


def opener(folder: Path) -> OpenStore:
    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        threads = threading.active_count()
        async with _open(folder / f"{secrets.token_hex(4)}.db") as store:
            yield store
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("sqlite-")]
        assert not left or threading.active_count() <= threads, left

    return open_store
