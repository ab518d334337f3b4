"""Rate limits by the `limits` library: counted in this process, or in a Redis that several processes share."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from loadingdock.core.errors import Unavailable


def rate_limiter(url: str = "memory://") -> WindowRateLimiter:
    """`memory://` counts in this process alone; `redis://`, `rediss://` or `redis+unix://` counts for all processes
    that name the same Redis. Raises ValueError, with a sentence, for anything else."""
    if url == "memory://":
        return WindowRateLimiter(MemoryStorage())
    if not url.startswith(("redis://", "rediss://", "redis+unix://")):
        raise ValueError(f"{url!r} is no place to count in; write redis://host:port/number or memory://.")
    try:
        from redis.asyncio import ConnectionPool
    except ImportError:
        raise ValueError("Counting in Redis needs its client: pip install 'loadingdock[redis]'.") from None
    # A pool of our own: the library opens one that it never closes.
    pool = ConnectionPool.from_url(url.replace("redis+unix://", "unix://"))
    options: dict[str, Any] = {"connection_pool": pool}
    return WindowRateLimiter(RedisStorage(url, implementation="redispy", wrap_exceptions=True, **options), pool.aclose)


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
            raise Unavailable("rate limiter") from error

    async def peek(self, limit: str, *key: str) -> int:
        item, parts = _parsed(limit), _quoted(key)
        try:
            return 0 if await self._strategy.test(item, *parts) else await self._wait(item, parts)
        except StorageError as error:
            raise Unavailable("rate limiter") from error

    async def reset(self, limit: str, *key: str) -> None:
        try:
            await self._strategy.clear(_parsed(limit), *_quoted(key))
        except StorageError as error:
            raise Unavailable("rate limiter") from error

    async def _wait(self, item: RateLimitItem, parts: tuple[str, ...]) -> int:
        window = await self._strategy.get_window_stats(item, *parts)
        return max(1, math.ceil(window.reset_time - time.time()))


@lru_cache(maxsize=256)
def _parsed(limit: str) -> RateLimitItem:
    """Raises ValueError for what is no limit."""
    return parse(limit)


def _quoted(key: tuple[str, ...]) -> tuple[str, ...]:
    """The library joins the parts with slashes; none may reach into the next one."""
    return tuple(quote(part, safe="") for part in key)
