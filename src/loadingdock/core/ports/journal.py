"""What is written down: the audit log, events, answers kept under idempotency keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from loadingdock.core.model.journal import AuditEntry, Event, StoredResponse
from loadingdock.core.model.pages import Page


class AuditLog(Protocol):
    """Append-only: there is no way to change or remove a row. A unit without a tenant may add a row of any company,
    or of company 0: a deed of the installation itself."""

    async def add(self, entry: AuditEntry) -> None: ...
    async def list(
        self, *, limit: int, cursor: str | None = None, action: str | None = None, subject: str | None = None
    ) -> Page[AuditEntry]:
        """Newest first, narrowed to exactly that action or subject."""
        ...


class Events(Protocol):
    async def add(self, at: datetime, kind: str, subject: str, data: Mapping[str, Any]) -> None: ...
    async def after(self, seq: int, *, limit: int) -> tuple[Event, ...]: ...
    async def last(self) -> int: ...


class Idempotency(Protocol):
    """Answers kept under a client's key, in the unit's company alone."""

    async def begin(self, key: str, fingerprint: str, at: datetime) -> StoredResponse | None:
        """None: the key is new and now held by this caller. Otherwise what is stored; without a status it is held
        by a request still under way."""
        ...

    async def finish(self, key: str, response: StoredResponse) -> None: ...
    async def release(self, key: str) -> None: ...
