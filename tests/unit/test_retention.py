"""What goes by itself, on real records and a real folder, with a clock that is moved."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loadingdock.adapters.blobs.local import LocalBlobs
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.adapters.types import MagicDetector
from loadingdock.core import settings
from loadingdock.core.administration import operator
from loadingdock.core.appending import Appending
from loadingdock.core.errors import ClientGone, Gone, LinkExpired, NotFound
from loadingdock.core.files import Files
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.files import File, State, Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.records import Unit
from loadingdock.core.promises import Promises
from loadingdock.core.receiving import Batches, Declaration
from loadingdock.core.retention import Lifetimes, Retention
from loadingdock.core.turns import Turns
from loadingdock.core.uploads import Uploads
from loadingdock.dialects.conversation_files import wire
from loadingdock.dialects.signed_url import routes
from loadingdock.testing.clock import SetClock
from tests import sqlite

DAY = timedelta(days=1)
GRACE = timedelta(hours=24)


@dataclass
class House:
    records: SqliteRecords
    blobs: LocalBlobs
    clock: SetClock
    uploads: Uploads
    promises: Promises
    appending: Appending
    files: Files
    retention: Retention
    who: Principal

    async def receive(self, content: bytes = b"hello", *, keep: timedelta | None = None) -> File:
        """A file that has been looked into and found clean."""
        file = await self.uploads.receive(self.who, declaration(keep=keep), batches(content))
        now = self.clock.now()

        async def judge(unit: Unit) -> None:
            for was, becomes in ((State.RECEIVED, State.PROCESSING), (State.PROCESSING, State.READY)):
                assert await unit.files.save_version(replace(file.version, state=becomes, updated_at=now), was=was)

        await self.records.write(self.who.company.id, judge)
        return await self.files.get(self.who, file.id)

    async def promise(self, *, keep: timedelta | None = None) -> tuple[File, Upload]:
        return await self.promises.initiate(self.who, declaration(keep=keep), expires_in=timedelta(minutes=10))

    async def held(self, upload: Upload) -> bool:
        found, _ = await self.promises.look(self.who.company.id, upload.id)
        return found.held_until is not None

    async def now(self, file: File) -> File:
        return await self.files.get(self.who, file.id, deleted=True)

    async def used(self) -> Usage:
        async def work(unit: Unit) -> Usage:
            return await unit.ledger.get()

        return await self.records.read(self.who.company.id, work)

    async def deeds(self) -> list[tuple[str, str]]:
        """(what was done, to what), newest first."""

        async def work(unit: Unit) -> list[tuple[str, str]]:
            return [(row.action, row.subject) for row in (await unit.audit.list(limit=100)).items]

        return await self.records.read(self.who.company.id, work)

    async def keys(self) -> set[str]:
        """Of all bytes in the store, finished or under way."""
        return {key async for key in self.blobs.list(before=datetime.now(UTC) + DAY)}


def declaration(*, keep: timedelta | None = None) -> Declaration:
    return Declaration(api="test", name="note.txt", max_size=10**6, keep=keep)


async def batches(*pieces: bytes) -> Batches:
    for piece in pieces:
        yield [piece]


async def broken_off(*pieces: bytes) -> Batches:
    for piece in pieces:
        yield [piece]
    raise ClientGone


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    # Files on disk have real times, and the sweep of orphans compares them with the clock.
    clock = SetClock(datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1))
    records = sqlite.opened(tmp_path / "records.sqlite3")
    blobs = LocalBlobs(tmp_path / "files")

    async def add(unit: Unit) -> Company:
        return await unit.companies.add("acme", "Acme", 4711, clock.now())

    company = await records.write(None, add)
    uploads, turns = Uploads(records, blobs, MagicDetector(), clock), Turns()
    promises = Promises(uploads, turns, records, blobs, clock)
    yield House(
        records,
        blobs,
        clock,
        uploads,
        promises,
        Appending(promises, turns, records, blobs, MagicDetector(), clock),
        Files(records, blobs, clock),
        Retention(records, blobs, clock, Lifetimes(orphan_grace=GRACE)),
        operator(company),
    )
    await blobs.close()
    await records.close()


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [timedelta(days=7), timedelta(hours=24)], ids=["seven days", "persist=false"])
async def test_a_file_ends_with_its_time_and_not_before(house: House, keep: timedelta) -> None:
    file = await house.receive(keep=keep)
    house.clock.advance(keep - timedelta(seconds=1))
    assert await house.retention.expire_files() == 0
    assert (await house.files.open(house.who, file)).size == 5

    house.clock.advance(timedelta(seconds=1))
    assert await house.retention.expire_files() == 1
    ended = await house.now(file)
    assert (ended.state, ended.version.blob_key) == (State.EXPIRED, None)
    assert (ended.version.size, ended.version.sha256) == (file.version.size, file.version.sha256)
    assert await house.keys() == set()
    assert await house.used() == Usage(bytes=0, files=0)
    assert ("file.expire", file.id) in await house.deeds()
    with pytest.raises(Gone):
        await house.files.open(house.who, ended)
    with pytest.raises(Gone):
        await house.files.extend(house.who, ended, None)
    assert await house.retention.expire_files() == 0


async def test_a_file_without_an_end_stays(house: House) -> None:
    file = await house.receive()
    house.clock.advance(timedelta(days=36_500))
    assert await house.retention.expire_files() == 0
    assert (await house.now(file)).state is State.READY


async def test_a_life_can_be_made_longer(house: House) -> None:
    file = await house.receive(keep=DAY)
    await house.files.extend(house.who, file, house.clock.now() + 3 * DAY)
    house.clock.advance(2 * DAY)
    assert await house.retention.expire_files() == 0
    house.clock.advance(2 * DAY)
    assert await house.retention.expire_files() == 1


async def test_the_life_of_a_promised_file_begins_with_its_bytes(house: House) -> None:
    file, upload = await house.promise(keep=DAY)
    house.clock.advance(timedelta(minutes=9))
    await house.promises.fulfil(house.who, upload, file, declaration(keep=DAY), batches(b"hello"))
    assert (await house.now(file)).expires_at == house.clock.now() + DAY


async def test_an_attachment_keeps_a_file_alive(house: House) -> None:
    file = await house.receive(keep=DAY)
    for reference in ("letter-1", "letter-2"):
        await house.files.attach(house.who, file, reference)
    house.clock.advance(30 * DAY)
    assert await house.retention.expire_files() == 0
    await house.files.detach(house.who, file, "letter-1")
    assert await house.retention.expire_files() == 0
    assert (await house.files.open_attached(house.who, file, "letter-2")).size == 5
    await house.files.detach(house.who, file, "letter-2")
    assert await house.retention.expire_files() == 1
    assert await house.keys() == set()


async def test_what_is_attached_outlives_its_deletion(house: House) -> None:
    file = await house.receive(keep=DAY)
    await house.files.attach(house.who, file, "letter")
    await house.files.delete(house.who, file)
    house.clock.advance(30 * DAY)
    assert await house.retention.expire_files() == 0
    assert (await house.files.open_attached(house.who, await house.now(file), "letter")).size == 5
    assert await house.used() == Usage(bytes=5, files=1)
    await house.files.detach(house.who, file, "letter")
    assert await house.keys() == set()
    assert await house.used() == Usage(bytes=0, files=0)


async def test_more_than_a_batch_goes_in_one_sweep(house: House) -> None:
    for _ in range(205):
        await house.receive(b"x", keep=DAY)
    house.clock.advance(DAY)
    assert await house.retention.expire_files() == 205
    assert await house.keys() == set()


# --- uploads -------------------------------------------------------------------------------------


async def test_a_promise_that_is_not_kept_ends(house: House) -> None:
    file, upload = await house.promise()
    house.clock.advance(timedelta(minutes=10) - timedelta(seconds=1))
    assert await house.retention.abandon_uploads() == 0
    house.clock.advance(timedelta(seconds=1))
    with pytest.raises(LinkExpired):
        await house.promises.find(house.who.company.id, upload.id)
    assert await house.retention.abandon_uploads() == 1
    assert (await house.now(file)).state is State.EXPIRED
    assert ("upload.abandon", file.id) in await house.deeds()
    with pytest.raises(NotFound):
        await house.promises.find(house.who.company.id, upload.id)
    assert await house.retention.abandon_uploads() == 0


async def test_a_request_under_way_may_end_after_its_time(house: House) -> None:
    file, upload = await house.promise()
    house.clock.advance(timedelta(minutes=10) - timedelta(seconds=1))

    async def slowly() -> Batches:
        yield [b"first "]
        async with asyncio.timeout(30):
            while not await house.held(upload):  # noqa: ASYNC110  # no event tells of it
                await asyncio.sleep(0.01)  # no event tells of it
        house.clock.advance(timedelta(seconds=2))
        assert await house.retention.abandon_uploads() == 0
        yield [b"second"]

    done = await house.promises.fulfil(house.who, upload, file, declaration(), slowly())
    assert (done.state, done.version.size) == (State.RECEIVED, 12)
    assert not await house.held(upload)


async def test_what_came_of_an_abandoned_upload_goes(house: House) -> None:
    file, upload = await house.promise()
    with pytest.raises(ClientGone):
        await house.appending.append(
            house.who, upload, file, declaration(), broken_off(b"half of it"), offset=0, last=True
        )
    assert len(await house.keys()) == 1
    house.clock.advance(timedelta(minutes=10))
    assert await house.retention.abandon_uploads() == 1
    assert await house.keys() == set()
    assert (await house.now(file)).state is State.EXPIRED


# --- orphans -------------------------------------------------------------------------------------


async def test_orphans_go_after_the_grace_and_nothing_else_does(house: House) -> None:
    file = await house.receive(b"kept")
    promised, upload = await house.promise()
    with pytest.raises(ClientGone):
        await house.appending.append(
            house.who, upload, promised, declaration(), broken_off(b"half"), offset=0, last=True
        )
    known = await house.keys()
    async with house.blobs.writer() as writer:  # as if the process had died before the commit of the record
        await writer.write([b"orphan"])
        orphan = await writer.commit()
    async with house.blobs.writer() as writer:
        await writer.write([b"suspended orphan"])
        await writer.suspend()
        suspended = writer.key
    assert await house.keys() == known | {orphan.key, suspended}

    house.clock.advance(GRACE - timedelta(minutes=5))
    assert await house.retention.sweep_orphans() == 0
    house.clock.advance(timedelta(minutes=10))
    assert await house.retention.sweep_orphans() == 2
    assert await house.keys() == known
    assert (await house.files.open(house.who, file)).size == 4
    assert await house.retention.sweep_orphans() == 0


async def test_what_is_not_of_our_making_is_left_alone(house: House, tmp_path: Path) -> None:
    (tmp_path / "files" / "blobs" / "notes.txt").write_text("an operator's")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "files" / "staging" / "link").symlink_to(secret)
    os.utime(tmp_path / "files" / "blobs" / "notes.txt", (0, 0))
    house.clock.advance(10 * GRACE)
    assert await house.retention.sweep_orphans() == 0
    assert secret.exists()
    assert (tmp_path / "files" / "blobs" / "notes.txt").exists()


def test_the_apis_lives() -> None:
    """Seven days for conversation-files, and a company's word for the rest."""
    assert timedelta(seconds=wire.RETENTION.default or 0) == timedelta(days=7)
    assert timedelta(hours=24) == routes.UNKEPT
    assert settings.RETENTION.default is None
