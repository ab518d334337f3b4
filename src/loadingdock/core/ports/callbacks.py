"""Callbacks: their rows in the records, and whoever sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret, CallbackState
from loadingdock.core.model.pages import Page


class CallbackRecords(Protocol):
    """Callbacks of the unit's tenant, their attempts, and the secrets that sign them."""

    async def get(self, id: str) -> Callback | None:
        """In a unit that writes, nobody else changes it before the unit's end."""
        ...

    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        state: CallbackState | None = None,
        subject: str | None = None,
    ) -> Page[Callback]:
        """Newest first, narrowed to that state or subject."""
        ...

    async def add(self, callback: Callback) -> None: ...
    async def save(self, callback: Callback, attempt: Attempt | None = None) -> None:
        """Writes what delivering changes, and the attempt if there was one. Raises NotFound("callback")."""
        ...

    async def attempts(self, id: str) -> tuple[Attempt, ...]:
        """Oldest first."""
        ...

    async def secrets(self) -> tuple[CallbackSecret, ...]:
        """Newest first, those whose time is over as long as they are kept."""
        ...

    async def add_secret(self, secret: CallbackSecret, *, others_until: datetime) -> int:
        """From now on those that had no end are valid until that time; says how many. Those over are removed."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. Without a `status` there was no answer: `fault` is a word for why (refused, timeout,
    unreachable, tls, protocol) and `error` a sentence, both ours."""

    took: timedelta
    status: int | None = None
    fault: str | None = None
    error: str | None = None
    retry_after: timedelta | None = None


class CallbackSender(Protocol):
    """HTTP to URLs that clients name. It reaches public addresses on a few ports and what the operator allows besides,
    follows no redirect, uses no proxy, and keeps nothing of an answer's body."""

    async def check(self, url: str) -> str:
        """The URL in its plain form. Raises InvalidInput(field="callback") with a sentence for one that may not be
        reached: its form, scheme or port is refused, or its host is or has an address inside. A name that is not
        resolved now is taken."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Judges the URL and its addresses anew, and connects to an address that was judged. Whatever the other side
        does becomes an Answer, in bounded time and memory."""
        ...
