"""What the management API takes, and how it answers and refuses.

The models are its description too: the reference page is made from them. Nothing that a client sends may name a
company, a path or a state; unknown fields are refused with a sentence rather than ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core.errors import DockError
from loadingdock.core.permissions import GROUPS, NAMESPACED, PERMISSIONS
from loadingdock.web.problems import problem

T = TypeVar("T")

API = "management"
PREFIX = "/api/v1"
CHALLENGE = 'Basic realm="loadingdock", charset="UTF-8", Bearer realm="loadingdock"'


def render(error: DockError, request: Request) -> Response:
    """Problem documents (RFC 9457)."""
    return problem(error, request, challenge=CHALLENGE)


def answer(shape: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """No cache keeps what only some may see."""
    body = shape.model_dump_json().encode()
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, "application/json")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds characters that do not print")
    return text


def stamp(time: datetime) -> str:
    """RFC 3339 with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime,
    PlainSerializer(stamp, return_type=str, when_used="json"),
    Field(description="UTC, RFC 3339, with milliseconds.", examples=["2026-11-22T02:23:28.000Z"]),
]
Label = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
# For the description alone: what cannot be granted is answered with a sentence that names what can.
_NAMES = "|".join([*sorted(set(PERMISSIONS) - NAMESPACED), *GROUPS])
_GRANT = f"^({_NAMES}|({'|'.join(sorted(NAMESPACED))})(/[a-z0-9][a-z0-9_-]{{0,62}})?)$"
Grants = Annotated[
    list[Annotated[str, Field(max_length=100, json_schema_extra={"pattern": _GRANT})]],
    Field(
        min_length=1,
        max_length=50,
        description="Permissions, a namespace behind a slash where one is narrowed to it.",
        examples=[["files:read", "files:write"]],
    ),
]


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Listing(Shown, Generic[T]):
    items: list[T]
    next_cursor: Annotated[
        str | None, Field(description="Send it as `cursor` for what follows; null at the end.", examples=[None])
    ]


class Asked(BaseModel):
    """The body of a request. A field that is not named here is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewUpload(Asked):
    name: Annotated[str, Field(max_length=1000, description="The file's name.", examples=["report.pdf"])]
    content_type: Annotated[
        str | None,
        Field(
            max_length=255,
            pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$",
            description="Signed into the URL: the PUT must send exactly it, and the bytes must be of that type.",
            examples=["application/pdf"],
        ),
    ] = None
    size: Annotated[
        int | None, Field(ge=0, le=2**53, description="Bytes. Signed into the URL: the PUT must send exactly as many.")
    ] = None
    sha256: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{64}$", description="In hex. Bytes of another digest are refused.")
    ] = None
    owner: Annotated[Label | None, Field(description="The end user that the file belongs to.")] = None
    expires_in: Annotated[int, Field(ge=1, le=86_400, description="Seconds for which the URL works.")] = 600


class Extension(Asked):
    """Exactly one of the two."""

    expires_at: Annotated[
        AwareDatetime | None,
        Field(description="The new end of life, with an offset.", examples=["2030-01-01T00:00:00Z"]),
    ] = None
    keep: Annotated[Literal[True] | None, Field(description="`true`: the file is kept until it is deleted.")] = None


class Changes(Asked):
    name: Annotated[str, Field(max_length=1000, description="The new name.", examples=["report-2026.pdf"])]


class NewUser(Asked):
    name: Annotated[
        str, Field(min_length=1, max_length=255, description="Without the company code.", examples=["anna"])
    ]
    password: Annotated[str, Field(min_length=1, max_length=1024, examples=["correct-horse-battery"])]
    grants: Grants


class UserChanges(Asked):
    """At least one of them."""

    password: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    grants: Grants | None = None
    disabled: bool | None = None


class NewApiKey(Asked):
    label: Annotated[Label, Field(description="What it is for.", examples=["nightly export"])] = ""
    grants: Grants


class NewOAuthClient(Asked):
    grants: Grants
    ttl: Annotated[int, Field(ge=1, le=86_400, description="Seconds for which its tokens live.")] = 300
