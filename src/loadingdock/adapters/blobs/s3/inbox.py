"""Where clients put bytes into the bucket themselves, by URLs that the store verifies."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar

from loadingdock.adapters.blobs.s3.objects import Objects
from loadingdock.adapters.blobs.s3.troubles import cause, code_of, refusal
from loadingdock.adapters.blobs.s3.wire import BROKEN, Wire
from loadingdock.core.errors import Unavailable
from loadingdock.core.ports.blobs import Arrived
from loadingdock.core.ports.examination import Examination

P = ParamSpec("P")
T = TypeVar("T")

_FOLDER = "incoming/"
_ABSENT = frozenset({404})
_BRIEF = timedelta(minutes=1)  # as long as a URL to which a download is sent
_BYTES = b"loadingdock"
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
        return await self._ask(self._wire.presigned, "PUT", _FOLDER + name, expires_in, query=query, headers=headers)

    async def arrived(self, name: str) -> Arrived | None:
        answer = await self._ask(self._wire.request, "HEAD", _FOLDER + name, doing="s3:GetObject", passed=_ABSENT)
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

    async def examine(self) -> Examination:
        place = self._wire.place
        name = f"examination/{secrets.token_hex(8)}"  # a put below `incoming/` might be told of as an arrival
        try:
            problem = await self._ask(self._visited, name)
        except BROKEN as error:
            setting = "store_public_endpoint" if place.public_endpoint else "store_endpoint"
            problem = cause(error, place.public_base, setting)
        except Unavailable as error:
            problem = error.why
        else:
            await self._objects.delete([name])
        return Examination(place.public_base, (problem,) if problem else ())

    def _visited(self, name: str) -> str:
        """What is wrong with URLs; empty if nothing is."""
        headers = {"content-type": "text/plain", "content-length": str(len(_BYTES))}
        put = self._wire.visit("PUT", self._wire.presigned("PUT", name, _BRIEF, headers=headers), headers, _BYTES)
        got = self._wire.visit("GET", self._wire.presigned("GET", name, _BRIEF), {})
        for answer, doing in ((put, "s3:PutObject"), (got, "s3:GetObject")):
            if answer.status != 200:
                if code_of(answer.text) == "SignatureDoesNotMatch" and self._wire.place.public_endpoint:
                    return "it refuses the signature: a proxy in front of it must pass on Host as clients send it"
                raise refusal(self._wire.place, answer.status, answer.text, doing)
        return "" if got.body == _BYTES else "it sends other bytes than were put"

    async def admits(self, origin: str) -> bool:
        return await self._ask(self._admits, origin)

    def _admits(self, origin: str) -> bool:
        """The preflight of a browser (Fetch standard, 4.8)."""
        asking = {
            "origin": origin,
            "access-control-request-method": "PUT",
            "access-control-request-headers": "content-type",
        }
        url = self._wire.presigned("PUT", f"{_FOLDER}preflight", _BRIEF)
        try:
            answer = self._wire.visit("OPTIONS", url, asking)
        except BROKEN:
            return False
        allowed = answer.headers.get("access-control-allow-origin")
        methods = answer.headers.get("access-control-allow-methods", "")
        return answer.status // 100 == 2 and allowed in {origin, "*"} and ("PUT" in methods or methods == "*")

    def _ask(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._senders, partial(work, *args, **kwargs))
