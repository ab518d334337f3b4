"""What is written down: the audit log, events, answers kept under idempotency keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from loadingdock.adapters.records import cursors
from loadingdock.adapters.records.executor import Part, Row, events_of
from loadingdock.adapters.records.values import from_json, micros, moment, to_json
from loadingdock.core.errors import NotFound
from loadingdock.core.model.journal import AuditEntry, Event, StoredResponse
from loadingdock.core.model.pages import Page

_CURSOR = "audit"


class AuditRows(Part):
    """A unit without a tenant may add a row of any company, or of 0: a deed of the installation itself."""

    __slots__ = ()

    async def add(self, entry: AuditEntry) -> None:
        if self._company_id is not None:
            self._own(entry.company_id)
        await self._db.add(
            "audit_add",
            at=micros(entry.at),
            company_id=entry.company_id,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            outcome=entry.outcome,
            address=entry.address,
            trace_id=entry.trace_id,
            detail=entry.detail,
        )

    async def list(
        self, *, limit: int, cursor: str | None = None, action: str | None = None, subject: str | None = None
    ) -> Page[AuditEntry]:
        before = None
        if cursor is not None:
            (before,) = cursors.decode(_CURSOR, self._company_id, cursor, (int,))
        rows = await self._db.all(
            "audit_page", company_id=self._company_id, action=action, subject=subject, before=before, limit=limit + 1
        )
        entries = tuple(AuditEntry(moment(at), *rest) for at, *rest in rows[:limit])
        if len(rows) <= limit or not entries:
            return Page(entries)
        return Page(entries, cursors.encode(_CURSOR, self._company_id, (entries[-1].seq,)))


class EventRows(Part):
    __slots__ = ()

    async def add(self, at: datetime, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        company_id = self._tenant()
        await self._db.hold("event_turn", company_id=company_id)
        await self._db.add(
            "event_add", at=micros(at), company_id=company_id, kind=kind, subject=subject, data=to_json(data)
        )
        self._db.signal(events_of(company_id))

    async def after(self, seq: int, *, limit: int) -> tuple[Event, ...]:
        rows = await self._db.all("events_after", company_id=self._company_id, seq=seq, limit=limit)
        return tuple(map(_event, rows))

    async def last(self) -> int:
        row = await self._db.one("event_last", company_id=self._company_id)
        return 0 if row is None or row[0] is None else row[0]


def _event(row: Row) -> Event:
    at, company_id, kind, subject, data, seq = row
    return Event(moment(at), company_id, kind, subject, from_json(data), seq)


class IdempotencyRows(Part):
    __slots__ = ()

    async def begin(self, key: str, fingerprint: str, at: datetime) -> StoredResponse | None:
        if await self._db.run(
            "idempotency_begin", company_id=self._tenant(), key=key, fingerprint=fingerprint, at=micros(at)
        ):
            return None
        row = await self._db.one("idempotency_get", company_id=self._company_id, key=key)
        if row is None:  # released between the two statements
            return await self.begin(key, fingerprint, at)
        kept, status, headers, body = row
        return StoredResponse(kept, status, from_json(headers), b"" if body is None else bytes(body))

    async def finish(self, key: str, response: StoredResponse) -> None:
        """Raises NotFound if the key is not held, for this request."""
        if not await self._db.run(
            "idempotency_finish",
            company_id=self._company_id,
            key=key,
            fingerprint=response.fingerprint,
            status=response.status,
            headers=to_json(response.headers),
            body=response.body,
        ):
            raise NotFound("idempotency key")

    async def release(self, key: str) -> None:
        """A key that has its answer keeps it."""
        await self._db.run("idempotency_release", company_id=self._company_id, key=key)
