"""What the sweeps ask, across all tenants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from loadingdock.adapters.records import cursors
from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.filerows import file_of, upload_of, version_of
from loadingdock.adapters.records.values import micros, moment_or_none
from loadingdock.core.model.companies import Usage
from loadingdock.core.model.files import File, Upload, Version
from loadingdock.core.model.pages import Page

_CURSOR = "bytes"
_ENDED = 200  # callbacks removed in one transaction, each by itself with its attempts
_FORGET = 5_000  # rows of a table removed in one transaction, which no other write should wait long for


class HousekeepingRows:
    __slots__ = ("_db",)

    def __init__(self, db: Executor) -> None:
        self._db = db

    async def expired_files(self, now: datetime, limit: int) -> tuple[File, ...]:
        return tuple(map(file_of, await self._db.all("expired_files", now=micros(now), limit=limit)))

    async def abandoned_uploads(self, now: datetime, limit: int) -> tuple[Upload, ...]:
        return tuple(map(upload_of, await self._db.all("abandoned_uploads", now=micros(now), limit=limit)))

    async def deleted_with_bytes(self, limit: int) -> tuple[Version, ...]:
        return tuple(map(version_of, await self._db.all("deleted_with_bytes", limit=limit)))

    async def known_blobs(self, keys: Sequence[str]) -> frozenset[str]:
        rows = await self._db.all("known_blobs", keys=json.dumps(list(keys)))
        return frozenset(key for (key,) in rows)

    async def versions_with_bytes(self, limit: int, cursor: str | None = None) -> Page[Version]:
        company_id, file_id, number = None, None, None
        if cursor is not None:
            company_id, file_id, number = cursors.decode(_CURSOR, None, cursor, (int, str, int))
        rows = await self._db.all(
            "versions_with_bytes", company_id=company_id, file_id=file_id, number=number, limit=limit + 1
        )
        versions = tuple(map(version_of, rows[:limit]))
        if len(rows) <= limit or not versions:
            return Page(versions)
        last = versions[-1]
        return Page(versions, cursors.encode(_CURSOR, None, (last.company_id, last.file_id, last.number)))

    async def ledger_drift(self) -> tuple[tuple[int, Usage, Usage], ...]:
        """Counted are the versions that point at bytes: each is one file and its size."""
        rows = await self._db.all("ledger_drift")
        return tuple((id, Usage(bytes, files), Usage(total, count)) for id, bytes, files, total, count in rows)

    async def pending_callbacks(self) -> tuple[int, datetime | None]:
        row = await self._db.one("callbacks_pending")
        return (0, None) if row is None else (row[0], moment_or_none(row[1]))

    async def forget_callbacks(self, before: datetime) -> int:
        """At most some hundreds at once."""
        ended = await self._db.all("callbacks_ended", before=micros(before), limit=_ENDED)
        for company_id, id in ended:
            await self._db.run("callback_forget_attempts", company_id=company_id, id=id)
            await self._db.run("callback_forget", company_id=company_id, id=id)
        return len(ended)

    async def forget(self, *, idempotency_before: datetime, events_before: datetime, jobs_before: datetime) -> int:
        """Dead jobs stay, for an operator to see. At most some thousands of each at once: repeated until 0."""
        return (
            await self._db.run("forget_idempotency", before=micros(idempotency_before), limit=_FORGET)
            + await self._db.run("forget_events", before=micros(events_before), limit=_FORGET)
            + await self._db.run("forget_jobs", before=micros(jobs_before), limit=_FORGET)
        )
