"""Where clients put bytes into the bucket themselves, by URLs that the store verifies."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial

from loadingdock.adapters.blobs.s3.objects import Objects
from loadingdock.adapters.blobs.s3.wire import Wire
from loadingdock.core.ports import Arrived

_FOLDER = "incoming/"
_ABSENT = frozenset({404})
_UNTOLD = frozenset({"", "binary/octet-stream", "application/octet-stream", "application/x-www-form-urlencoded"})


class S3Inbox:
    """An `Inbox`."""

    def __init__(self, wire: Wire, objects: Objects, senders: Executor) -> None:
        self._wire = wire
        self._objects = objects
        self._senders = senders

    async def upload_url(
        self,
        name: str,
        *,
        expires_in: timedelta,
        content_type: str | None = None,
        size: int | None = None,
        sha256: str | None = None,
    ) -> str:
        """Type and length have to be sent as signed; a digest is a parameter, which AWS checks as if it were the
        header and others pass over."""
        headers = {} if content_type is None else {"content-type": content_type}
        if size is not None:
            headers["content-length"] = str(size)
        query = {}
        if sha256 is not None:
            query["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        work = partial(self._wire.presigned, "PUT", _FOLDER + name, expires_in, query=query, headers=headers)
        return await asyncio.get_running_loop().run_in_executor(self._senders, work)

    async def arrived(self, name: str) -> Arrived | None:
        work = partial(self._wire.request, "HEAD", _FOLDER + name, doing="s3:GetObject", passed=_ABSENT)
        answer = await asyncio.get_running_loop().run_in_executor(self._senders, work)
        if answer.status == 404:
            return None
        kind = answer.headers.get("content-type", "")
        return Arrived(int(answer.headers["content-length"]), None if kind in _UNTOLD else kind)

    async def read(self, name: str) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._objects.read(_FOLDER + name, 0, None)) as pieces:
            async for piece in pieces:
                yield piece

    async def list(self) -> AsyncIterator[tuple[str, datetime]]:
        async for name, at in self._objects.list(_FOLDER):
            yield name.removeprefix(_FOLDER), at

    async def remove(self, name: str) -> None:
        await self._objects.delete([_FOLDER + name])
