"""Requests without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.requests import Request
from starlette.types import Message, Scope

from loadingdock.web.body import DEFAULT_PACE, Body, Pace

Headers = Iterable[tuple[str, str]]


class Client:
    """Sends `pieces`; then it ends its body, goes away, or falls silent. `asked` counts what was received."""

    def __init__(self, pieces: Iterable[bytes], *, then: str = "end") -> None:
        self._pieces = iter(pieces)
        self._then = then
        self.asked = 0

    async def receive(self) -> Message:
        self.asked += 1
        piece = next(self._pieces, None)
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if self._then == "end":
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}


def request(headers: Headers = (), client: Client | None = None, method: str = "POST") -> Request:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    scope: Scope = {"type": "http", "method": method, "path": "/", "headers": raw}
    return Request(scope, (client or Client(())).receive)


def body_of(
    data: bytes | Iterable[bytes],
    headers: Headers = (),
    *,
    max_size: int = 1 << 30,
    then: str = "end",
    pace: Pace = DEFAULT_PACE,
) -> Body:
    client = Client([data] if isinstance(data, bytes) else data, then=then)
    return Body(request(headers, client), max_size=max_size, pace=pace)


async def drain(body: Body) -> bytes:
    return b"".join([b"".join(batch) async for batch in body.batches()])
