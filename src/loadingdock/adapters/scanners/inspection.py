"""What the scanners share: a file to look into, and a limited child process that opens archives in it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from loadingdock.adapters.confined.pool import ChildFailed, ChildUnavailable, Pool
from loadingdock.adapters.confined.pool import Limits as ChildLimits
from loadingdock.adapters.scanners.limits import Limits
from loadingdock.core.model.processing import ScanResult, Verdict


class Incomplete(Exception):
    """The body had another length than was said."""


@asynccontextmanager
async def as_file(body: AsyncIterator[bytes], size: int, path: Path | None, folder: Path | None) -> AsyncIterator[Path]:
    """The bytes as a plain file: `path`, or a temporary copy of `body` that is gone afterwards. Raises Incomplete."""
    if path is not None:
        yield path
        return
    # Made here, not in a thread: a time-out in between would leave it behind.
    handle, name = tempfile.mkstemp(prefix="scan-", dir=folder)
    try:
        received = 0
        with os.fdopen(handle, "wb") as file:
            async for piece in body:
                received += len(piece)
                if received > size:
                    break
                await asyncio.to_thread(file.write, piece)
        if received != size:
            raise Incomplete(
                f"{size} bytes were announced, but the store gave {'more' if received > size else received}"
            )
        yield Path(name)
    finally:
        os.unlink(name)


class Inspection:
    """Files looked into by children of this process, with rules or, without any, for what can be opened alone."""

    def __init__(
        self,
        *rules: Path,
        archives: Limits,
        child: ChildLimits,
        children: int,
        folder: Path | None,
    ) -> None:
        self._archives = asdict(archives)
        self._folder = str(folder) if folder else None
        self._pool = Pool("loadingdock.adapters.scanners.child", *map(str, rules), limits=child, size=children)

    async def look(self, path: Path, size: int) -> ScanResult:
        request = {
            "path": str(path),
            "size": size,
            "limits": self._archives,
            "folder": self._folder,
        }
        try:
            answer = await self._pool.call(request)
            return ScanResult(Verdict(answer["verdict"]), str(answer["detail"]))
        except ChildFailed as error:
            return ScanResult(Verdict.UNSCANNABLE, f"{error} while it looked into the file")
        except ChildUnavailable as error:
            return ScanResult(Verdict.SCANNER_DOWN, str(error))

    async def version(self) -> str:
        """Raises ChildUnavailable with what is wrong, such as a rule that does not compile."""
        return str((await self._pool.hello())["version"])

    async def close(self) -> None:
        await self._pool.close()
