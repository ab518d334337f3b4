"""Which web pages may use us from a browser (the Fetch standard's CORS protocol).

Origins are a company's setting, by default our own. The answer names one origin, never `*`: the one that asks if it
is allowed, else the first that is, so that the header is there on every answer and opens nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from loadingdock.core.errors import DockError, seen
from loadingdock.core.model.companies import Company
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.settings import CORS_ORIGINS

log = structlog.get_logger("loadingdock.web")

_KEY = "loadingdock.cors"
_FRESH = timedelta(seconds=5)
_KEPT = 1024  # companies whose origins are remembered
_MAX_AGE = "600"  # seconds; what browsers remember of a preflight at least


class Origins:
    """The allowed origins of companies, remembered for seconds: browsers ask before every upload. An origin that is
    not among the remembered ones has them read again, so that a new one is allowed at once. `asking`: the request's
    own."""

    def __init__(self, records: Records, clock: Clock, public_url: str) -> None:
        self._records = records
        self._clock = clock
        self.own = origin_of(public_url)
        self._known: OrderedDict[int | None, tuple[datetime, tuple[str, ...]]] = OrderedDict()

    def of(self, company: Company | None) -> tuple[str, ...]:
        """A company's origins, or those of nobody in particular."""
        origins = [] if company is None else company.get(CORS_ORIGINS)
        return tuple(origins) or (self.own,)

    async def of_number(self, number: int, asking: str | None) -> tuple[str, ...]:
        """Those of the company of that number; an unknown one answers as one that set nothing."""

        async def work(unit: Unit) -> tuple[str, ...]:
            return self.of(await unit.companies.by_number(number))

        return await self._remembered(number, asking, work)

    async def of_anybody(self, asking: str | None) -> tuple[str, ...]:
        """Those of all companies, ours first: for a preflight, which comes without credentials."""

        async def work(unit: Unit) -> tuple[str, ...]:
            living = [company for company in await unit.companies.list() if company.disabled_at is None]
            return tuple(dict.fromkeys([self.own, *(origin for company in living for origin in self.of(company))]))

        return await self._remembered(None, asking, work)

    async def _remembered(
        self, key: int | None, asking: str | None, work: Callable[[Unit], Awaitable[tuple[str, ...]]]
    ) -> tuple[str, ...]:
        now = self._clock.now()
        until, origins = self._known.get(key, (now, ()))
        if now < until and (asking is None or asking in origins):
            return origins
        try:
            origins = await self._records.read(None, work)
        except DockError as error:
            log.warning("origins not available", reason=seen(error))
            return (self.own,)
        self._known[key] = (now + _FRESH, origins)
        self._known.move_to_end(key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return origins


class Cors:
    """Pure ASGI, around a wire's application: looks the origins up before anything else happens, so that whatever
    answers can name one. `whose` finds them by the request's path and its Origin."""

    def __init__(self, app: ASGIApp, whose: Callable[[str, str | None], Awaitable[tuple[str, ...]]]) -> None:
        self._app = app
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            allow(scope, await self._whose(scope["path"], Headers(scope=scope).get("origin")))
        await self._app(scope, receive, send)


def allow(scope: Scope, origins: Sequence[str]) -> None:
    """From now on the answers to this request are for these origins."""
    asking = Headers(scope=scope).get("origin")
    scope[_KEY] = {
        "access-control-allow-origin": asking if asking in origins else origins[0],
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }


def headers(request: Request, expose: str = "") -> dict[str, str]:
    """What every answer carries. `expose` names the headers that a page may read besides the few it always may."""
    found: Mapping[str, str] = request.scope.get(_KEY, {})
    return {**found, **({"access-control-expose-headers": expose} if expose and found else {})}


def preflight(methods: str, request_headers: str) -> dict[str, str]:
    """What the answer to an OPTIONS carries besides `headers`."""
    return {
        "access-control-allow-methods": methods,
        "access-control-allow-headers": request_headers,
        "access-control-max-age": _MAX_AGE,
    }


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it (RFC 6454 6.2)."""
    parts = urlsplit(url.lower())
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if parts.port in (None, standard) else f":{parts.port}")
