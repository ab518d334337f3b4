"""What every Passwords, Tokens and RateLimiter has to keep."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta

import pytest

from loadingdock.core.credentials import LONGEST_TTL
from loadingdock.core.errors import Unauthenticated
from loadingdock.core.ports.identity import Passwords, Tokens
from loadingdock.core.ports.ratelimits import RateLimiter
from loadingdock.testing.clock import SetClock

MINUTE = timedelta(minutes=1)


class PasswordsContract:
    """Needs the fixture `passwords`."""

    @pytest.mark.parametrize("password", ["secret", "", "pä$$wörd 日本", "x" * 1024, "a\0b"])
    async def test_a_password_matches_its_hash(self, passwords: Passwords, password: str) -> None:
        assert await passwords.verify(password, await passwords.hash(password))

    @pytest.mark.parametrize("other", ["Secret", "secret ", "", "secret\0", "secre"])
    async def test_another_password_does_not(self, passwords: Passwords, other: str) -> None:
        assert not await passwords.verify(other, await passwords.hash("secret"))

    async def test_hashes_are_salted(self, passwords: Passwords) -> None:
        assert await passwords.hash("secret") != await passwords.hash("secret")

    @pytest.mark.security(23)
    async def test_nobody_has_no_password(self, passwords: Passwords) -> None:
        for password in ("", "secret"):
            assert not await passwords.verify(password, None)

    @pytest.mark.parametrize("hash", ["", "secret", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$abc", "ü"])
    async def test_what_is_no_hash_matches_nothing(self, passwords: Passwords, hash: str) -> None:
        for password in ("", "secret"):
            assert not await passwords.verify(password, hash)

    async def test_several_at_once_get_their_own_answers(self, passwords: Passwords) -> None:
        stored = await passwords.hash("secret")
        guesses = ["secret" if place % 3 == 0 else f"guess {place}" for place in range(12)]
        answers = await asyncio.gather(*(passwords.verify(guess, stored) for guess in guesses))
        assert answers == [guess == "secret" for guess in guesses]


class TokensContract:
    """Needs the fixtures `tokens` and `clock`, which is the clock that they were made with."""

    async def issued(self, tokens: Tokens, ttl: timedelta = MINUTE) -> str:
        return await tokens.issue(subject="client-1", company="100606", permissions={"files:read", "admin"}, ttl=ttl)

    async def test_what_was_issued_is_verified(self, tokens: Tokens, clock: SetClock) -> None:
        claims = await tokens.verify(await self.issued(tokens))
        assert claims.subject == "client-1"
        assert claims.company == "100606"
        assert claims.permissions == {"files:read", "admin"}
        assert claims.issuer
        assert claims.expires_at == clock.now() + MINUTE

    async def test_a_token_without_permissions_has_none(self, tokens: Tokens) -> None:
        token = await tokens.issue(subject="client-1", company="100606", permissions=(), ttl=MINUTE)
        assert (await tokens.verify(token)).permissions == frozenset()

    async def test_no_two_tokens_are_the_same(self, tokens: Tokens) -> None:
        assert await self.issued(tokens) != await self.issued(tokens)

    @pytest.mark.security(24)
    async def test_a_token_ends_to_the_second(self, tokens: Tokens, clock: SetClock) -> None:
        token = await self.issued(tokens)
        clock.advance(MINUTE - timedelta(seconds=1))
        await tokens.verify(token)
        clock.advance(timedelta(seconds=1))
        with pytest.raises(Unauthenticated):
            await tokens.verify(token)

    @pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), LONGEST_TTL + timedelta(seconds=1)])
    async def test_lives_out_of_bounds_are_not_issued(self, tokens: Tokens, ttl: timedelta) -> None:
        with pytest.raises(ValueError, match="lives"):
            await self.issued(tokens, ttl)

    @pytest.mark.security(24)
    @pytest.mark.parametrize(
        "token",
        ["", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30.e30", "bnVsbA.bnVsbA.bnVsbA", "ü.ü.ü", "\0", "x" * 9000],
    )
    async def test_what_is_no_token_is_refused(self, tokens: Tokens, token: str) -> None:
        with pytest.raises(Unauthenticated):
            await tokens.verify(token)

    @pytest.mark.security(24)
    async def test_no_part_of_a_token_can_be_changed(self, tokens: Tokens) -> None:
        token = await self.issued(tokens)
        header, payload, signature = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        for change in ({"sub": "client-2"}, {"exp": claims["exp"] + 1}, {"scope": "admin"}, {"org": "1"}):
            changed = base64.urlsafe_b64encode(json.dumps({**claims, **change}).encode()).rstrip(b"=").decode()
            with pytest.raises(Unauthenticated):
                await tokens.verify(f"{header}.{changed}.{signature}")
        for other in (token[:-4], token + "AAAA", f"{header}.{payload}.", f"{header}.{payload}.{signature[::-1]}"):
            with pytest.raises(Unauthenticated):
                await tokens.verify(other)

    @pytest.mark.security(26)
    async def test_only_public_keys_are_published(self, tokens: Tokens) -> None:
        header = json.loads(base64.urlsafe_b64decode((await self.issued(tokens)).partition(".")[0] + "=="))
        keys = (await tokens.jwks())["keys"]
        assert header["kid"] in {key["kid"] for key in keys}
        for key in keys:
            assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}

    async def test_keys_are_published_before_the_first_token(self, tokens: Tokens) -> None:
        assert len((await tokens.jwks())["keys"]) == 1

    async def test_a_retired_key_verifies_until_its_last_token_has_expired(
        self, tokens: Tokens, clock: SetClock
    ) -> None:
        before = await self.issued(tokens, LONGEST_TTL)
        (old,) = (key["kid"] for key in (await tokens.jwks())["keys"])
        new = await tokens.rotate()
        assert new != old
        after = await self.issued(tokens)
        assert json.loads(base64.urlsafe_b64decode(after.partition(".")[0] + "=="))["kid"] == new
        await tokens.verify(before)
        await tokens.verify(after)
        assert {key["kid"] for key in (await tokens.jwks())["keys"]} == {old, new}
        clock.advance(LONGEST_TTL - timedelta(seconds=1))
        await tokens.verify(before)
        clock.advance(timedelta(hours=1))
        assert {key["kid"] for key in (await tokens.jwks())["keys"]} == {new}


class RateLimiterContract:
    """Needs the fixture `limiter`, in which no test has counted before."""

    async def test_a_limit_allows_its_count_and_then_says_how_long_to_wait(self, limiter: RateLimiter) -> None:
        assert [await limiter.hit("3/minute", "a") for _ in range(3)] == [0, 0, 0]
        assert 1 <= await limiter.hit("3/minute", "a") <= 60

    async def test_looking_counts_nothing(self, limiter: RateLimiter) -> None:
        for _ in range(5):
            assert await limiter.peek("1/minute", "a") == 0
        assert await limiter.hit("1/minute", "a") == 0
        assert 1 <= await limiter.peek("1/minute", "a") <= 60

    async def test_keys_are_counted_apart(self, limiter: RateLimiter) -> None:
        keys = (("a",), ("b",), ("a", "b"), ("a/b",), ("a", "b/c"), ("a/b", "c"), ("a", ""), ("ü", "\n "))
        for key in keys:
            assert await limiter.hit("1/minute", *key) == 0, key
        for key in keys:
            assert await limiter.hit("1/minute", *key) > 0, key

    async def test_a_reset_starts_afresh(self, limiter: RateLimiter) -> None:
        await limiter.hit("1/minute", "a")
        await limiter.hit("1/minute", "b")
        await limiter.reset("1/minute", "a")
        assert await limiter.hit("1/minute", "a") == 0
        assert await limiter.hit("1/minute", "b") > 0

    async def test_a_hit_may_cost_several(self, limiter: RateLimiter) -> None:
        assert await limiter.hit("5/minute", "a", cost=4) == 0
        assert await limiter.hit("5/minute", "a") == 0
        assert await limiter.hit("5/minute", "a") > 0

    async def test_a_window_may_be_any_multiple(self, limiter: RateLimiter) -> None:
        assert await limiter.hit("1/10 minutes", "a") == 0
        assert 60 < await limiter.hit("1/10 minutes", "a") <= 600

    async def test_hits_at_the_same_moment_are_all_counted(self, limiter: RateLimiter) -> None:
        waits = await asyncio.gather(*(limiter.hit("10/minute", "a") for _ in range(64)))
        assert waits.count(0) == 10

    async def test_after_the_wait_it_is_allowed_again(self, limiter: RateLimiter) -> None:
        await limiter.hit("1/second", "a")
        await asyncio.sleep(await limiter.hit("1/second", "a"))  # the time itself is what is promised
        assert await limiter.hit("1/second", "a") == 0

    async def test_what_is_no_limit_is_an_error(self, limiter: RateLimiter) -> None:
        with pytest.raises(ValueError, match="limit"):
            await limiter.hit("many", "a")
