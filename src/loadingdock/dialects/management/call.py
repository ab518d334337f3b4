"""Who calls and what they may do: what every route of the management API begins with.

A route asks for a `Caller`, and for what it reads besides by FastAPI's own means. Dependencies are resolved in the
order of the signature, so that credentials come before parameters, and rights before the body.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import InvalidInput, NotFound
from loadingdock.core.model.files import File
from loadingdock.core.model.identity import Principal
from loadingdock.core.names import is_id
from loadingdock.core.permissions import ADMIN
from loadingdock.dialects.management.wire import Asked
from loadingdock.web import idempotency
from loadingdock.web.body import Body
from loadingdock.web.callers import recognise
from loadingdock.web.credentials import api_key, authorization
from loadingdock.web.errors import UnsupportedMediaType
from loadingdock.web.forms import receive_json
from loadingdock.web.services import Services

M = TypeVar("M", bound=Asked)
T = TypeVar("T")

_SECURITY: list[dict[str, list[str]]] = [{"api-key": []}, {"bearer": []}, {"basic": []}]
USER_ID = "user-id"
_BODY_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """`owner`: the caller acts for this end user, and only this user's files exist."""

    request: Request
    services: Services
    principal: Principal
    owner: str | None

    def permit(self, permission: str, namespace: str = "") -> None:
        """Raises Forbidden, and has it written down."""
        self.services.access.demand(self.principal, permission, namespace or None)

    def permit_some(self, permission: str) -> None:
        """The permission, be it for one namespace only; which one is asked once the file is known."""
        held = self.principal.permissions
        if not any(one.startswith(f"{permission}/") for one in held):
            self.permit(permission)

    async def file(self, id: str, permission: str, *, deleted: bool = False) -> File:
        """The file of that id, if the caller may. Raises Forbidden, and NotFound for ids that are unknown, foreign,
        another end user's, or no ids at all."""
        self.permit_some(permission)
        if not is_id(id):
            raise NotFound
        file = await self.services.files.get(self.principal, id, deleted=deleted)
        if self.owner is not None and file.owner != self.owner:
            raise NotFound
        self.permit(permission, file.namespace)
        return file

    def owner_of(self, named: str | None) -> str | None:
        """Whom a new file shall belong to. Raises InvalidInput if the body names another end user than the header."""
        if self.owner is not None and named not in (None, self.owner):
            raise InvalidInput("owner and the header user-id name two end users.", field="owner")
        return self.owner or named

    async def once(self, content: str, act: Callable[[], Awaitable[Response]]) -> Response:
        """`act`, unless its answer is known under the request's idempotency key."""
        return await idempotency.once(self.services, self.principal, self.request, content.encode(), act)


async def call(request: Request) -> Call:
    """Raises Unauthenticated, and RateLimited for a company or subject that calls too often."""
    services: Services = request.app.state.services
    principal = await authenticate(services, request)
    await services.access.limit(principal)
    owners = request.headers.getlist(USER_ID)
    if len(owners) > 1 or not all(0 < len(owner) <= 255 and owner.isprintable() for owner in owners):
        raise InvalidInput("The header user-id has 1 to 255 printable characters and comes once.", field=USER_ID)
    return Call(request, services, principal, owners[0] if owners else None)


async def authenticate(services: Services, request: Request) -> Principal:
    """By the header `api-key`, else by Authorization: Bearer or Basic."""
    headers = request.headers.raw
    return await recognise(services.access, request, api_key(headers) or authorization(headers))


async def _admin(caller: Annotated[Call, Depends(call)]) -> Call:
    caller.permit(ADMIN)
    return caller


Caller = Annotated[Call, Depends(call)]
Administrator = Annotated[Call, Depends(_admin)]


# --- bodies --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read(Generic[M]):
    """A body that was read: what it says, and its text in one form for everything that says the same."""

    says: M
    text: str


def reads(model: type[M]) -> Any:
    """The dependency that reads a JSON body, of a caller who has been recognised."""

    async def read(caller: Annotated[Call, Depends(call)]) -> Read[M]:
        return await read_json(caller.request, model)

    return Depends(read)


