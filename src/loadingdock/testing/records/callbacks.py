"""Callbacks, their attempts, and the secrets that sign them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from loadingdock.core.errors import AlreadyExists, InvalidInput, NotFound
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.model.companies import Company
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SECOND, Store, StoreContract, drained, new_id

_ODD = b'\x00{"name": "\xc3\xbc\xff"}'


def a_callback(company: Company, **fields: Any) -> Callback:
    plain = Callback(
        id=new_id(),
        company_id=company.id,
        url="https://receiver.example/hook?key=ü",
        event="import.finished",
        subject="9876",
        body=_ODD,
        state=CallbackState.PENDING,
        created_at=NOW,
        give_up_at=NOW + 72 * HOUR,
        next_at=NOW,
    )
    return replace(plain, **fields)


def a_secret(company: Company, created_at: datetime = NOW) -> CallbackSecret:
    return CallbackSecret(new_id(), company.id, b"\x00\xff" * 16, created_at)


class CallbackContract(StoreContract):
    async def add(self, store: Store, company: Company, **fields: Any) -> Callback:
        callback = a_callback(company, **fields)
        await store.write(company, lambda unit: unit.callbacks.add(callback))
        return callback

    async def test_a_callback_is_kept_as_it_was(self, store: Store, company: Company) -> None:
        callback = await self.add(store, company)
        assert await store.read(company, lambda unit: unit.callbacks.get(callback.id)) == callback
        assert await store.read(company, lambda unit: unit.callbacks.get(new_id())) is None
        with pytest.raises(AlreadyExists):
            await store.write(company, lambda unit: unit.callbacks.add(callback))

    async def test_attempts_are_kept_in_order(self, store: Store, company: Company) -> None:
        callback = await self.add(store, company)
        first = Attempt(1, NOW, SECOND / 1000, None, "No answer.")
        second = Attempt(2, NOW + SECOND, MINUTE, 200)
        ended = replace(
            callback,
            state=CallbackState.DELIVERED,
            round=2,
            tries=1,
            attempts=2,
            next_at=None,
            give_up_at=NOW + 80 * HOUR,
            ended_at=NOW + MINUTE,
        )

        async def work(unit: Unit) -> None:
            assert await unit.callbacks.attempts(callback.id) == ()
            await unit.callbacks.save(replace(callback, attempts=1), first)
            await unit.callbacks.save(ended, second)

        await store.write(company, work)
        assert await store.read(company, lambda unit: unit.callbacks.get(callback.id)) == ended
        assert await store.read(company, lambda unit: unit.callbacks.attempts(callback.id)) == (first, second)

    async def test_what_is_owed_does_not_change(self, store: Store, company: Company) -> None:
        callback = await self.add(store, company)
        other = replace(callback, url="https://elsewhere.example", body=b"{}", event="other", subject="1")
        await store.write(company, lambda unit: unit.callbacks.save(other))
        assert await store.read(company, lambda unit: unit.callbacks.get(callback.id)) == callback

    async def test_an_unknown_callback_is_not_saved(self, store: Store, company: Company) -> None:
        for attempt in (None, Attempt(1, NOW, SECOND, 200)):

            async def save(unit: Unit, attempt: Attempt | None = attempt) -> None:
                await unit.callbacks.save(a_callback(company), attempt)

            with pytest.raises(NotFound):
                await store.write(company, save)

    async def test_lists_newest_first(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        await self.add(store, other)
        callbacks = [await self.add(store, company, created_at=NOW + MINUTE * (n // 2)) for n in range(7)]
        delivered = await self.add(store, company, state=CallbackState.DELIVERED, created_at=NOW - HOUR)
        of_another = await self.add(store, company, subject="1", created_at=NOW - 2 * HOUR)
        newest = sorted(callbacks, key=lambda one: (one.created_at, one.id), reverse=True)

        async def listed(**narrowed: Any) -> list[Callback]:
            async def turn(cursor: str | None) -> Page[Callback]:
                return await store.read(company, lambda unit: unit.callbacks.list(limit=3, cursor=cursor, **narrowed))

            return await drained(turn)

        assert await listed() == [*newest, delivered, of_another]
        assert await listed(state=CallbackState.DELIVERED) == [delivered]
        assert await listed(subject="1") == [of_another]
        assert await listed(subject="1", state=CallbackState.DELIVERED) == []
        with pytest.raises(InvalidInput):
            await store.read(company, lambda unit: unit.callbacks.list(limit=3, cursor="nonsense"))

    async def test_a_new_secret_ends_the_others(self, store: Store, company: Company) -> None:
        first, second, third = (a_secret(company, NOW + HOUR * n) for n in range(3))

        async def rotate(secret: CallbackSecret) -> tuple[int, tuple[CallbackSecret, ...]]:
            async def work(unit: Unit) -> tuple[int, tuple[CallbackSecret, ...]]:
                until = secret.created_at + HOUR + MINUTE
                ended = await unit.callbacks.add_secret(secret, others_until=until)
                return ended, await unit.callbacks.secrets()

            return await store.write(company, work)

        assert await rotate(first) == (0, (first,))
        ending = replace(first, expires_at=NOW + 2 * HOUR + MINUTE)
        assert await rotate(second) == (1, (second, ending))
        assert ending.valid(NOW + 2 * HOUR)
        assert not ending.valid(NOW + 2 * HOUR + MINUTE)
        assert await rotate(third) == (1, (third, replace(second, expires_at=NOW + 3 * HOUR + MINUTE), ending))
        assert await rotate(a_secret(company, NOW + 9 * HOUR)) == (1, await self.secrets(store, company))
        assert len(await self.secrets(store, company)) == 2

    async def secrets(self, store: Store, company: Company) -> tuple[CallbackSecret, ...]:
        return await store.read(company, lambda unit: unit.callbacks.secrets())

    async def test_what_is_pending_everywhere(self, store: Store, company: Company) -> None:
        async def pending() -> tuple[int, datetime | None]:
            return await store.read(None, lambda unit: unit.housekeeping.pending_callbacks())

        assert await pending() == (0, None)
        await self.add(store, company, state=CallbackState.FAILED, created_at=NOW - HOUR)
        await self.add(store, company)
        await self.add(store, await store.company("other"), created_at=NOW - MINUTE)
        assert await pending() == (2, NOW - MINUTE)

    async def test_forgetting_those_that_ended(self, store: Store, company: Company) -> None:
        kept = [
            await self.add(store, company),
            await self.add(store, company, state=CallbackState.GONE, ended_at=NOW),
        ]
        old = await self.add(store, company)
        ended = replace(old, state=CallbackState.DELIVERED, ended_at=NOW - SECOND, attempts=1)
        await store.write(company, lambda unit: unit.callbacks.save(ended, Attempt(1, NOW, SECOND, 204)))

        async def forget() -> int:
            return await store.write(None, lambda unit: unit.housekeeping.forget_callbacks(NOW))

        assert [await forget(), await forget()] == [1, 0]
        page = await store.read(company, lambda unit: unit.callbacks.list(limit=9))
        assert {callback.id for callback in page.items} == {callback.id for callback in kept}
        assert await store.read(company, lambda unit: unit.callbacks.attempts(old.id)) == ()
