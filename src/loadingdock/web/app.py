"""The whole service as one ASGI application: dialects by their paths, and what surrounds them.

The way of a request is short on purpose: one dictionary look-up per path segment, then the dialect's own
application with the path untouched but for what the public URL has before it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loadingdock.core.errors import DockError, Unavailable, seen
from loadingdock.settings import WrongSetting
from loadingdock.web import metrics, oauth, objects, operations, sse, storeevents
from loadingdock.web.context import Context, attach
from loadingdock.web.credentials import client_address, trace_id
from loadingdock.web.dialect import Dialect, discover, render_unexpected
from loadingdock.web.docs import documents
from loadingdock.web.services import Services

log = structlog.get_logger("loadingdock.web")

Lifetime = Callable[[], AbstractAsyncContextManager[Services]]


class Application:
    """Pure ASGI. `lifetime` opens what the service stands on and closes it again. `draining` is set by whoever ends
    the service once it takes no more connections: streams end then, and it is no longer ready. With `operations_alone`
    nothing else answers: health, readiness and metrics of a process that does no more on the web."""

    def __init__(
        self,
        lifetime: Lifetime,
        dialects: Sequence[Dialect] | None = None,
        *,
        draining: asyncio.Event | None = None,
        operations_alone: bool = False,
    ) -> None:
        self._lifetime = lifetime
        self._draining = draining or asyncio.Event()
        self._alone = operations_alone
        if operations_alone:
            dialects = ()
        self._dialects = discover() if dialects is None else tuple(dialects)
        self._routes: dict[str, tuple[Dialect, ASGIApp]] = {}
        self._services: Services | None = None
        self._prefix = ""  # the public URL's path
        self._running: AbstractAsyncContextManager[Services] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:  # no dialect speaks WebSocket: closing before accepting is a 403
            await send({"type": "websocket.close", "code": 1000})

    async def start(self) -> Services:
        self._running = self._lifetime()
        services = await self._running.__aenter__()
        try:
            self._mount(services)
        except BaseException:
            await self.stop()
            raise
        self._services = services
        self._prefix = urlsplit(services.public_url).path.rstrip("/")
        return services

    def _mount(self, services: Services) -> None:
        built = [(dialect, dialect.build(services)) for dialect in self._dialects]
        around: tuple[Dialect, ...] = (operations.dialect,)
        if not self._alone:
            around = (oauth.dialect, objects.dialect, storeevents.dialect, *around, documents(tuple(built)))
        for dialect in around:
            built.append((dialect, dialect.build(services)))
        for dialect, app in built:
            for prefix in dialect.prefixes:
                if prefix in self._routes:
                    taken = self._routes[prefix][0].name
                    raise RuntimeError(f"{dialect.name} and {taken} both want {prefix}")
                self._routes[prefix] = (dialect, app)

    async def stop(self) -> None:
        if self._running is not None:
            await self._running.__aexit__(None, None, None)

    def route(self, path: str) -> tuple[Dialect, ASGIApp]:
        """The longest prefix of whole segments; operations answer what nobody else does."""
        prefix = path
        while prefix:
            if found := self._routes.get(prefix):
                return found
            prefix = prefix.rpartition("/")[0]
        return self._routes[""]

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        assert services is not None
        if self._prefix:
            scope = below(scope, self._prefix)
        dialect, app = self.route(scope["path"])
        peer = scope.get("client")
        context = Context(
            trace_id(scope["headers"]),
            client_address(peer[0] if peer else None, scope["headers"], services.trusted_proxies),
            dialect.name,
        )
        attach(scope, context)
        started = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with metrics.in_flight.track_inprogress():
            try:
                await app(scope, receive, answer)
            except asyncio.CancelledError:
                status = status or 499
                raise
            except Exception as error:
                request = Request(scope, receive)
                response = render_unexpected(dialect, request, error)
                if status:
                    raise ConnectionAbortedError("the answer broke off") from error
                await response(scope, receive, answer)
            finally:
                took = time.perf_counter() - started
                metrics.request(dialect.name, scope["method"], status, took)
                if status >= 400:
                    told = {
                        "api": dialect.name,
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "seconds": round(took, 4),
                        "address": context.address,
                        "trace_id": context.trace_id,
                    }
                    if status < 500:
                        log.info("refused", **told)
                    elif context.error is None:  # logged already, or no failure of the request's: not ready
                        log.info("failed", **told)
                    else:  # nothing that the client can put right: whoever runs the service is told what it was
                        log.warning("failed", **told, reason=seen(context.error))

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        sse.offer(scope, self._draining)
        await receive()
        try:
            await self.start()
        except (DockError, WrongSetting) as error:  # foreseen: the sentence says it all
            log.error("cannot start", reason=(error.why if isinstance(error, Unavailable) else "") or str(error))
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        except Exception as error:
            log.error("cannot start", exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def below(scope: Scope, prefix: str) -> Scope:
    """The request as it is below the public URL's path, whether a proxy in front took that off or passed it on;
    `raw_path` stays, or becomes again, what the client asked for, because signatures are over that."""
    if scope["path"].startswith(f"{prefix}/"):
        return {**scope, "path": scope["path"][len(prefix) :]}
    return {**scope, "raw_path": prefix.encode() + scope["raw_path"]}


@asynccontextmanager
async def running(application: Application) -> AsyncIterator[Services]:
    """The application without a server, for tests and the command line."""
    services = await application.start()
    try:
        yield services
    finally:
        await application.stop()
