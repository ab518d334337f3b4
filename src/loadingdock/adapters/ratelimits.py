"""Rate limits by the `limits` library: counted in this process, or in a Redis that several processes share."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from loadingdock.core.errors import Unavailable

_CODE = re.compile(r"\b[A-Z]{3,20}\b", re.ASCII)
_PATIENCE = 2.0  # seconds; every request waits for the answer


def rate_limiter(url: str = "memory://") -> WindowRateLimiter:
    """`memory://` counts in this process alone; `redis://`, `rediss://` or `redis+unix://` counts for all processes
    that name the same Redis. Raises ValueError, with a sentence that does not repeat the URL, for anything else."""
    if url == "memory://":
        return WindowRateLimiter(MemoryStorage())
    if not url.startswith(("redis://", "rediss://", "redis+unix://")):
        raise ValueError("write where to count like redis://host:port/number")
    if not url.startswith("redis+unix://") and not re.fullmatch(r"/?[0-9]*", urlsplit(url).path):
        raise ValueError("name the database by its number, like redis://host:port/number")
    try:
        from redis.asyncio import ConnectionPool
    except ImportError:
        raise ValueError("counting in Redis needs its client: pip install 'loadingdock[redis]'") from None
    # A pool of our own: the library opens one that it never closes.
    where = url.replace("redis+unix://", "unix://")
    try:
        pool = ConnectionPool.from_url(where, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)
    except ValueError:
        raise ValueError(
            "write where to count like redis://user:password@host:port/number, with characters such as @ and / in the"
            " password percent-encoded"
        ) from None
    options: dict[str, Any] = {"connection_pool": pool}
    # Which it needs no URL for; of one it has it would require a port.
    return WindowRateLimiter(
        RedisStorage("redis://", implementation="redispy", wrap_exceptions=True, **options), pool.aclose
    )


def place(url: str) -> str:
    """Where that is, for people; no user, no password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


class WindowRateLimiter:
    """Port RateLimiter. A window begins with the first hit of a key and ends with its time; the count is exact.

    Windows that slide cost more, keep every hit or only guess at the count, and cannot say to the second when the
    next hit is allowed. What they would spare is a burst of twice the limit around the end of a window.
    """

    def __init__(self, storage: Storage, close: Callable[[], Awaitable[None]] | None = None) -> None:
        self._strategy = FixedWindowRateLimiter(storage)
        self._close = close

    async def close(self) -> None:
        if self._close is not None:
            await self._close()

    async def hit(self, limit: str, *key: str, cost: int = 1) -> int:
        item, parts = _parsed(limit), _quoted(key)
        try:
            return 0 if await self._strategy.hit(item, *parts, cost=cost) else await self._wait(item, parts)
        except StorageError as error:
            raise Unavailable("rate limiter", why=_why(error)) from error

    async def peek(self, limit: str, *key: str) -> int:
        item, parts = _parsed(limit), _quoted(key)
        try:
            return 0 if await self._strategy.test(item, *parts) else await self._wait(item, parts)
        except StorageError as error:
            raise Unavailable("rate limiter", why=_why(error)) from error

    async def reset(self, limit: str, *key: str) -> None:
        try:
            await self._strategy.clear(_parsed(limit), *_quoted(key))
        except StorageError as error:
            raise Unavailable("rate limiter", why=_why(error)) from error

    async def ping(self) -> None:
        await self.hit("1000/second", "ping")  # counted, so that one which only reads is found

    async def _wait(self, item: RateLimitItem, parts: tuple[str, ...]) -> int:
        window = await self._strategy.get_window_stats(item, *parts)
        return max(1, math.ceil(window.reset_time - time.time()))


def _why(error: StorageError) -> str:
    """In words of ours: Redis's own may name what it was given."""
    chain: list[BaseException] = []
    link: BaseException | None = error.storage_error
    while link is not None:  # at a socket the refusal is within a failed connection
        chain.append(link)
        link = link.__context__
    if any("Authentication" in type(each).__name__ for each in chain):
        return "it refuses the user or the password"
    match type(error.storage_error).__name__:
        case "ConnectionError":
            return "no connection"
        case "TimeoutError":
            return "no answer in time"
        case name:  # of an error that it answered, the code: READONLY, OOM
            code = _CODE.search(str(error.storage_error))
            return f"it answers {code[0]}" if code else f"it failed with {name}"


@lru_cache(maxsize=256)
def _parsed(limit: str) -> RateLimitItem:
    """Raises ValueError for what is no limit."""
    return parse(limit)


def _quoted(key: tuple[str, ...]) -> tuple[str, ...]:
    """The library joins the parts with slashes; none may reach into the next one."""
    return tuple(quote(part, safe="") for part in key)
