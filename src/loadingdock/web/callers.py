"""Who sends a request, and whether they may: what routes ask before they ask for a byte of its body."""

from __future__ import annotations

from starlette.requests import Request

from loadingdock.core.access import Access
from loadingdock.core.errors import Unauthenticated
from loadingdock.core.model.identity import Principal
from loadingdock.web.context import context
from loadingdock.web.credentials import Basic, Bearer, Credentials


async def recognise(access: Access, request: Request, credentials: Credentials | None) -> Principal:
    """Whose the credentials are. Raises Unauthenticated without any and for wrong ones, and what `Access` does besides
    for each kind of them."""
    known = context(request)
    match credentials:
        case Basic():
            return await access.basic(
                credentials.login, credentials.password, address=known.address, trace_id=known.trace_id
            )
        case Bearer():
            return await access.bearer(credentials.token, address=known.address, trace_id=known.trace_id)
        case None:
            raise Unauthenticated
        case _:
            return await access.api_key(credentials.key, address=known.address, trace_id=known.trace_id)


async def authorise(
    access: Access, request: Request, credentials: Credentials | None, permission: str, namespace: str | None = None
) -> Principal:
    """The same, of those who may. Raises Forbidden, and RateLimited, besides."""
    principal = await recognise(access, request, credentials)
    await access.admit(principal, permission, namespace)
    return principal
