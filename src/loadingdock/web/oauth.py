"""The token endpoint: OAuth 2.0 client credentials (RFC 6749 4.4), and the keys that verify its tokens.

    POST /oauth/token              form: grant_type=client_credentials, scope, login_organization or organization_id
    GET  /.well-known/jwks.json    RFC 7517

A client authenticates by Basic or by `client_id` and `client_secret` in the form, never both (2.3.1). Where it serves
several organizations it names one, by number or code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import unquote_plus

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import errors
from loadingdock.core.errors import DockError, InvalidInput, Unauthenticated
from loadingdock.web.body import Body, Pace
from loadingdock.web.context import context
from loadingdock.web.credentials import Basic, authorization
from loadingdock.web.dialect import Dialect, application
from loadingdock.web.forms import receive_urlencoded
from loadingdock.web.multipart import Form
from loadingdock.web.parameters import parameters
from loadingdock.web.problems import headers_of, status_of
from loadingdock.web.services import Services

TOKEN_PATH = "/oauth/token"
JWKS_PATH = "/.well-known/jwks.json"

_FORM = "application/x-www-form-urlencoded"
_LARGEST = 16 * 1024  # bytes of a token request
_CHALLENGE = 'Basic realm="Loadingdock", charset="UTF-8"'
_ORGANIZATION = ("login_organization", "organization_id")
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}  # RFC 6749 5.1


class UnsupportedGrantType(InvalidInput):
    code = "unsupported_grant_type"

    def __init__(self) -> None:
        super().__init__("The only grant_type here is client_credentials.", field="grant_type")


def _build(services: Services) -> FastAPI:
    app = application(dialect, "OAuth 2.0 client credentials.")

    async def token(request: Request) -> Response:
        basic = _basic(request)
        form = await _form(request, services.limits.pace)
        client_id, secret = _client(basic, form)
        grant_type = form.get("grant_type")
        if not grant_type:
            raise InvalidInput("The parameter grant_type is missing; send client_credentials.", field="grant_type")
        if grant_type != "client_credentials":
            raise UnsupportedGrantType
        known = context(request)
        grant = await services.access.grant(
            client_id,
            secret,
            _organization(form),
            form.get("scope"),
            address=known.address,
            trace_id=known.trace_id,
        )
        return _json(
            {
                "access_token": grant.token,
                "token_type": "Bearer",
                "expires_in": int(grant.ttl.total_seconds()),
                "scope": " ".join(sorted(grant.permissions)),
            },
            headers=_NO_STORE,
        )

    async def jwks(request: Request) -> Response:
        return _json(await services.tokens.jwks(), headers={"cache-control": "public, max-age=300"})

    app.add_route(TOKEN_PATH, token, ["POST"], include_in_schema=False)
    app.add_route(JWKS_PATH, jwks, ["GET", "HEAD"], include_in_schema=False)
    return app


def _basic(request: Request) -> Basic | None:
    """The client's Basic credentials. Each half is form-encoded before they are joined (RFC 6749 2.3.1)."""
    found = authorization(request.scope["headers"])
    if found is None:
        return None
    if not isinstance(found, Basic):
        raise Unauthenticated
    return Basic(unquote_plus(found.login), unquote_plus(found.password))


async def _form(request: Request, pace: Pace) -> Form:
    media_type, _ = parameters("Content-Type", request.headers.get("content-type", ""))
    if media_type != _FORM:
        raise InvalidInput(f"A token request is {_FORM}.", field="Content-Type")
    if any(name in request.query_params for name in ("client_secret", "client_id", "grant_type")):
        raise InvalidInput("Parameters belong into the body; an address ends up in logs.", field="query")
    form = await receive_urlencoded(Body(request, max_size=_LARGEST, pace=pace))
    names = [name for name, _ in form.fields]
    for name in names:
        if names.count(name) > 1:  # RFC 6749 3.2
            raise InvalidInput(f"The parameter {name[:80]} comes twice.")
    return form


def _client(basic: Basic | None, form: Form) -> tuple[str, str]:
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if basic is not None:
        if secret is not None or client_id not in (None, basic.login):
            raise InvalidInput("The client authenticates by Basic and in the form; use one.", field="client_secret")
        return basic.login, basic.password
    if not client_id or secret is None:
        raise Unauthenticated("The client does not say who it is: send client_id and client_secret, or Basic.")
    return client_id, secret


def _organization(form: Form) -> str | None:
    named = {value for name in _ORGANIZATION if (value := form.get(name))}
    if len(named) > 1:
        raise InvalidInput("login_organization and organization_id name two organizations.", field="organization")
    return named.pop() if named else None


def _render(error: DockError, request: Request) -> Response:
    """RFC 6749 5.2."""
    status = status_of(error)
    match error:
        case UnsupportedGrantType():
            word = "unsupported_grant_type"
        case InvalidInput(field="scope"):
            word = "invalid_scope"
        case InvalidInput() | errors.TypeRefused():
            word, status = "invalid_request", 400
        case Unauthenticated():
            word = "invalid_client"
        case errors.RateLimited() | errors.Unavailable():
            word = "temporarily_unavailable"
        case _:
            word = "server_error" if status >= 500 else "invalid_request"
    headers = {**headers_of(error, challenge=_CHALLENGE), **_NO_STORE}
    return _json({"error": word, "error_description": _description(str(error))}, status, headers)


def _description(text: str) -> str:
    """With the characters that the RFC allows there."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" if c == '"' else "?" for c in text)


def _json(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), status, headers=headers, media_type="application/json")


dialect = Dialect(
    name="oauth",
    title="OAuth",
    summary="Access tokens for clients, and the keys that verify them.",
    prefixes=("/oauth", "/.well-known"),
    build=_build,
    render=_render,
)
