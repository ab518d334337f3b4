"""What goes by itself: expired files, abandoned uploads, orphaned bytes, old answers.

Every sweep may run anywhere, at any time, more than once: each step is one commit that asks again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from loadingdock.core.audit import entry
from loadingdock.core.files import end_versions
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State, Upload
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.pointing import unpointed, written
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.reported import forget_rows

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what nobody points at is kept. `orphan_grace` must be longer than any upload may take: bytes lie
    without a record from their first byte to their commit."""

    orphan_grace: timedelta = timedelta(hours=24)
    idempotency: timedelta = timedelta(hours=24)
    events: timedelta = timedelta(days=7)
    jobs: timedelta = timedelta(days=7)


class Retention:
    def __init__(self, records: Records, blobs: BlobStore, clock: Clock, lifetimes: Lifetimes) -> None:
        self._records = records
        self._blobs = blobs
        self._clock = clock
        self._lifetimes = lifetimes

    async def expire_files(self) -> int:
        """Files past their time and not attached: the bytes go, the record says so."""
        now = self._clock.now()

        async def due(unit: Unit) -> tuple[File, ...]:
            return await unit.housekeeping.expired_files(now, _BATCH)

        count = 0
        while files := await self._records.read(None, due):
            ended = [await self._end_file(file, State.EXPIRED, "file.expire", now) for file in files]
            count += sum(ended)
            if not any(ended):
                break  # all of them changed meanwhile; the next sweep looks again
        return count

    async def abandon_uploads(self) -> int:
        """Uploads whose time is over before all of their bytes came."""
        now = self._clock.now()

        async def due(unit: Unit) -> tuple[Upload, ...]:
            return await unit.housekeeping.abandoned_uploads(now, _BATCH)

        count = 0
        while uploads := await self._records.read(None, due):
            ended = [await self._abandon(upload, now) for upload in uploads]
            count += sum(ended)
            if not any(ended):
                break
        return count

    async def sweep_orphans(self) -> int:
        """Bytes that no record points at, older than the grace time: left by a crash, or by a removal whose second
        half was lost."""
        count = 0
        async for keys in written(self._blobs, self._clock.now() - self._lifetimes.orphan_grace, _BATCH):
            orphans = await unpointed(self._records, keys)
            await self._blobs.delete(*orphans)
            count += len(orphans)
        return count

    async def forget(self) -> int:
        now, life = self._clock.now(), self._lifetimes

        async def work(unit: Unit) -> int:
            return await unit.housekeeping.forget(
                idempotency_before=now - life.idempotency,
                events_before=now - life.events,
                jobs_before=now - life.jobs,
            )

        count = 0
        while forgotten := await self._records.write(None, work):
            count += forgotten
        return count

    async def _end_file(self, file: File, state: State, action: str, now: datetime) -> bool:
        async def work(unit: Unit) -> list[str] | None:
            current = await unit.files.get(file.id)
            if current is None or current.deleted_at is not None or current.attached:
                return None
            if current.expires_at is None or current.expires_at > now or current.state in {State.EXPIRED}:
                return None
            keys = await end_versions(unit, current, state, now)
            await forget_rows(unit, current)
            company = await unit.companies.by_id(current.company_id)
            await unit.audit.add(entry(_system(company), action, file.id, "ok", now))
            await unit.events.add(now, f"file.{state.value}", file.id, {"name": file.name, "api": file.api})
            return keys

        keys = await self._records.write(file.company_id, work)
        await self._blobs.delete(*keys or ())
        return keys is not None

    async def _abandon(self, upload: Upload, now: datetime) -> int:
        async def work(unit: Unit) -> bool:
            current = await unit.uploads.get(upload.id)
            if current is None or (current.held_until is not None and current.held_until > now):
                return False
            if not await unit.uploads.abort(upload.id, now):
                return False
            file = await unit.files.get(upload.file_id)
            if file is not None and file.state is State.AWAITING_UPLOAD:
                expired = replace(file.version, state=State.EXPIRED, updated_at=now)
                await unit.files.save_version(expired, was=State.AWAITING_UPLOAD)
                company = await unit.companies.by_id(file.company_id)
                await unit.audit.add(entry(_system(company), "upload.abandon", file.id, "ok", now))
                await unit.events.add(now, "file.expired", file.id, {"name": file.name, "api": file.api})
            return True

        done = await self._records.write(upload.company_id, work)
        if done and upload.staging_key:
            await self._blobs.delete(upload.staging_key)
        return done


def _system(company: Company | None) -> Principal:
    if company is None:
        raise RuntimeError("a file without a company")
    return Principal(company, PrincipalKind.SYSTEM, "sweep", frozenset())
