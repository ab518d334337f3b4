"""What is known of a request before anybody asked who sent it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import Scope

from loadingdock.core.errors import DockError

_KEY = "loadingdock.context"


@dataclass(slots=True)
class Context:
    """`trace_id` is the W3C trace id, 32 hex; `request_id` a UUID; `address` the client's, as far as it is trusted;
    `error` what the request was answered with, for the log."""

    trace_id: str
    address: str | None
    api: str = "system"
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    error: DockError | None = None


def attach(scope: Scope, context: Context) -> None:
    scope[_KEY] = context


def context(request: Request) -> Context:
    found = request.scope[_KEY]
    assert isinstance(found, Context)
    return found
