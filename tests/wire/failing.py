"""A wire over a service whose way in fails: what cannot be brought about from outside without breaking a machine.

The wire's own application runs in this process over the real service's use cases; only who authenticates is answered
with the core error that the transcript names.
"""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import structlog.testing

from loadingdock.web.app import Application
from loadingdock.web.dialect import Dialect
from loadingdock.web.problems import SAMPLES
from loadingdock.web.services import Services
from tests.service import Desk, Service

BY_NAME = {type(error).__name__: error for error in SAMPLES}


class _Failing:
    """Answers whatever it is asked with the error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object, **__: object) -> None:
            raise self._error

        return fail


@contextmanager
def client(service: Service, dialect: Dialect, error: str) -> Iterator[httpx.Client]:
    """`error` is a class of the core's tree by its name, or any built-in exception's."""
    failure = BY_NAME.get(error) or getattr(builtins, error)("a bug")

    @asynccontextmanager
    async def lifetime() -> AsyncIterator[Services]:
        yield dataclasses.replace(service.desk.services, access=_Failing(failure))  # type: ignore[arg-type]

    application = Application(lifetime, (dialect,))
    service.desk.ask(lambda _: application.start())
    transport = _InProcess(service.desk, application)
    # The traceback that the log would show takes seconds to draw.
    with httpx.Client(base_url=service.url, transport=transport) as found, structlog.testing.capture_logs():
        yield found
    service.desk.ask(lambda _: application.stop())


class _InProcess(httpx.BaseTransport):
    """httpx's ASGI transport for plain clients: the application lives on the desk's loop."""

    def __init__(self, desk: Desk, application: Application) -> None:
        self._desk = desk
        self._transport = httpx.ASGITransport(application, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask(_: Services) -> httpx.Response:
            asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
            response = await self._transport.handle_async_request(asked)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        return self._desk.ask(ask)
