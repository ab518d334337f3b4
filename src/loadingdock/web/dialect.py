"""What a wire is to the service: a name, the paths it answers on, and an application that speaks it whole.

A package under `loadingdock.dialects` whose `__init__` has a `dialect` is one. Nothing else has to know it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from loadingdock.core.errors import DockError
from loadingdock.core.model.companies import CompanySetting
from loadingdock.web.context import context
from loadingdock.web.errors import InternalError, MethodNotAllowed, of_framework
from loadingdock.web.services import Services

log = structlog.get_logger("loadingdock.web")

Render = Callable[[DockError, Request], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class Dialect:
    """`prefixes` are matched on whole path segments; the longest one wins. `build` makes the application; `render`
    is the wire's table from errors to answers and takes every error of the core's tree. `settings` are the things
    that only this wire lets an operator set for a company; their keys begin with the dialect's name. `errors` are the
    wire's own, one of every kind, for its reference."""

    name: str
    title: str
    summary: str
    prefixes: tuple[str, ...]
    build: Callable[[Services], FastAPI]
    render: Render
    settings: tuple[CompanySetting[Any], ...] = ()
    errors: tuple[DockError, ...] = ()


class Wire(FastAPI):
    """The framework's application, with a straight way to routes on which each microsecond counts. The framework's
    own way through middleware, router and dependencies costs a third of what a small upload costs in all."""

    def __init__(self, render: Render, **options: Any) -> None:
        super().__init__(**options)
        self._render = render
        self._direct: dict[tuple[str, str], Endpoint] = {}

    def add_direct_route(self, path: str, endpoint: Endpoint, *, method: str, **document: Any) -> None:
        """A route without parameters in its path, documented like any other and called with the request alone."""
        self.add_api_route(path, endpoint, methods=[method], **document)
        self._direct[method, path] = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._direct.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await endpoint(request)
        except DockError as error:
            context(request).error = error
            response = self._render(error, request)
        await response(scope, receive, send)


def application(dialect: Dialect, description: str) -> Wire:
    """An empty application of the dialect: its own OpenAPI document, and every failure in its own shape."""
    from loadingdock import __version__

    app = Wire(
        dialect.render,
        title=dialect.title,
        summary=dialect.summary,
        description=description,
        version=__version__,
        openapi_url=None,  # served for all of them under /docs
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    handle = _handler(dialect.render)
    for error in (DockError, HTTPException, RequestValidationError):
        app.add_exception_handler(error, handle)
    app.add_exception_handler(Exception, _pass_on)
    return app


def _handler(render: Render) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        known = context(request).error = of_framework(error)
        return render(MethodNotAllowed(_allowed(request)) if isinstance(known, MethodNotAllowed) else known, request)

    return handle


async def not_here(request: Request) -> Response:
    """The endpoint of a method that a fixed path refuses, where a parameter of another route would take the path."""
    raise MethodNotAllowed(_allowed(request))


def _allowed(request: Request) -> str:
    """All methods that the path answers to (RFC 9110 10.2.1); the framework names those of the first route alone.

    Routes that take a fixed segment of it for a parameter are other resources."""
    first: dict[str, object] | None = None
    allowed = set()
    for route in request.app.router.routes:
        for method in _METHODS:
            match, found = route.matches({**request.scope, "method": method})
            if match is Match.NONE:
                continue
            parameters = found.get("path_params", {})
            first = parameters if first is None else first
            if match is Match.FULL and parameters == first and found.get("endpoint") is not not_here:
                allowed.add(method)
    return ", ".join(method for method in _METHODS if method in allowed)


async def _pass_on(request: Request, error: Exception) -> Response:
    """What nobody foresaw goes up to `web.app`, which answers by `render_unexpected`: without this the framework would
    answer in words of its own before."""
    raise error


def render_unexpected(dialect: Dialect, request: Request, error: Exception) -> Response:
    """Our fault, in the dialect's shape; the log has the traceback, the client has none."""
    log.error("request failed", api=dialect.name, path=request.url.path, exc_info=error)
    return dialect.render(InternalError(), request)


def discover() -> tuple[Dialect, ...]:
    """Every dialect there is, by name."""
    package = importlib.import_module("loadingdock.dialects")
    found = [
        module.dialect
        for info in pkgutil.iter_modules(package.__path__)
        if hasattr(module := importlib.import_module(f"{package.__name__}.{info.name}"), "dialect")
    ]
    return tuple(sorted(found, key=lambda dialect: dialect.name))
