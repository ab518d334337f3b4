"""The management API as one application."""

from __future__ import annotations

from fastapi import FastAPI

from loadingdock.dialects.management import (
    administration,
    attachments,
    callbacks,
    contents,
    events,
    files,
    imports,
    journal,
    receiving,
    tables,
    uploads,
)
from loadingdock.dialects.management.wire import API, PREFIX, render
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.services import Services

_DESCRIPTION = """\
Everything that the other APIs do not say: their files found, shared, kept and removed, contacts looked at and loaded,
the company administered.

**Credentials**: an API key in the header `api-key`, a Bearer token, or Basic. Reading files needs `files:read`,
changing them `files:write`, reading contacts `contacts:read`, loading them `contacts:load`, administration `admin`.
Everything belongs to the company of the credentials; what belongs to another one does not exist. With the header
`user-id` the caller acts for one end user, and only this user's files exist.

**Lists** come in pages: send `next_cursor` as `cursor` until it is null.

**Errors** are problem documents (RFC 9457); [every code is explained](/docs/errors).

**Repetitions**: any POST may carry an `Idempotency-Key` of the client's own choice, such as a UUID. For 24 hours the
same request with the same key is answered with the first answer and `Idempotency-Replayed: true`; another request with
it is a 422, and one that comes while the first is worked on a 409. Failures are not kept. For an upload the bytes
count: they are received again, compared by their digest and dropped.
"""


def build(services: Services) -> FastAPI:
    app = application(dialect, _DESCRIPTION)
    app.state.services = services
    of_files = (files, contents, attachments, receiving, uploads)
    for part in (*of_files, events, callbacks, tables, imports, administration, journal):
        app.include_router(part.routes, prefix=PREFIX)
    return app


dialect = Dialect(
    name=API,
    title="Management",
    summary="Files of every API found, shared, kept and removed; contacts and their imports; users and keys; audit and"
    " events.",
    prefixes=(PREFIX,),
    build=build,
    render=render,
)
