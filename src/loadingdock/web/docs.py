"""The references under `/docs`: a page and an OpenAPI document for each API, made from its own application."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files

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


def documents(built: Sequence[tuple[Dialect, FastAPI]]) -> Dialect:
    """The references of these wires, as an application of its own. `built` are their applications as they run."""

    def build(services: Services) -> FastAPI:
        app = application(dialect, "The references of all APIs.")
        described = {wire.name: openapi.describe(wire, its, services.public_url) for wire, its in built}
        # Made once: neither the routes nor the errors of a running service change.
        pages = {
            "/docs": reference.index((wire.name, wire.title, wire.summary) for wire, _ in built),
            "/docs/errors": reference.errors_page(
                (error.code, title_of(error), status_of(error), str(error)) for error in SAMPLES
            ),
            **{f"/docs/{name}": reference.reference(name, document) for name, document in described.items()},
        }
        contents = {path: (page.encode(), "text/html") for path, page in pages.items()}
        for name, document in described.items():
            body = json.dumps(document, ensure_ascii=False, indent=1).encode()
            contents[f"/docs/{name}/openapi.json"] = (body, "application/json")
        contents["/docs/style.css"] = (files(__package__).joinpath("docs.css").read_bytes(), "text/css")

        async def serve(request: Request) -> Response:
            found = contents.get(request.url.path.rstrip("/"))
            if found is None:
                raise NotFound("page")
            body, media_type = found
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