async def read_json(request: Request, model: type[M]) -> Read[M]:
    """Raises InvalidInput with a sentence that names the field, UnsupportedMediaType, TooLarge."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"This path reads application/json, not {media_type[:80] or 'nothing'}.")
    value = await receive_json(Body(request, max_size=_BODY_LIMIT), _BODY_LIMIT)
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    try:
        return Read(model.model_validate_json(text), text)
    except ValidationError as error:
        raise _invalid(error, model) from None


def _invalid(error: ValidationError, model: type[BaseModel]) -> InvalidInput:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return InvalidInput(f"{field} cannot be given here; what can be given is: {known}.", field=field)
    message = first["msg"].removeprefix("Value error, ")
    return InvalidInput(f"{field}: {message}." if field else f"{message}.", field=field)


def body(model: type[Asked], example: Any = None) -> dict[str, Any]:
    """The description of a body that `reads` reads."""
    schema = model.model_json_schema(ref_template="{model}")
    content: dict[str, Any] = {"schema": _inlined(schema, schema.pop("$defs", {}))}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _inlined(schema: Any, models: Mapping[str, Any]) -> Any:
    """With the models that it refers to in their places: a document has names for what is answered alone."""
    if isinstance(schema, list):
        return [_inlined(each, models) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {**models.get(schema["$ref"], {}), **schema} if "$ref" in schema else schema
    return {name: _inlined(value, models) for name, value in found.items() if name != "$ref"}


# --- routes --------------------------------------------------------------------------------------


class _Route(APIRoute):
    """Describes itself as one that needs credentials, and a POST as one that may be repeated."""

    def __init__(
        self,
        *args: Any,
        openapi_extra: dict[str, Any] | None = None,
        responses: dict[int | str, Any] | None = None,
        **options: Any,
    ) -> None:
        extra = {"security": _SECURITY, **(openapi_extra or {})}
        answers = dict(responses or {})
        if "POST" in options.get("methods", ()):
            extra["parameters"] = [*extra.get("parameters", ()), _IDEMPOTENCY_KEY]
            answers = {409: {"description": "Conflict"}, 422: {"description": "Idempotency key reused"}, **answers}
        super().__init__(*args, openapi_extra=extra, responses=answers, **options)


_IDEMPOTENCY_KEY = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": False,
    "description": "Repeats of the request with the same key are answered with the first answer, for 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "3f0c1c1e-6d0f-4a5e-9a0e-0d7a1c7f4f2b",
}


NOT_READY: dict[int | str, Any] = {409: {"description": "Not scanned yet."}, 410: {"description": "Expired."}}


def router(noun: str) -> APIRouter:
    """Routes about one noun. None of them has a response model that FastAPI would apply: they answer themselves."""
    return APIRouter(tags=[noun], route_class=_Route)


def shows(model: Any, description: str = "As it is now.", status: int = 200, **more: Any) -> dict[int | str, Any]:
    """The description of a success."""
    return {status: {"model": model, "description": description, **more}}


# --- pages ---------------------------------------------------------------------------------------


class Parameters(BaseModel):
    """The query of a request. A parameter that is not named is refused: with a misspelled one, a list would show all
    and a deletion would take all."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Parameters):
    limit: Annotated[int, Field(ge=1, le=1000, description="Items on a page, at most.")] = 100
    cursor: Annotated[str | None, Field(max_length=1000, description="`next_cursor` of the page before.")] = None


def paged(items: Sequence[T], key: Callable[[T], str], query: PageQuery) -> tuple[list[T], str | None]:
    """(a page of `items` sorted by `key`, the cursor of what follows). For lists that are read whole."""
    after = None if query.cursor is None else _decoded(query.cursor)
    left = sorted((item for item in items if after is None or key(item) > after), key=key)
    page = left[: query.limit]
    return page, _encoded(key(page[-1])) if len(left) > query.limit else None


def _encoded(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise InvalidInput("The cursor is not one that this list has given.", field="cursor") from None
