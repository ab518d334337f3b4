"""Callbacks, their attempts, and the secrets that sign them."""

from __future__ import annotations

from datetime import datetime, timedelta

from loadingdock.adapters.records import cursors
from loadingdock.adapters.records.executor import Part, Row
from loadingdock.adapters.records.values import micros, moment, moment_or_none
from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.model.pages import Page

_CURSOR = "callbacks"


class CallbackRows(Part):
    __slots__ = ()

    async def get(self, id: str) -> Callback | None:
        row = await self._db.one("callback_get", company_id=self._company_id, id=id)
        return None if row is None else _callback(row)

    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        state: CallbackState | None = None,
        subject: str | None = None,
    ) -> Page[Callback]:
        before, before_id = None, None
        if cursor is not None:
            before, before_id = cursors.decode(_CURSOR, self._company_id, cursor, (int, str))
        rows = await self._db.all(
            "callback_page",
            company_id=self._company_id,
            state=None if state is None else state.value,
            subject=subject,
            before=before,
            before_id=before_id,
            limit=limit + 1,
        )
        found = tuple(map(_callback, rows[:limit]))
        if len(rows) <= limit or not found:
            return Page(found)
        last = found[-1]
        return Page(found, cursors.encode(_CURSOR, self._company_id, (micros(last.created_at), last.id)))

    async def add(self, callback: Callback) -> None:
        if not await self._db.run(
            "callback_add",
            id=callback.id,
            company_id=self._own(callback.company_id),
            url=callback.url,
            event=callback.event,
            subject=callback.subject,
            body=callback.body,
            state=callback.state.value,
            round=callback.round,
            tries=callback.tries,
            attempts=callback.attempts,
            created_at=micros(callback.created_at),
            next_at=micros(callback.next_at),
            give_up_at=micros(callback.give_up_at),
            ended_at=micros(callback.ended_at),
        ):
            raise AlreadyExists(f"The callback {callback.id}")

    async def save(self, callback: Callback, attempt: Attempt | None = None) -> None:
        if not await self._db.run(
            "callback_save",
            id=callback.id,
            company_id=self._own(callback.company_id),
            state=callback.state.value,
            round=callback.round,
            tries=callback.tries,
            attempts=callback.attempts,
            next_at=micros(callback.next_at),
            give_up_at=micros(callback.give_up_at),
            ended_at=micros(callback.ended_at),
        ):
            raise NotFound("callback")
        if attempt is not None:
            await self._db.run(
                "callback_attempt_add",
                company_id=self._company_id,
                id=callback.id,
                number=attempt.number,
                at=micros(attempt.at),
                millis=attempt.took // timedelta(milliseconds=1),
                status=attempt.status,
                error=attempt.error,
            )

    async def attempts(self, id: str) -> tuple[Attempt, ...]:
        rows = await self._db.all("callback_attempts", company_id=self._company_id, id=id)
        return tuple(
            Attempt(number, moment(at), timedelta(milliseconds=millis), status, error)
            for number, at, millis, status, error in rows
        )

    async def secrets(self) -> tuple[CallbackSecret, ...]:
        return tuple(map(_secret, await self._db.all("callback_secrets", company_id=self._company_id)))

    async def add_secret(self, secret: CallbackSecret, *, others_until: datetime) -> int:
        company_id = self._own(secret.company_id)
        if not await self._db.run(
            "callback_secret_add",
            id=secret.id,
            company_id=company_id,
            secret=secret.secret,
            created_at=micros(secret.created_at),
            expires_at=micros(secret.expires_at),
        ):
            raise AlreadyExists(f"The secret {secret.id}")
        await self._db.run("callback_secrets_remove", company_id=company_id, now=micros(secret.created_at))
        return await self._db.run(
            "callback_secrets_expire", company_id=company_id, until=micros(others_until), id=secret.id
        )


def _callback(row: Row) -> Callback:
    (
        id,
        company_id,
        url,
        event,
        subject,
        body,
        state,
        round,
        tries,
        attempts,
        created_at,
        next_at,
        give_up_at,
        ended_at,
    ) = row
    return Callback(
        id,
        company_id,
        url,
        event,
        subject,
        bytes(body),
        CallbackState(state),
        moment(created_at),
        moment(give_up_at),
        round,
        tries,
        attempts,
        moment_or_none(next_at),
        moment_or_none(ended_at),
    )


def _secret(row: Row) -> CallbackSecret:
    id, company_id, secret, created_at, expires_at = row
    return CallbackSecret(id, company_id, bytes(secret), moment(created_at), moment_or_none(expires_at))
