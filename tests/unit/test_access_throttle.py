"""Guessing is slowed down, and those who know are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from loadingdock.core.errors import RateLimited, Unauthenticated
from tests.unit.access_world import ADDRESS, World, world

pytestmark = pytest.mark.security(23)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        for name in ("anna", "berta"):
            await made.administration.add_user(made.operator, name, "password", [])
        yield made


async def fail(house: World, login: str, address: str | None, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            await house.access.basic(login, "wrong", address=address)


async def refused(house: World, login: str, password: str, address: str | None) -> int:
    before = house.passwords.times
    with pytest.raises(RateLimited) as caught:
        await house.access.basic(login, password, address=address)
    assert house.passwords.times == before  # and it cost no hashing
    return caught.value.retry_after


@pytest.mark.parametrize("login", ["anna@acme", "nobody@acme", "anna@nowhere", "nonsense"])
async def test_an_account_waits_after_twenty_failures_whether_it_exists_or_not(house: World, login: str) -> None:
    for place in range(20):
        await fail(house, login, f"192.0.2.{place}")
    assert 1 <= await refused(house, login, "password", "192.0.2.99") <= 300
    assert 1 <= await refused(house, login, "wrong", None) <= 300


async def test_the_company_code_has_one_count_in_every_case(house: World) -> None:
    for place in range(20):
        await fail(house, "anna@acme" if place % 2 else "anna@ACME", f"192.0.2.{place}")
    await refused(house, "anna@Acme", "password", "192.0.2.99")


async def test_an_account_has_one_count_in_every_unicode_form(house: World) -> None:
    for place in range(20):
        await fail(house, "zo\u00eb@acme" if place % 2 else "zoe\u0308@acme", f"192.0.2.{place}")
    await refused(house, "zo\u00eb@acme", "password", "192.0.2.99")


async def test_an_address_waits_after_twenty_failures_at_any_accounts(house: World) -> None:
    for place in range(20):
        await fail(house, f"guess{place}@acme", ADDRESS)
    assert 1 <= await refused(house, "anna@acme", "password", ADDRESS) <= 300
    assert (await house.access.basic("anna@acme", "password", address="192.0.2.1")).subject == "anna"


async def test_an_ipv6_customer_is_one_address(house: World) -> None:
    for place in range(20):
        await fail(house, f"guess{place}@acme", f"2001:db8:0:1::{place:x}")
    await refused(house, "anna@acme", "password", "2001:db8:0:1:ffff::1")
    await house.access.basic("anna@acme", "password", address="2001:db8:0:2::1")


async def test_without_an_address_the_account_still_counts(house: World) -> None:
    await fail(house, "anna@acme", None, 20)
    await refused(house, "anna@acme", "password", None)


async def test_a_success_starts_the_account_afresh(house: World) -> None:
    for round in range(3):
        for place in range(19):
            await fail(house, "anna@acme", f"192.0.{round}.{place}")
        house.access.forget()
        await house.access.basic("anna@acme", "password", address="203.0.113.1")


async def test_one_good_account_does_not_pay_for_guessing_at_others(house: World) -> None:
    for place in range(20):
        await fail(house, f"guess{place}@acme", ADDRESS)
        if place < 19:
            house.access.forget()
            await house.access.basic("berta@acme", "password", address=ADDRESS)
    await refused(house, "anna@acme", "password", ADDRESS)


async def test_nobody_can_lock_out_who_has_just_been_here(house: World) -> None:
    await house.access.basic("anna@acme", "password", address=ADDRESS)
    for place in range(20):
        await fail(house, "anna@acme", f"192.0.2.{place}")
    for _ in range(5):
        house.clock.advance(timedelta(minutes=10))
        assert (await house.access.basic("anna@acme", "password", address=ADDRESS)).subject == "anna"


async def test_guesses_at_the_same_moment_get_no_more_answers(house: World) -> None:
    guesses = (house.access.basic("anna@acme", "wrong", address=f"192.0.2.{place}") for place in range(40))
    answers = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(answer) for answer in answers].count(Unauthenticated) == 20
    assert [type(answer) for answer in answers].count(RateLimited) == 20


async def test_a_right_guess_among_too_many_wrong_ones_is_not_told(house: World) -> None:
    house.passwords.gate = gate = asyncio.Event()
    right = asyncio.ensure_future(house.access.basic("anna@acme", "password", address="192.0.2.99"))
    await house.passwords.began.wait()
    house.passwords.gate = None
    for place in range(20):
        await fail(house, "anna@acme", f"192.0.2.{place}")
    gate.set()
    with pytest.raises(RateLimited):
        await right


async def test_wrong_keys_and_secrets_count_by_address_but_right_ones_pass(house: World) -> None:
    key = await house.administration.add_key(house.operator, "", [])
    client = await house.administration.add_client(house.operator, [])
    for place in range(10):
        with pytest.raises(Unauthenticated):
            await house.access.api_key(f"ldk_{place}", address=ADDRESS)
        with pytest.raises(Unauthenticated):
            await house.access.grant(f"client{place}", "wrong", None, None, address=ADDRESS)
    with pytest.raises(RateLimited):
        await house.access.api_key("ldk_wrong", address=ADDRESS)
    with pytest.raises(RateLimited):
        await house.access.grant(client.client.id, "wrong", None, None, address=ADDRESS)
    await house.access.api_key(key.secret, address=ADDRESS)
    await house.access.grant(client.client.id, client.secret, None, None, address=ADDRESS)


async def test_a_clients_secret_is_guessed_at_twenty_times(house: World) -> None:
    made = await house.administration.add_client(house.operator, [])
    for place in range(20):
        with pytest.raises(Unauthenticated):
            await house.access.grant(made.client.id, "wrong", None, None, address=f"192.0.2.{place}")
    with pytest.raises(RateLimited):
        await house.access.grant(made.client.id, "wrong", None, None, address="192.0.2.99")


async def test_refused_guesses_leave_no_rows(house: World) -> None:
    await fail(house, "anna@acme", ADDRESS, 20)
    for _ in range(5):
        await refused(house, "anna@acme", "wrong", ADDRESS)
    assert len([row for row in await house.audit() if row.action == "login"]) == 20


async def test_the_limits_are_settings(tmp_path: Path) -> None:
    async with world(tmp_path, account_failures="2/minute", address_failures="3/minute") as house:
        await fail(house, "anna@acme", "192.0.2.1", 2)
        await refused(house, "anna@acme", "wrong", "192.0.2.2")
        await fail(house, "berta@acme", "192.0.2.1", 1)
        await refused(house, "clara@acme", "wrong", "192.0.2.1")
