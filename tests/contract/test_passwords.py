from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator

import pytest

from loadingdock.adapters.passwords import Argon2Passwords
from loadingdock.core.errors import Unavailable
from loadingdock.testing.identity import PasswordsContract


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    passwords = Argon2Passwords()
    yield passwords
    passwords.close()


class TestArgon2(PasswordsContract):
    pass


async def test_the_hash_is_what_owasp_recommends(passwords: Argon2Passwords) -> None:
    assert re.match(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$", await passwords.hash("secret"))


async def test_hashes_made_with_other_costs_still_match() -> None:
    cheap, dear = Argon2Passwords(memory_kib=64, passes=1), Argon2Passwords(memory_kib=128, passes=3)
    try:
        assert await dear.verify("secret", await cheap.hash("secret"))
    finally:
        cheap.close()
        dear.close()


@pytest.mark.security(23)
async def test_hashing_is_bounded() -> None:
    """Of ten at once two are hashed, three wait, and the others hear at once that they may come again."""
    passwords = Argon2Passwords(threads=2, waiting=3)
    try:
        answers = await asyncio.gather(*(passwords.verify("guess", None) for _ in range(10)), return_exceptions=True)
        assert answers[:5] == [False] * 5
        assert all(isinstance(answer, Unavailable) for answer in answers[5:])
        assert not await passwords.verify("guess", None)
    finally:
        passwords.close()


async def test_a_caller_who_has_gone_leaves_room_for_others() -> None:
    passwords = Argon2Passwords(threads=1, waiting=1)
    try:
        gone = [asyncio.ensure_future(passwords.verify("guess", None)) for _ in range(2)]
        await asyncio.sleep(0)
        for guess in gone:
            guess.cancel()
        await asyncio.wait(gone)
        stored = None
        while stored is None:
            try:
                stored = await passwords.hash("secret")
            except Unavailable:
                await asyncio.sleep(0.005)  # the thread is still busy for the one who has gone
        assert await passwords.verify("secret", stored)
    finally:
        passwords.close()


@pytest.mark.security(23)
async def test_nobody_takes_as_long_as_somebody(passwords: Argon2Passwords) -> None:
    """In processor time, whatever else the machine does; the bound is generous."""
    stored = await passwords.hash("secret")
    await passwords.verify("guess", None)

    async def cost(hash: str | None) -> float:
        start = time.process_time()
        await passwords.verify("guess", hash)
        return time.process_time() - start

    nobody, somebody = [], []
    for _ in range(7):
        nobody.append(await cost(None))
        somebody.append(await cost(stored))
    assert 0.5 < min(nobody) / min(somebody) < 2


async def test_other_work_goes_on_while_a_password_is_hashed(passwords: Argon2Passwords) -> None:
    hashing = asyncio.ensure_future(passwords.hash("secret"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1
