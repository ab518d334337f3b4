"""Messages owed to clients, the attempts to deliver them, and the secrets that sign them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class CallbackState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    GONE = "gone"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Callback:
    """A message owed to a URL that a client named. `id` goes with every attempt, so that a receiver knows it again.

    A replay begins a new `round`; `tries` counts the attempts of this one, `attempts` those of all. `event` says what
    happened and `subject` to what. URLs and bodies may hold secrets.
    """

    id: str
    company_id: int
    url: str = field(repr=False)
    event: str = field()
    subject: str = field()
    body: bytes = field(repr=False)
    state: CallbackState = field()
    created_at: datetime = field()
    give_up_at: datetime = field()
    round: int = 1
    tries: int = 0
    attempts: int = 0
    next_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver. `status` is None where there was no answer, `error` where it was delivered: a sentence
    of ours, never what the receiver said. `took` in whole milliseconds."""

    number: int
    at: datetime
    took: timedelta
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CallbackSecret:
    """What signs a company's callbacks. Two are valid while receivers change from one to the other."""

    id: str
    company_id: int
    secret: bytes = field(repr=False)
    created_at: datetime = field()
    expires_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at
