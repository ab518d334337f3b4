"""A wire over a service whose way in fails: what cannot be brought about from outside without breaking a machine.

The wire's own application runs in this process over the real service's use cases; only who authenticates is answered
with the core error that the transcript names.
"""

from __future__ import annotations

import builtins
import dataclasses
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from loadingdock.core import errors
from loadingdock.core.errors import DockError
from loadingdock.web.app import Application
from loadingdock.web.services import Services
from tests.service import Desk, Service

EXAMPLES: dict[type[DockError], DockError] = {
    kind: error
    for error in [
        errors.DockError("Something is wrong."),
        errors.InvalidInput("The field is wrong.", field="name"),
        errors.DigestMismatch("sha256", claimed="AAAA", received="BBBB"),
        errors.LengthMismatch(declared=2, received=1),
        errors.NameRefused("The file name is empty."),
        errors.LimitExceeded("Parts", limit=3, received=4),
        errors.TooLarge(limit=1000, received=1001),
        errors.TooMany("Parts", limit=1000),
        errors.TooSlow("The body came too slowly."),
        errors.TypeRefused("The file's bytes are text/plain.", declared="image/png", detected="text/plain"),
        errors.Unauthenticated(),
        errors.Forbidden("files:upload"),
        errors.NotFound(),
        errors.Conflict("It is in another state."),
        errors.StillProcessing(),
        errors.AlreadyUploaded(),
        errors.OffsetMismatch(current=2, claimed=1),
        errors.AlreadyExists("The file"),
        errors.RequestInProgress(),
        errors.Infected(),
        errors.Rejected("It is encrypted."),
        errors.Gone(),
        errors.LinkExpired("The link's time is over."),
        errors.KeyReused(),
        errors.QuotaExceeded("bytes", limit=10, used=9, wanted=2),
        errors.RateLimited(retry_after=7),
        errors.Unavailable("store"),
        errors.StorageFull(),
        errors.ClientGone(),
    ]
    for kind in [type(error)]
}
BY_NAME = {kind.__name__: error for kind, error in EXAMPLES.items()}


class _Failing:
    """Answers whatever it is asked with the error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object, **__: object) -> None:
            raise self._error

        return fail


@contextmanager
def client(service: Service, error: str) -> Iterator[httpx.Client]:
    """`error` is a class of the core's tree by its name, or any built-in exception's."""
    failure = BY_NAME.get(error) or getattr(builtins, error)("a bug")

    @asynccontextmanager
    async def lifetime() -> AsyncIterator[Services]:
        yield dataclasses.replace(service.desk.services, access=_Failing(failure))  # type: ignore[arg-type]

    application = Application(lifetime)
    service.desk.ask(lambda _: application.start())
    with httpx.Client(base_url=service.url, transport=_InProcess(service.desk, application)) as found:
        yield found
    service.desk.ask(lambda _: application.stop())


class _InProcess(httpx.BaseTransport):
    """httpx's ASGI transport for plain clients: the application lives on the desk's loop."""

    def __init__(self, desk: Desk, application: Application) -> None:
        self._desk = desk
        self._transport = httpx.ASGITransport(application, raise_app_exceptions=False)  # type: ignore[arg-type]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask(_: Services) -> httpx.Response:
            asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
            response = await self._transport.handle_async_request(asked)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        return self._desk.ask(ask)


def every_error() -> list[type[DockError]]:
    """The core's tree, from its root, and what HTTP adds to it."""
    from loadingdock.web import errors as web

    def below(kind: type[DockError]) -> Iterator[type[DockError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    known = {*vars(errors).values(), *vars(web).values()}
    return [kind for kind in below(DockError) if kind in known and inspect.isclass(kind)]
