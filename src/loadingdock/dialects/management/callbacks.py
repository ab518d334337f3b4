"""Callbacks: what became of them, and once more."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from loadingdock.core.callbacks import READ, REPLAY, masked
from loadingdock.core.errors import NotFound
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.names import is_id
from loadingdock.dialects.management.call import Administrator, Caller, PageQuery, paged, router, shows
from loadingdock.dialects.management.wire import Label, Listing, Shown, Time, answer

routes = router("callbacks")


class CallbackShape(Shown):
    id: Annotated[str, Field(description="The `webhook-id` of every attempt.")]
    event: Annotated[str, Field(examples=["import.finished"])]
    subject: Annotated[str, Field(description="What it tells about, such as the number of an import.")]
    url: Annotated[
        str, Field(description="Without the values in its query.", examples=["https://a.example/hook?key=***"])
    ]
    state: CallbackState
    attempts: Annotated[int, Field(description="Made so far, over all replays.")]
    created_at: Time
    next_attempt_at: Annotated[Time | None, Field(description="Of one that is pending.")]
    give_up_at: Annotated[Time, Field(description="When the last attempt is made.")]
    ended_at: Time | None

    @classmethod
    def of(cls, callback: Callback) -> CallbackShape:
        return cls(
            id=callback.id,
            event=callback.event,
            subject=callback.subject,
            url=masked(callback.url),
            state=callback.state,
            attempts=callback.attempts,
            created_at=callback.created_at,
            next_attempt_at=callback.next_at,
            give_up_at=callback.give_up_at,
            ended_at=callback.ended_at,
        )


class AttemptShape(Shown):
    number: int
    at: Time
    seconds: Annotated[float, Field(description="How long it took.")]
    status: Annotated[int | None, Field(description="Null where there was no answer.")]
    error: Annotated[str | None, Field(description="Null where it was delivered.")]

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptShape:
        return cls(
            number=attempt.number,
            at=attempt.at,
            seconds=attempt.took.total_seconds(),
            status=attempt.status,
            error=attempt.error,
        )


class CallbackWithAttempts(Shown):
    callback: CallbackShape
    attempts: Annotated[list[AttemptShape], Field(description="Oldest first.")]


class SecretShape(Shown):
    id: str
    created_at: Time
    expires_at: Annotated[
        Time | None, Field(description="Until then callbacks are signed with it; null for the newest.")
    ]

    @classmethod
    def of(cls, secret: CallbackSecret) -> SecretShape:
        return cls(id=secret.id, created_at=secret.created_at, expires_at=secret.expires_at)


class CreatedSecret(Shown):
    secret: SecretShape
    callback_secret: Annotated[str, Field(description="Shown this once.", examples=["whsec_..."])]
    others_until: Annotated[Time | None, Field(description="How long callbacks are signed with older ones too.")]


class CallbackQuery(PageQuery):
    state: CallbackState | None = None
    subject: Annotated[Label | None, Field(description="Exactly this subject.")] = None


@routes.get("/callbacks", summary="List callbacks", responses=shows(Listing[CallbackShape], "A page, newest first."))
async def list_callbacks(caller: Caller, query: Annotated[CallbackQuery, Query()]) -> Response:
    """Needs `contacts:read`."""
    caller.permit(READ)
    page = await caller.services.callbacks.list(
        caller.principal, limit=query.limit, cursor=query.cursor, state=query.state, subject=query.subject
    )
    return answer(Listing(items=[CallbackShape.of(each) for each in page.items], next_cursor=page.cursor))


@routes.get("/callbacks/{id}", summary="Get a callback and its attempts", responses=shows(CallbackWithAttempts))
async def get_callback(caller: Caller, id: str) -> Response:
    """Needs `contacts:read`. Of an attempt the status and time are kept, never what the receiver said."""
    caller.permit(READ)
    if not is_id(id):
        raise NotFound("callback")
    callback, attempts = await caller.services.callbacks.get(caller.principal, id)
    shape = CallbackWithAttempts(
        callback=CallbackShape.of(callback), attempts=[AttemptShape.of(attempt) for attempt in attempts]
    )
    return answer(shape)


@routes.post(
    "/callbacks/{id}/replay",
    summary="Send a callback again",
    status_code=202,
    responses=shows(CallbackShape, "It is sent as soon as a worker is free.", 202),
)
async def replay(caller: Caller, id: str) -> Response:
    """Needs `contacts:load`. Under the `webhook-id` that it had, whatever became of it, and for three more days."""
    caller.permit(REPLAY)
    if not is_id(id):
        raise NotFound("callback")

    async def act() -> Response:
        return answer(CallbackShape.of(await caller.services.callbacks.replay(caller.principal, id)), 202)

    return await caller.once("", act)


@routes.get(
    "/callback-secrets",
    summary="List the secrets that sign callbacks",
    responses=shows(Listing[SecretShape], "A page, by id."),
)
async def list_secrets(caller: Administrator, query: Annotated[PageQuery, Query()]) -> Response:
    """Without the secrets themselves."""
    secrets = await caller.services.callbacks.secrets(caller.principal)
    page, cursor = paged(secrets, lambda secret: secret.id, query)
    return answer(Listing(items=[SecretShape.of(secret) for secret in page], next_cursor=cursor))


@routes.post(
    "/callback-secrets",
    summary="Make a new secret for callbacks",
    status_code=201,
    responses=shows(CreatedSecret, "The secret, this once.", 201),
)
async def rotate_secret(caller: Administrator) -> Response:
    """Callbacks are signed with it from now on, and for 24 hours with the older one too."""

    async def act() -> Response:
        new = await caller.services.callbacks.rotate_secret(caller.principal)
        shape = CreatedSecret(
            secret=SecretShape.of(new.secret), callback_secret=new.text, others_until=new.others_until
        )
        return answer(shape, 201)

    return await caller.once("", act)
