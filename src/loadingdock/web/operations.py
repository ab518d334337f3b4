"""What answers besides the wires: whether the service lives and is ready, its metrics, and the way to the docs.

None of it asks for credentials and none of it says more than names, states and times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from loadingdock.core.errors import DockError, Unavailable
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.processing import Engine
from loadingdock.web import metrics, sse
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.problems import problem
from loadingdock.web.services import Services

_PATIENCE = 3.0  # seconds that one dependency may take to answer
_FRESH = timedelta(seconds=1)  # asking more often gets the last answer: nobody can wear the dependencies out
_METHODS = ["GET", "HEAD"]

Check = Callable[[], Awaitable[object]]


@dataclass
class Readiness:
    """The dependencies by name, and since when each one that is down has been seen down by this process. `engines` of
    the scanner are named where there are several: one that answers is enough."""

    checks: Mapping[str, Check]
    clock: Clock
    engines: Callable[[], Sequence[Engine]] = tuple
    down: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    _asked_at: datetime | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self) -> None:
        """Asks all of them at once. What they answered is in `down`."""
        async with self._asking:
            if self._asked_at is not None and self.clock.now() - self._asked_at < _FRESH:
                return
            reasons = await asyncio.gather(*(_reason(check) for check in self.checks.values()))
            self._asked_at = now = self.clock.now()
            for name, reason in zip(self.checks, reasons, strict=True):
                if reason is None:
                    self.down.pop(name, None)
                else:
                    since, _ = self.down.get(name, (now, ""))
                    self.down[name] = (since, reason)
                metrics.ready.labels(name).set(reason is None)

    def report(self) -> dict[str, object]:
        return {
            "status": "unready" if self.down else "ready",
            "checks": {name: self._state(name) for name in self.checks},
        }

    def _state(self, name: str) -> dict[str, object]:
        several: dict[str, object] = {}
        if name == "scanner" and len(engines := self.engines()) > 1:
            several = {"engines": {engine.address: _engine(engine) for engine in engines}}
        if name not in self.down:
            return {"status": "up", **several}
        since, reason = self.down[name]
        return {"status": "down", "since": since.isoformat(timespec="seconds"), "reason": reason, **several}


def _engine(engine: Engine) -> dict[str, str]:
    return {"status": "down", "reason": engine.why} if engine.why else {"status": "up"}


async def _reason(check: Check) -> str | None:
    """Why the dependency cannot be used; None if it can. The words are ours: an engine's own may name secrets."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await check()
    except TimeoutError:
        return f"no answer within {_PATIENCE:g} s"
    except DockError as error:
        return error.why or str(error) if isinstance(error, Unavailable) else str(error)
    except Exception as error:
        return f"failed with {type(error).__name__}"
    return None


def _build(services: Services) -> FastAPI:
    checks: dict[str, Check] = {
        "database": services.records.ping,
        # Fails for good after an fsync error: what the kernel dropped then nobody can promise any more.
        "store": services.blobs.ping,
        "scanner": services.scanner.ping,
        "queue": lambda: services.jobs.depth(services.clock.now()),
    }
    if services.limiter is not None:
        checks["rate limiter"] = services.limiter.ping
    app = application(dialect, "Whether the service lives, is ready, and how it does.")
    readiness = Readiness(checks, services.clock, services.scanner.engines)

    async def healthz(request: Request) -> Response:
        """The process answers. Nothing else is asked, so that a slow disk restarts nobody."""
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    async def readyz(request: Request) -> Response:
        if sse.draining(request).is_set():  # who balances load shall send nobody else here
            return JSONResponse({"status": "draining"}, 503, headers=_NO_STORE)
        await readiness.ask()
        return JSONResponse(readiness.report(), 503 if readiness.down else 200, headers=_NO_STORE)

    async def scrape(request: Request) -> Response:
        await readiness.ask()
        await _refresh(services, readiness)
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST, headers=_NO_STORE)

    async def home(request: Request) -> Response:
        return RedirectResponse("/docs", 307)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", scrape), ("/", home)):
        app.add_route(path, endpoint, _METHODS, include_in_schema=False)
    return app


async def _refresh(services: Services, readiness: Readiness) -> None:
    """The gauges as of now; those of a dependency that is down keep their last value, and `ready` says so."""
    if (found := services.records.connections()) is not None:
        metrics.pool(found)
    if "queue" not in readiness.down:
        waiting, running, dead, age = await services.jobs.depth(services.clock.now())
        metrics.jobs_waiting.set(waiting)
        metrics.jobs_running.set(running)
        metrics.jobs_dead.set(dead)
        metrics.job_age.set(age)
    if "database" not in readiness.down:
        pending, age = await services.callbacks.backlog()
        metrics.callbacks_pending.set(pending)
        metrics.callback_age.set(age)
    if "store" not in readiness.down and (free := await services.blobs.free_bytes()) is not None:
        metrics.store_free.set(free)


_NO_STORE = {"cache-control": "no-store"}

dialect = Dialect(
    name="operations",
    title="Operations",
    summary="Health, readiness and metrics.",
    prefixes=("",),
    build=_build,
    render=problem,
)
