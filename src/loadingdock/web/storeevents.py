"""Where the store tells of what clients put into it: POST /store-events with the operator's secret as Bearer token.

Taken are the messages of AWS, Ceph and MinIO (`Records`, "Event message structure", Amazon S3 user guide), EventBridge
(`detail`) and SeaweedFS (`key`). They are hints: whether anything arrived, and what, is asked of the store itself, so
a forged, lost or repeated message changes nothing but when.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import InvalidInput, NotFound, TooLarge, Unauthenticated
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.problems import problem
from loadingdock.web.services import Services

PREFIX = "/store-events"
_MOST = 1 << 20  # bytes of one message; S3's have 256 KiB at most
_EVENTS = 1000  # in one message; the sweep finds what is beyond


def object_names(message: Any) -> Iterator[str]:
    """The keys of the objects that a message tells of, decoded; none for what is no such message."""
    if not isinstance(message, dict):
        return
    records = message.get("Records")
    for record in records[:_EVENTS] if isinstance(records, list) else ():
        key = _at(record, "s3", "object", "key")
        if isinstance(key, str):
            yield unquote_plus(key)
    for key in (_at(message, "detail", "object", "key"), message.get("key")):
        if isinstance(key, str):
            yield key


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _build(services: Services) -> FastAPI:
    app = application(dialect, "What the store tells of.")

    async def told(request: Request) -> Response:
        if services.notices is None or services.store_event_secret is None:
            raise NotFound("path")
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, b"Bearer " + services.store_event_secret.encode()):
            raise Unauthenticated
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST:
                raise TooLarge("Message size", limit=_MOST)
        try:
            message = json.loads(body) if body else None  # some stores try an empty one first
        except ValueError:
            raise InvalidInput("The message is JSON.", field="body") from None
        await services.notices.told(object_names(message))
        return Response(status_code=204)

    app.add_route(PREFIX, told, ["POST"], include_in_schema=False)
    return app


dialect = Dialect(
    name="store-events",
    title="Store events",
    summary="Where an S3 store tells of arrivals.",
    prefixes=(PREFIX,),
    build=_build,
    render=problem,
)
