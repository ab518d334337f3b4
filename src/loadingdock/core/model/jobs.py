"""Work that outlives the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from loadingdock.core.model.nothing import nothing


class JobState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that outlives the process. `fence` grows with every claim: a write that carries an older one
    is refused, so a worker that was stopped past its lease cannot change anything. `memo` holds the results of
    finished steps."""

    id: str
    company_id: int
    kind: str
    subject: str
    payload: Mapping[str, Any]
    state: JobState
    attempts: int
    run_at: datetime
    created_at: datetime
    fence: int = 0
    lease_until: datetime | None = None
    worker: str | None = None
    memo: Mapping[str, Any] = field(default_factory=nothing)
    dedupe_key: str | None = None
    last_error: str | None = None
    finished_at: datetime | None = None
