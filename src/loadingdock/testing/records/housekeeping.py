"""What the sweeps ask, across all companies."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.files import Attachment, State, Version
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import (
    HOUR,
    MINUTE,
    NOW,
    Store,
    StoreContract,
    a_version,
    an_entry,
    an_upload,
    become,
    change,
    drained,
    new_id,
)


class HousekeepingContract(StoreContract):
    async def test_expired_files(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        late = await store.add_file(other, expires_at=NOW)
        first = await store.add_file(company, expires_at=NOW - HOUR)
        await store.add_file(company, expires_at=NOW + MINUTE)
        await store.add_file(company)
        attached = await store.add_file(company, expires_at=NOW - HOUR)
        await store.write(company, lambda unit: unit.attachments.add(Attachment(attached.id, "mail", NOW)))
        deleted = await store.add_file(company, expires_at=NOW - HOUR)
        await store.write(company, lambda unit: change(unit, deleted, deleted_at=NOW))
        await store.add_file(company, expires_at=NOW - HOUR, state=State.EXPIRED)

        async def expired(limit: int) -> set[str]:
            files = await store.read(None, lambda unit: unit.housekeeping.expired_files(NOW, limit))
            return {file.id for file in files}

        assert await expired(10) == {first.id, late.id}
        assert await expired(1) == {first.id}
        await store.write(company, lambda unit: become(unit, first, State.EXPIRED))
        assert await expired(1) == {late.id}
        await store.write(company, lambda unit: unit.attachments.remove(attached.id, "mail"))
        assert await expired(10) == {attached.id, late.id}

    async def test_abandoned_uploads(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)
        uploads = [an_upload(file, expires_at=NOW + MINUTE * minutes) for minutes in (-3, -2, -1, 0, 1)]

        async def work(unit: Unit) -> None:
            for upload in uploads:
                await unit.uploads.add(upload)
            await unit.uploads.complete(uploads[0].id, NOW)
            await unit.uploads.abort(uploads[1].id, NOW)

        await store.write(company, work)
        assert await store.read(None, lambda unit: unit.housekeeping.abandoned_uploads(NOW, 9)) == tuple(uploads[2:4])
        assert await store.read(None, lambda unit: unit.housekeeping.abandoned_uploads(NOW, 1)) == (uploads[2],)
        for until, left in ((NOW + MINUTE, [uploads[2].id]), (NOW, [uploads[2].id, uploads[3].id])):

            async def hold(unit: Unit, until: datetime = until) -> bool:
                return await unit.uploads.hold(uploads[3].id, until)

            await store.write(company, hold)
            found = await store.read(None, lambda unit: unit.housekeeping.abandoned_uploads(NOW, 9))
            assert [upload.id for upload in found] == left

    async def test_deleted_versions_that_still_have_bytes(self, store: Store, company: Company) -> None:
        keys: dict[str, dict[str, Any]] = {
            "bytes": {"blob_key": "b", "text_key": None},
            "text": {"blob_key": None, "text_key": "t"},
            "none": {"blob_key": None, "text_key": None},
        }
        wanted: set[str] = set()
        for state in (State.DELETED, State.EXPIRED, State.READY):
            for what, fields in keys.items():
                file = await store.add_file(company, state=state, **fields)
                if state is not State.READY and what != "none":
                    wanted.add(file.id)
        attached = await store.add_file(company, state=State.EXPIRED)
        await store.write(company, lambda unit: unit.attachments.add(Attachment(attached.id, "mail", NOW)))
        found = await store.read(None, lambda unit: unit.housekeeping.deleted_with_bytes(100))
        assert {version.file_id for version in found} == wanted
        assert len(await store.read(None, lambda unit: unit.housekeeping.deleted_with_bytes(2))) == 2

    async def test_known_blobs(self, store: Store, company: Company) -> None:
        file = await store.add_file(company, blob_key="blob", text_key="text")
        uploads = [an_upload(file, staging_key=key) for key in ("open", "done", "gone")]

        async def work(unit: Unit) -> None:
            for upload in uploads:
                await unit.uploads.add(upload)
            await unit.uploads.complete(uploads[1].id, NOW)
            await unit.uploads.abort(uploads[2].id, NOW)

        await store.write(company, work)
        asked = ["blob", "text", "open", "done", "gone", "never", "ü'\"%", *(new_id() for _ in range(500))]
        known = await store.read(None, lambda unit: unit.housekeeping.known_blobs(asked))
        assert known == {"blob", "text", "open"}
        assert await store.read(None, lambda unit: unit.housekeeping.known_blobs([])) == frozenset()

    async def test_every_version_with_bytes_page_by_page(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        wanted: set[tuple[str, int]] = set()
        for each in (company, other, company):
            file = await store.add_file(each)
            await store.add_file(each, blob_key=None)
            await self.add_version(store, each, a_version(each, file.id, 2, text_key="text"))
            wanted |= {(file.id, 1), (file.id, 2)}

        async def turn(cursor: str | None) -> Page[Version]:
            return await store.read(None, lambda unit: unit.housekeeping.versions_with_bytes(2, cursor))

        seen = await drained(turn)
        assert len(seen) == len(wanted)
        assert {(version.file_id, version.number) for version in seen} == wanted

    async def add_version(self, store: Store, company: Company, version: Version) -> None:
        await store.write(company, lambda unit: unit.files.add_version(version))

    async def test_ledger_drift(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        file = await store.add_file(company, size=7)
        second = a_version(company, file.id, 2, size=5)

        async def work(unit: Unit) -> None:
            await unit.files.add_version(second)
            await unit.ledger.charge(12, 2, max_bytes=None, max_files=None)

        async def drift() -> tuple[tuple[int, Usage, Usage], ...]:
            return await store.read(None, lambda unit: unit.housekeeping.ledger_drift())

        assert await drift() == ((company.id, Usage(0, 0), Usage(7, 1)),)
        await store.write(company, work)
        assert await drift() == ()
        await store.write(other, lambda unit: unit.ledger.charge(1, 1, max_bytes=None, max_files=None))
        assert await drift() == ((other.id, Usage(1, 1), Usage(0, 0)),)
        gone = replace(second, state=State.DELETED, blob_key=None)
        await store.write(company, lambda unit: unit.files.save_version(gone, was=second.state))
        assert await drift() == (
            (company.id, Usage(12, 2), Usage(7, 1)),
            (other.id, Usage(1, 1), Usage(0, 0)),
        )

    async def test_forgetting(self, store: Store, company: Company) -> None:
        async def work(unit: Unit) -> None:
            for at in (NOW - MINUTE, NOW):
                await unit.idempotency.begin(f"key {at}", "print", at)
                await unit.events.add(at, "kind", "file", {})
                for subject in ("done", "dead", "running"):
                    await unit.jobs.enqueue("process", f"{subject} {at}", at=at)
                await unit.audit.add(replace(an_entry(company.id), at=at))

        await store.write(company, work)
        for job in await store.jobs.claim("worker", lease=HOUR, limit=10, cap=10, now=NOW):
            if job.subject.startswith("done"):
                await store.jobs.finish(job, job.created_at)
            elif job.subject.startswith("dead"):
                await store.jobs.bury(job, error="", now=job.created_at)

        async def forget(unit: Unit) -> int:
            return await unit.housekeeping.forget(idempotency_before=NOW, events_before=NOW, jobs_before=NOW)

        assert await store.write(None, forget) == 3
        assert await store.write(None, forget) == 0
        events = await store.read(company, lambda unit: unit.events.after(0, limit=10))
        assert [event.at for event in events] == [NOW]
        kept = {job.subject for job in await store.jobs.list()}
        forgotten = {f"done {NOW - MINUTE}"}
        assert (
            kept == {f"{what} {at}" for what in ("done", "dead", "running") for at in (NOW - MINUTE, NOW)} - forgotten
        )
        assert await store.write(company, lambda unit: unit.idempotency.begin(f"key {NOW - MINUTE}", "x", NOW)) is None
        assert await store.write(company, lambda unit: unit.idempotency.begin(f"key {NOW}", "x", NOW)) is not None
        assert len((await store.read(company, lambda unit: unit.audit.list(limit=10))).items) == 2
