"""The bytes of a version as an answer: whole, a range of them, or none because the client has them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, timedelta
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from loadingdock.core import types
from loadingdock.core.files import Content
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.web.conditions import NotSatisfiable, refusal, wanted_range
from loadingdock.web.parameters import content_disposition

_SHORT = timedelta(minutes=1)  # that a URL of the store lives; it is followed at once
# Conditions on an ETag or a time of ours, which the store would judge by its own.
_OURS = frozenset({"if-match", "if-unmodified-since", "if-range"})
PRIVATE = "private, no-store"
# What a browser may show in place: it cannot run anything, in none of them.
_INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "text/plain"})
# A file is somebody else's, whatever it says it is. Each of these alone would keep its scripts from running here.
_SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "referrer-policy": "no-referrer",
}


async def content_response(request: Request, blobs: BlobStore, content: Content, *, cache: str = PRIVATE) -> Response:
    """The answer to a GET or HEAD: 200, 206, 304, 412 or 416, or a 307 to the store. `cache` is its Cache-Control."""
    modified = content.version.created_at
    headers = {
        **_SAFE,
        "accept-ranges": "bytes",
        "cache-control": cache,
        "etag": content.etag,
        "last-modified": format_datetime(modified.astimezone(UTC), usegmt=True),
    }
    status = refusal(request.headers, content.etag, modified)
    if status is not None:
        return Response(status_code=status, headers=headers)
    media_type = types.canonical(content.content_type)  # a declared one may be anything, also no header's value
    disposition = content_disposition(content.file.name, inline=media_type in _INLINE)
    if content.redirect and request.method == "GET" and not _OURS & set(request.headers.keys()):
        url = await blobs.download_url(
            content.blob_key, expires_in=_SHORT, content_type=media_type, disposition=disposition
        )
        if url is not None:
            return Response(status_code=307, headers={**_SAFE, "cache-control": "no-store", "location": url})
    part = None
    try:
        if request.method == "GET":  # the one method that ranges are defined for
            part = wanted_range(request.headers, content.etag, content.size)
    except NotSatisfiable:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{content.size}"})
    headers["content-type"] = media_type
    headers["content-disposition"] = disposition
    if content.version.sha256 is not None:
        digest = base64.b64encode(bytes.fromhex(content.version.sha256)).decode()
        headers["repr-digest"] = f"sha-256=:{digest}:"
    start, length = part or (0, content.size)
    if part:
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{content.size}"
    return BlobResponse(blobs, content.blob_key, start, length, status_code=206 if part else 200, headers=headers)


class BlobResponse(Response):
    """Streams a part of a blob. The first piece is read before the answer begins, so that what is missing can still
    be an error; while one piece is sent, the store reads the next."""

    def __init__(
        self, blobs: BlobStore, key: str, start: int, length: int, *, status_code: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(status_code=status_code, headers={**headers, "content-length": str(length)})
        self._blobs = blobs
        self._key = key
        self._start = start
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD" or not self._length:
            await self._begin(send)
            await send({"type": "http.response.body", "body": b""})
            return
        left = self._length
        gone: asyncio.Task[None] | None = None
        async with aclosing(self._blobs.read(self._key, self._start, self._length)) as pieces:
            try:
                async for piece in pieces:
                    if left == self._length:
                        await self._begin(send)
                    left -= len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
                    if left and gone is None:
                        gone = asyncio.create_task(_disconnected(receive))
                    if gone is not None and gone.done():
                        return
            finally:
                if gone is not None:
                    gone.cancel()
        if left:
            raise RuntimeError(f"blob {self._key} is {left} bytes shorter than its record says")

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def _disconnected(receive: Receive) -> None:
    """A server drops what is sent to a client that has gone, without a word; only `receive` tells."""
    while (await receive())["type"] != "http.disconnect":
        pass
