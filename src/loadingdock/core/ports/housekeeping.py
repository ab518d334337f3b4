"""What the sweeps ask of the records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from loadingdock.core.model.companies import Usage
from loadingdock.core.model.files import File, Upload, Version
from loadingdock.core.model.pages import Page


class Housekeeping(Protocol):
    """What the sweeps ask across all tenants. Each returns at most `limit` rows and is repeated until empty."""

    async def expired_files(self, now: datetime, limit: int) -> tuple[File, ...]:
        """Living, unattached files past expires_at."""
        ...

    async def abandoned_uploads(self, now: datetime, limit: int) -> tuple[Upload, ...]:
        """Open uploads past expires_at."""
        ...

    async def deleted_with_bytes(self, limit: int) -> tuple[Version, ...]:
        """Unattached deleted or expired versions that still point at bytes."""
        ...

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        """Which of the keys some version, text or open upload points at."""
        ...

    async def versions_with_bytes(self, limit: int, cursor: str | None = None) -> Page[Version]:
        """Every version that points at bytes, in a stable order: for fsck and the scrub."""
        ...

    async def ledger_drift(self) -> tuple[tuple[int, Usage, Usage], ...]:
        """(company id, as recorded, as counted) wherever the two differ."""
        ...

    async def pending_callbacks(self) -> tuple[int, datetime | None]:
        """How many are not delivered and not given up, and since when the oldest of them is owed."""
        ...

    async def forget_callbacks(self, before: datetime) -> int:
        """Removes callbacks that ended before, with their attempts, a bounded number at once; says how many."""
        ...

    async def forget(self, *, idempotency_before: datetime, events_before: datetime, jobs_before: datetime) -> int:
        """Removes stored answers, events and done jobs older than that, so many at once that no other write waits
        long; says how many rows, 0 when none are left. Dead jobs stay for the operator, and the newest event stays."""
        ...
