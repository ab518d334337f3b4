"""The company's users, keys and clients.

An administrator sees and changes only the company that the credentials belong to. Companies themselves, their limits
and settings are the operator's, on the command line: here they can be read. So there is no account whose loss
would open every tenant.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Path, Query
from starlette.responses import Response

from loadingdock.core.errors import InvalidInput, NotFound
from loadingdock.core.model.identity import ApiKey, OAuthClient, User
from loadingdock.core.permissions import parse_grants
from loadingdock.dialects.management.admin_shapes import (
    ClientShape,
    CompanyShape,
    CreatedClient,
    CreatedKey,
    KeyShape,
    UserShape,
)
from loadingdock.dialects.management.call import (
    Administrator,
    PageQuery,
    Read,
    body,
    paged,
    reads,
    router,
    shows,
)
from loadingdock.dialects.management.wire import Listing, NewApiKey, NewOAuthClient, NewUser, UserChanges, answer

routes = router("administration")

Name = Annotated[str, Path(max_length=255, description="The user's name, without the company code.")]
Page = Annotated[PageQuery, Query()]


# --- companies -----------------------------------------------------------------------------------


@routes.get("/companies", summary="List companies", responses=shows(Listing[CompanyShape], "The caller's own."))
async def list_companies(caller: Administrator, query: Page) -> Response:
    company = CompanyShape.of(caller.principal.company, caller.services.company_settings)
    page, cursor = paged([company], lambda one: one.code, query)
    return answer(Listing(items=page, next_cursor=cursor))


@routes.get("/companies/{code}", summary="Get a company", responses=shows(CompanyShape))
async def get_company(caller: Administrator, code: str) -> Response:
    """With the settings in force. They are changed by `loadingdock company set`."""
    company = caller.principal.company
    if code.lower() != company.code:
        raise NotFound("company")
    return answer(CompanyShape.of(company, caller.services.company_settings))


# --- users ---------------------------------------------------------------------------------------


@routes.get("/users", summary="List users", responses=shows(Listing[UserShape], "A page, by name."))
async def list_users(caller: Administrator, query: Page) -> Response:
    users = await caller.services.administration.users(caller.principal)
    page, cursor = paged(users, lambda user: user.name, query)
    return answer(Listing(items=[_user(caller, user) for user in page], next_cursor=cursor))


@routes.post(
    "/users",
    summary="Add a user",
    status_code=201,
    responses=shows(UserShape, "The user.", 201),
    openapi_extra=body(NewUser, {"name": "anna", "password": "correct-horse-battery", "grants": ["files:read"]}),
)
async def add_user(caller: Administrator, asked: Annotated[Read[NewUser], reads(NewUser)]) -> Response:
    """For Basic credentials. A user who exists already is a 409, disabled or not."""
    new = asked.says

    async def act() -> Response:
        user = await caller.services.administration.add_user(caller.principal, new.name, new.password, new.grants)
        return answer(_user(caller, user), 201)

    return await caller.once(asked.text, act)


@routes.get("/users/{name}", summary="Get a user", responses=shows(UserShape))
async def get_user(caller: Administrator, name: Name) -> Response:
    for user in await caller.services.administration.users(caller.principal):
        if user.name == name:
            return answer(_user(caller, user))
    raise NotFound("user")


@routes.patch(
    "/users/{name}",
    summary="Change a user",
    responses=shows(UserShape),
    openapi_extra=body(UserChanges, {"disabled": True}),
)
async def change_user(
    caller: Administrator, name: Name, asked: Annotated[Read[UserChanges], reads(UserChanges)]
) -> Response:
    """A new password, other grants, or the end of the account, each taking effect at once."""
    administration, principal, changes = caller.services.administration, caller.principal, asked.says
    user: User | None = None
    if changes.grants is not None:
        parse_grants(changes.grants)  # what is wrong with them is said before anything is changed
    if changes.password is not None:
        user = await administration.set_password(principal, name, changes.password)
    if changes.grants is not None:
        user = await administration.set_grants(principal, name, changes.grants)
    if changes.disabled is not None:
        change = administration.disable_user if changes.disabled else administration.enable_user
        user = await change(principal, name)
    if user is None:
        raise InvalidInput("Give at least one of password, grants and disabled.")
    return answer(_user(caller, user))


def _user(caller: Administrator, user: User) -> UserShape:
    return UserShape.of(user, caller.principal.company)


# --- keys ----------------------------------------------------------------------------------------


@routes.get("/keys", summary="List API keys", responses=shows(Listing[KeyShape], "A page, by id."))
async def list_keys(caller: Administrator, query: Page) -> Response:
    page, cursor = paged(await caller.services.administration.keys(caller.principal), _id, query)
    return answer(Listing(items=[KeyShape.of(key) for key in page], next_cursor=cursor))


@routes.post(
    "/keys",
    summary="Add an API key",
    status_code=201,
    responses=shows(CreatedKey, "The key, and its secret this once.", 201),
    openapi_extra=body(NewApiKey, {"label": "nightly export", "grants": ["files:read"]}),
)
async def add_key(caller: Administrator, asked: Annotated[Read[NewApiKey], reads(NewApiKey)]) -> Response:
    async def act() -> Response:
        new = await caller.services.administration.add_key(caller.principal, asked.says.label, asked.says.grants)
        return answer(CreatedKey(key=KeyShape.of(new.key), api_key=new.secret), 201)

    return await caller.once(asked.text, act)


@routes.get("/keys/{id}", summary="Get an API key", responses=shows(KeyShape))
async def get_key(caller: Administrator, id: str) -> Response:
    for key in await caller.services.administration.keys(caller.principal):
        if key.id == id:
            return answer(KeyShape.of(key))
    raise NotFound("key")


@routes.delete("/keys/{id}", summary="Revoke an API key", status_code=204)
async def revoke_key(caller: Administrator, id: str) -> Response:
    """It is dead at once, and so are the links that it signed."""
    await caller.services.administration.revoke_key(caller.principal, id)
    return Response(status_code=204)


# --- clients -------------------------------------------------------------------------------------


@routes.get("/clients", summary="List OAuth clients", responses=shows(Listing[ClientShape], "A page, by id."))
async def list_clients(caller: Administrator, query: Page) -> Response:
    page, cursor = paged(await caller.services.administration.clients(caller.principal), _id, query)
    return answer(Listing(items=[ClientShape.of(client) for client in page], next_cursor=cursor))


@routes.post(
    "/clients",
    summary="Add an OAuth client",
    status_code=201,
    responses=shows(CreatedClient, "The client, and its secret this once.", 201),
    openapi_extra=body(NewOAuthClient, {"grants": ["transactions:post"], "ttl": 300}),
)
async def add_client(caller: Administrator, asked: Annotated[Read[NewOAuthClient], reads(NewOAuthClient)]) -> Response:
    """For the token endpoint."""
    ttl = timedelta(seconds=asked.says.ttl)

    async def act() -> Response:
        new = await caller.services.administration.add_client(caller.principal, asked.says.grants, ttl=ttl)
        shape = CreatedClient(
            client=ClientShape.of(new.client),
            client_id=new.client.id,
            client_secret=new.secret,
            organization_id=str(new.company.number),
        )
        return answer(shape, 201)

    return await caller.once(asked.text, act)


@routes.get("/clients/{id}", summary="Get an OAuth client", responses=shows(ClientShape))
async def get_client(caller: Administrator, id: str) -> Response:
    for client in await caller.services.administration.clients(caller.principal):
        if client.id == id:
            return answer(ClientShape.of(client))
    raise NotFound("client")


@routes.delete("/clients/{id}", summary="Revoke an OAuth client", status_code=204)
async def revoke_client(caller: Administrator, id: str) -> Response:
    """Its tokens and links are dead at once."""
    await caller.services.administration.revoke_client(caller.principal, id)
    return Response(status_code=204)


def _id(one: ApiKey | OAuthClient) -> str:
    return one.id
