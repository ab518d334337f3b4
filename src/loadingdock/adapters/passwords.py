"""argon2id in threads of its own: at most a few at once, at most some more waiting."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError

from loadingdock.core.errors import Unavailable

T = TypeVar("T")


class Argon2Passwords:
    """Port Passwords: argon2id with 19 MiB, two passes, one lane (OWASP Password Storage cheat sheet).

    `threads` hash at once, each with its memory; `waiting` more may queue. Beyond that `Unavailable` is raised, so
    that a flood of logins cannot take more than that of memory and processors, nor make others wait for ever.
    """

    def __init__(
        self, *, threads: int = 2, waiting: int = 64, memory_kib: int = 19 * 1024, passes: int = 2, lanes: int = 1
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._room = threads + waiting
        self._under_way = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, hash: str | None) -> bool:
        return await self._run(lambda: self._verify(password, hash))

    def close(self) -> None:
        """Drops what waits; what is being hashed ends by itself in milliseconds."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, hash: str | None) -> bool:
        try:
            matches = self._hasher.verify(self._hash_of_nobody() if hash is None else hash, password)
        except (VerificationError, ValueError):  # a mismatch, or no hash at all
            return False
        return matches and hash is not None

    def _hash_of_nobody(self) -> str:
        """Made once, of a password that nobody knows."""
        if self._nobody is None:
            self._nobody = self._hasher.hash(secrets.token_urlsafe(32))
        return self._nobody

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._room:
            raise Unavailable("password check", retry_after=1)
        self._under_way += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Counted until the thread is done with it, which may be after the caller has gone.
        future.add_done_callback(self._done)
        return await future

    def _done(self, _: asyncio.Future[T]) -> None:
        self._under_way -= 1
