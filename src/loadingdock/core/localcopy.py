"""A blob as a plain file: for whoever reads it by its path."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.scratch import scratch


@asynccontextmanager
async def as_file(blobs: BlobStore, key: str) -> AsyncIterator[Path]:
    """The store's own file, or a copy where the store has none. Raises NotFound("blob")."""
    if (path := blobs.local_path(key)) is not None:
        yield path
        return
    with scratch() as folder:
        copy = folder / "blob"
        with copy.open("wb") as file:
            async for piece in blobs.read(key):
                await asyncio.to_thread(file.write, piece)
        yield copy
