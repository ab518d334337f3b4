"""Counting who asks how often."""

from __future__ import annotations

from typing import Protocol


class RateLimiter(Protocol):
    """Counts hits by key; in memory or shared."""

    async def hit(self, limit: str, *key: str, cost: int = 1) -> int:
        """`limit` such as "600/minute". 0 if allowed, else the seconds to wait."""
        ...

    async def peek(self, limit: str, *key: str) -> int:
        """Like hit, without counting."""
        ...

    async def reset(self, limit: str, *key: str) -> None: ...
    async def ping(self) -> None:
        """Raises Unavailable("rate limiter")."""
        ...
