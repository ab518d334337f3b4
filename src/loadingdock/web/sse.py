"""Server-sent events (WHATWG HTML 9.2): how they are written, and when a stream has to end.

The server lets requests end before it stops, and a stream ends only if it is told. Whoever runs the application
finds the event `draining` in the state of its lifespan and sets it when the end begins.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Scope

T = TypeVar("T")

DRAINING = "draining"
MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b": \n\n"


def offer(lifespan: Scope, event: asyncio.Event) -> None:
    """Puts the event into the state that a server hands on to every request (ASGI lifespan state)."""
    if "state" in lifespan:
        lifespan["state"][DRAINING] = event


def draining(request: Request) -> asyncio.Event:
    """Set once the service is about to end; never set by a server that does not tell."""
    event = request.scope.get("state", {}).get(DRAINING)
    return event if isinstance(event, asyncio.Event) else asyncio.Event()


def opening(retry: int) -> bytes:
    """What a stream begins with, so that the client sees at once that it stands. `retry`: milliseconds that a
    client waits before it comes back."""
    return b"retry: %d\n\n" % retry


def message(id: int, kind: str, data: Mapping[str, Any]) -> bytes:
    """One event. JSON in one line has no line breaks, so nothing in it can begin another field."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {id}\nevent: {kind}\ndata: {text}\n\n".encode("utf-8", "replace")


def stream(events: AsyncIterator[bytes]) -> StreamingResponse:
    """No proxy may keep or gather what is sent (X-Accel-Buffering is nginx's word for it)."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-content-type-options": "nosniff"}
    return StreamingResponse(events, headers=headers, media_type=MEDIA_TYPE)


async def unless(event: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What the work brings; None as soon as the event is set, and the work is given up."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stop.cancel()
