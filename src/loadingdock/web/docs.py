"""The references under `/docs`: a page and an OpenAPI document for each API, made from its own application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import NotFound
from loadingdock.web import openapi, reference
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.problems import SAMPLES, problem, status_of, title_of
from loadingdock.web.services import Services

_METHODS = ["GET", "HEAD"]
_HEADERS = {
    # No script, no frame, nothing from elsewhere: the pages are text that comes from our own code.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


Page = tuple[bytes, str]  # its bytes and their media type


def documents(built: Sequence[tuple[Dialect, FastAPI]]) -> Dialect:
    """The references of these wires, as an application of its own. `built` are their applications as they run."""

    def build(services: Services) -> FastAPI:
        app = application(dialect, "The references of all APIs.")
        pages = _pages(built, services.public_url)

        async def serve(request: Request) -> Response:
            make = pages.get(request.url.path.rstrip("/"))
            if make is None:
                raise NotFound("page")
            body, media_type = await asyncio.to_thread(make)
            return Response(body, headers=_HEADERS, media_type=media_type)

        app.add_route("/docs", serve, _METHODS, include_in_schema=False)
        app.add_route("/docs/{rest:path}", serve, _METHODS, include_in_schema=False)
        return app

    dialect = Dialect(
        name="docs",
        title="References",
        summary="A page and an OpenAPI document for each API.",
        prefixes=("/docs",),
        build=build,
        render=problem,
    )
    return dialect


def _pages(built: Sequence[tuple[Dialect, FastAPI]], public_url: str) -> Mapping[str, Callable[[], Page]]:
    """What lies under each path. Made at the first request for it, because it costs a start more than all the rest,
    and once, because neither the routes nor the errors of a running service change."""

    before = urlsplit(public_url).path.rstrip("/")

    def html(page: str) -> Page:
        """Its links lead below the public URL."""
        return page.replace('href="/docs', f'href="{before}/docs').encode(), "text/html"

    def of(wire: Dialect, app: FastAPI) -> Mapping[str, Callable[[], Page]]:
        described = cache(lambda: openapi.describe(wire, app, public_url))
        return {
            f"/docs/{wire.name}": lambda: html(reference.reference(wire.name, described())),
            f"/docs/{wire.name}/openapi.json": lambda: (
                json.dumps(described(), ensure_ascii=False, indent=1).encode(),
                "application/json",
            ),
        }

    def errors() -> Page:
        samples = {error.code: error for error in reversed(SAMPLES)}  # the first of each code
        rows = [(code, title_of(error), status_of(error), str(error)) for code, error in samples.items()]
        return html(reference.errors_page(reversed(rows)))

    pages: dict[str, Callable[[], Page]] = {
        "/docs": lambda: html(reference.index((wire.name, wire.title, wire.summary) for wire, _ in built)),
        "/docs/errors": errors,
        "/docs/style.css": lambda: (files(__package__).joinpath("docs.css").read_bytes(), "text/css"),
    }
    for wire, app in built:
        pages.update(of(wire, app))
    return {path: cache(make) for path, make in pages.items()}
