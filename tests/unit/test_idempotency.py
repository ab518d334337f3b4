"""Holds of idempotency keys: how they end, and what they leave in the records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import Response

from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.core.errors import KeyReused, RequestInProgress
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.ports.records import Unit
from loadingdock.web import idempotency
from loadingdock.web.idempotency import HOLD, attempt
from loadingdock.web.services import Services
from tests import sqlite

pytestmark = pytest.mark.security(33)


@dataclass
class Hands:
    """A clock that somebody moves."""

    time: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.time


@dataclass
class World:
    records: SqliteRecords
    clock: Hands
    principal: Principal

    def attempt(self, key: str = "k", path: str = "/things") -> Any:
        services = cast(Services, SimpleNamespace(records=self.records, clock=self.clock))
        headers = [(b"idempotency-key", key.encode())]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
        return attempt(services, self.principal, Request(scope))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    records = sqlite.opened(tmp_path / "records.sqlite3")
    clock = Hands()

    async def add(unit: Unit) -> Company:
        return await unit.companies.add("acme", "acme", 100_000, clock.now())

    company = await records.write(None, add)
    yield World(records, clock, Principal(company, PrincipalKind.KEY, "k1", frozenset()))
    await records.close()


def created(body: bytes = b"made") -> Response:
    return Response(body, 201, {"location": "/things/1"}, "text/plain")


async def test_what_a_dead_process_held_comes_free(world: World) -> None:
    left = world.attempt()
    await left.__aenter__()  # and nobody ever leaves it
    with pytest.raises(RequestInProgress):
        async with world.attempt():
            pass
    world.clock.time += HOLD
    async with world.attempt() as later:
        assert later.replay(b"content") is None
        await later.keep(created(b"by the later one"))
    await left.gen.aclose()


async def test_a_holder_that_stood_still_cannot_answer_for_the_next(world: World) -> None:
    async with world.attempt() as late:
        late.replay(b"content")
        world.clock.time += HOLD
        async with world.attempt() as next_one:
            next_one.replay(b"content")
            await next_one.keep(created(b"by the next"))
        assert (await late.keep(created(b"by the late"))).body == b"by the late"
    async with world.attempt() as again:
        answer = again.replay(b"content")
        assert answer is not None
        assert answer.body == b"by the next"


async def test_a_hold_is_renewed_while_the_request_is_worked_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "HOLD", timedelta(milliseconds=30))
    renewed = 0
    original = world.records.write

    async def counted(company_id: int | None, work: Any) -> Any:
        nonlocal renewed
        renewed += 1
        return await original(company_id, work)

    monkeypatch.setattr(world.records, "write", counted)
    async with world.attempt() as slow:
        slow.replay(b"content")
        while renewed < 3:
            world.clock.time += timedelta(milliseconds=10)
            await asyncio.sleep(0.005)
        with pytest.raises(RequestInProgress):
            async with world.attempt():
                pass
        await slow.keep(created())
    async with world.attempt() as again:
        assert again.replay(b"content") is not None


async def test_a_refusal_leaves_no_hold(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        async with world.attempt():
            raise ZeroDivisionError
    async with world.attempt() as again:
        assert again.replay(b"content") is None


async def test_another_target_is_refused_before_its_content_is_known(world: World) -> None:
    async with world.attempt() as first:
        first.replay(b"content")
        await first.keep(created())
    with pytest.raises(KeyReused):
        async with world.attempt(path="/others"):
            pass


async def test_pieces_of_content_do_not_run_into_each_other(world: World) -> None:
    async with world.attempt() as first:
        first.replay(b"ab", b"c")
        await first.keep(created())
    async with world.attempt() as again:
        with pytest.raises(KeyReused):
            again.replay(b"a", b"bc")


async def test_the_records_hold_neither_key_nor_answer_in_clear(world: World, tmp_path: Path) -> None:
    async with world.attempt(key="a-key-of-the-clients") as first:
        first.replay(b"content")
        await first.keep(created(b"ldk_secret-shown-once"))
    await world.records.close()
    written = await asyncio.to_thread(_all_bytes, tmp_path)
    assert b"a-key-of-the-clients" not in written
    assert b"ldk_secret-shown-once" not in written


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
