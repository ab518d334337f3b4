"""What happens to files when several things happen to them, with real records and blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from loadingdock.bootstrap import system
from loadingdock.core.administration import operator
from loadingdock.core.errors import Conflict, Gone, InvalidInput, NotFound, StillProcessing
from loadingdock.core.model.companies import Usage
from loadingdock.core.model.files import File, State
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.records import Unit
from loadingdock.core.receiving import Declaration
from loadingdock.settings import Settings
from loadingdock.web.services import Services


@dataclass
class Dock:
    services: Services
    principal: Principal

    async def receive(self, content: bytes = b"x", *, namespace: str = "", keep: timedelta | None = None) -> File:
        declaration = Declaration(api="test", name="note.txt", max_size=1000, namespace=namespace, keep=keep)
        return await self.services.uploads.receive(self.principal, declaration, _body(content))

    async def ready(self, file: File) -> File:
        """As processing leaves it."""
        version = file.version

        async def work(unit: Unit) -> None:
            processing = replace(version, state=State.PROCESSING)
            assert await unit.files.save_version(processing, was=State.RECEIVED)
            assert await unit.files.save_version(replace(version, state=State.READY), was=State.PROCESSING)

        await self.services.records.write(file.company_id, work)
        return await self.services.files.get(self.principal, file.id)

    async def usage(self) -> Usage:
        async def work(unit: Unit) -> Usage:
            return await unit.ledger.get()

        return await self.services.records.read(self.principal.company.id, work)

    async def blobs(self) -> set[str]:
        later = self.services.clock.now() + timedelta(days=1)
        return {key async for key in self.services.blobs.list(before=later)}


async def _body(content: bytes) -> AsyncIterator[Sequence[bytes]]:
    yield [content]


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[Dock]:
    async with system(Settings(data=folder / "data")) as opened:
        company = await opened.services.administration.add_company("acme")
        yield Dock(opened.services, operator(company))


@pytest.fixture
async def dock(tmp_path: Path) -> AsyncIterator[Dock]:
    async with _opened(tmp_path) as opened:
        yield opened


async def test_a_change_takes_back_nothing_that_happened_since_the_file_was_read(dock: Dock) -> None:
    files, principal = dock.services.files, dock.principal
    read_early = await dock.receive()
    until = dock.services.clock.now() + timedelta(days=1)
    await files.extend(principal, read_early, until)
    renamed = await files.rename(principal, read_early, "other.txt")
    assert (renamed.name, renamed.expires_at) == ("other.txt", until)

    await files.delete(principal, read_early)
    for change in (
        files.rename(principal, read_early, "third.txt"),
        files.extend(principal, read_early, None),
        files.attach(principal, read_early, "m1"),
        files.delete(principal, read_early),
    ):
        with pytest.raises(NotFound):
            await change
    with pytest.raises(NotFound):
        await files.get(principal, read_early.id)


async def test_deleting_gives_bytes_and_quota_back(dock: Dock) -> None:
    file = await dock.receive(b"12345")
    assert await dock.usage() == Usage(bytes=5, files=1)
    await dock.services.files.delete(dock.principal, file)
    assert await dock.usage() == Usage(bytes=0, files=0)
    assert await dock.blobs() == set()


async def test_of_many_who_delete_at_once_one_does(dock: Dock) -> None:
    file = await dock.receive(b"12345")
    done = await asyncio.gather(
        *(dock.services.files.delete(dock.principal, file) for _ in range(10)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["NoneType"] + ["NotFound"] * 9
    assert await dock.usage() == Usage(bytes=0, files=0)


async def test_what_is_not_ready_is_neither_read_nor_attached(dock: Dock) -> None:
    file = await dock.receive()
    for attempt in (
        dock.services.files.open(dock.principal, file),
        dock.services.files.text(dock.principal, file),
        dock.services.files.attach(dock.principal, file, "m1"),
    ):
        with pytest.raises(StillProcessing):
            await attempt


async def test_the_last_who_lets_go_of_a_deleted_file_takes_its_bytes(dock: Dock) -> None:
    files, principal = dock.services.files, dock.principal
    file = await dock.ready(await dock.receive(b"12345"))
    await files.attach(principal, file, "m1")
    await files.attach(principal, file, "m2")
    await files.delete(principal, file)
    deleted = await files.get(principal, file.id, deleted=True)
    assert (await files.open_attached(principal, deleted, "m1")).size == 5
    assert await dock.usage() == Usage(bytes=5, files=1)

    await files.detach(principal, deleted, "m1")
    with pytest.raises(NotFound):
        await files.open_attached(principal, deleted, "m1")
    assert (await files.open_attached(principal, deleted, "m2")).size == 5
    await files.detach(principal, deleted, "m2")
    assert await dock.usage() == Usage(bytes=0, files=0)
    assert await dock.blobs() == set()
    with pytest.raises(NotFound):
        await files.detach(principal, deleted, "m2")


async def test_versions_of_an_attached_file_go_only_behind_its_latest(dock: Dock) -> None:
    files, principal = dock.services.files, dock.principal
    first = await dock.ready(await dock.receive(b"one", namespace="notes"))
    latest = await dock.ready(await dock.receive(b"second", namespace="notes"))
    assert (latest.id, latest.version.number) == (first.id, 2)
    await files.attach(principal, latest, "m1")

    with pytest.raises(Conflict):
        await files.delete(principal, latest, 2)
    await files.delete(principal, latest, 1)
    assert [version.number for version in await files.versions(latest)] == [2]
    await files.detach(principal, latest, "m1")
    await files.delete(principal, latest, 2)  # its only one, so the file goes too
    with pytest.raises(NotFound):
        await files.get(principal, latest.id)
    assert await dock.usage() == Usage(bytes=0, files=0)


async def test_a_number_is_given_to_one_version_ever(dock: Dock) -> None:
    files, principal = dock.services.files, dock.principal
    for content in (b"1", b"2", b"3"):
        file = await dock.receive(content, namespace="notes")
    await files.delete(principal, file, 3)
    await files.delete(principal, file, 2)
    assert (await files.get(principal, file.id)).version.number == 1
    assert (await dock.receive(b"4", namespace="notes")).version.number == 4
    assert [version.number for version in await files.versions(file)] == [4, 1]


async def test_what_has_expired_lives_no_longer(dock: Dock, tmp_path: Path) -> None:
    file = await dock.receive(keep=timedelta(days=1))
    ended = replace(file.version, state=State.EXPIRED, blob_key=None)

    async def expire(unit: Unit) -> None:
        assert await unit.files.save_version(ended, was=State.RECEIVED)

    await dock.services.records.write(file.company_id, expire)
    with pytest.raises(Gone):
        await dock.services.files.extend(dock.principal, file, None)
    with pytest.raises(InvalidInput):
        await dock.services.files.extend(dock.principal, file, dock.services.clock.now())
    expired = await dock.services.files.get(dock.principal, file.id)
    with pytest.raises(Gone):
        await dock.services.files.open(dock.principal, expired)


@pytest.mark.parametrize("reference", ["", "x" * 256, "a\nb", "a\x00b", "\ud800", "a\u202eb"])
async def test_references_are_names_that_can_be_shown(dock: Dock, reference: str) -> None:
    file = await dock.ready(await dock.receive())
    with pytest.raises(InvalidInput) as refused:
        await dock.services.files.attach(dock.principal, file, reference)
    assert refused.value.field == "reference"


async def test_waiting_ends_with_the_change(dock: Dock) -> None:
    file = await dock.receive()
    waiting = asyncio.create_task(dock.services.files.wait(file, timedelta(seconds=60)))
    ready = asyncio.create_task(_with_event(dock, file))
    changed = await waiting
    await ready
    assert changed.version != file.version
    assert await dock.services.files.wait(changed, timedelta(0)) == changed


async def _with_event(dock: Dock, file: File) -> None:
    async def work(unit: Unit) -> None:
        assert await unit.files.save_version(replace(file.version, state=State.PROCESSING), was=State.RECEIVED)
        await unit.events.add(dock.services.clock.now(), "file.processing", file.id, {})

    await dock.services.records.write(file.company_id, work)
