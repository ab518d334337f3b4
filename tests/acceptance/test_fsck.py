"""Records against bytes: everything that is wrong is found, nothing that is right is, and repairs are safe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loadingdock.bootstrap import CONTACTS, System, system
from loadingdock.core.administration import operator
from loadingdock.core.errors import Rejected
from loadingdock.core.inspection import Finding, Inspection, Problem, Progress
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.contacts import Column
from loadingdock.core.model.files import File, State
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.core.receiving import Declaration
from loadingdock.settings import Settings
from tests.acceptance.operator import Operator

GRACE = timedelta(hours=24)


@dataclass
class House:
    """An installation without a server."""

    system: System
    company: Company

    async def take(self, count: int, size: int = 64) -> list[File]:
        uploads = self.system.services.uploads
        principal = operator(self.company)
        files = []
        for number in range(count):

            async def body(number: int = number) -> AsyncIterator[list[bytes]]:
                yield [f"file {number} ".encode().ljust(size, b".")]

            declaration = Declaration("test", f"file-{number}.txt", 1 << 20, keep=None)
            files.append(await uploads.receive(principal, declaration, body()))
        return files

    async def process(self, count: int) -> None:
        """Runs the jobs that wait."""
        worker = self.system.worker()
        while not all(file.state is State.READY for file in await self.files()):
            await worker._turn()  # one turn at a time: nothing else runs in this process

    def path(self, key: str | None) -> Path:
        path = self.system.blobs.local_path(key or "")
        assert path is not None
        return path

    async def look(
        self, *, repair: bool = False, blobs: BlobStore | None = None, clock: Clock | None = None
    ) -> list[Finding]:
        inspection = Inspection(
            self.system.records,
            blobs or self.system.blobs,
            self.system.services.contacts,
            clock or self.system.services.clock,
            orphan_grace=GRACE,
        )
        findings = inspection.run(repair=repair, progress=Progress(), told=lambda: None)
        return [finding async for finding in findings]

    async def files(self) -> tuple[File, ...]:
        page = await self.system.services.files.list(operator(self.company), FileFilter(), limit=1000)
        return page.items

    async def usage(self) -> Usage:
        return await self.system.records.read(self.company.id, lambda unit: unit.ledger.get())

    async def audited(self, action: str) -> int:
        async def work(unit: Unit) -> int:
            return len((await unit.audit.list(limit=1000, action=action)).items)

        return await self.system.records.read(self.company.id, work)


class Later:
    """A clock that is ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@asynccontextmanager
async def house_in(data: Path) -> AsyncIterator[House]:
    async with system(Settings(data=data)) as opened:
        yield House(opened, await opened.services.administration.add_company("acme"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_in(tmp_path / "data") as opened:
        yield opened


def flip(path: Path) -> None:
    """One bit of one byte, as rot does: size and times stay."""
    times = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(times.st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o400)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def problems(findings: Iterable[Finding]) -> dict[Problem, int]:
    found: dict[Problem, int] = {}
    for finding in findings:
        found[finding.problem] = found.get(finding.problem, 0) + 1
    return found


async def test_nothing_is_wrong_with_what_is_right(house: House) -> None:
    assert await house.look() == []
    await house.take(5)
    assert await house.look() == []
    assert await house.look(repair=True) == []
    assert {file.state for file in await house.files()} == {State.RECEIVED}


@pytest.mark.slow
async def test_a_byte_flipped_in_100_blobs_is_found_100_times(house: House) -> None:
    files = await house.take(130)
    rotten = {file.id for file in files[:100]}
    for file in files[:100]:
        flip(house.path(file.version.blob_key))
    findings = await house.look()
    assert problems(findings) == {Problem.ALTERED: 100}
    assert {finding.subject for finding in findings} == rotten
    assert {file.state for file in await house.files()} == {State.RECEIVED}, "looking changes nothing"


async def test_altered_bytes_are_put_out_of_reach_and_kept(house: House) -> None:
    (file,) = await house.take(1)
    await house.process(1)
    path = house.path(file.version.blob_key)
    flip(path)
    (finding,) = await house.look(repair=True)
    assert finding.repaired
    (after,) = await house.files()
    assert (after.state, after.version.reason) == (
        State.REJECTED,
        "The stored bytes are no longer those that were received.",
    )
    with pytest.raises(Rejected):
        await house.system.services.files.open(operator(house.company), after)
    assert path.exists()
    assert await house.audited("fsck.altered") == 1
    assert await house.look() == []
    await house.system.services.files.delete(operator(house.company), after)
    assert not path.exists()
    assert await house.usage() == Usage(0, 0)


async def test_missing_bytes(house: House) -> None:
    lost, kept = await house.take(2)
    house.path(lost.version.blob_key).unlink()
    (finding,) = await house.look()
    assert (finding.problem, finding.subject, finding.repaired) == (Problem.MISSING, lost.id, False)
    assert problems(await house.look(repair=True)) == {Problem.MISSING: 1}
    states = {file.id: file.state for file in await house.files()}
    assert states == {lost.id: State.REJECTED, kept.id: State.RECEIVED}
    assert await house.usage() == Usage(64, 1)
    assert await house.audited("fsck.missing") == 1
    assert await house.look() == []


@pytest.mark.parametrize("size", [0, 10, 65])
async def test_another_size(size: int, house: House) -> None:
    (file,) = await house.take(1)
    path = house.path(file.version.blob_key)
    path.chmod(0o600)
    with path.open("r+b") as opened:
        opened.truncate(size)
    assert problems(await house.look(repair=True)) == {Problem.SIZE: 1}
    assert await house.look() == []
    assert (await house.files())[0].state is State.REJECTED


async def test_a_lost_text_leaves_the_file_whole(house: House) -> None:
    await house.take(1)
    await house.process(1)
    (file,) = await house.files()
    house.path(file.version.text_key).unlink()
    assert problems(await house.look()) == {Problem.TEXT_MISSING: 1}
    assert problems(await house.look(repair=True)) == {Problem.TEXT_MISSING: 1}
    (after,) = await house.files()
    assert (after.state, after.version.text_key, after.version.warnings.empty) == (State.READY, None, True)
    assert await house.system.services.files.text(operator(house.company), after) == b""
    assert await house.look() == []


async def test_orphans_only_when_they_are_old(house: House) -> None:
    (file,) = await house.take(1)
    keys = []
    for _ in range(2):
        async with house.system.blobs.writer() as writer:
            await writer.write([b"nobody knows me"])
            keys.append((await writer.commit()).key)
    async with house.system.blobs.writer() as writer:
        await writer.write([b"on my way"])
        await writer.suspend()
    assert await house.look(repair=True) == [], "an upload under way looks the same"
    later = Later(GRACE + timedelta(minutes=1))
    assert problems(await house.look(clock=later)) == {Problem.ORPHANED: 3}
    assert house.path(keys[0]).exists()
    assert problems(await house.look(repair=True, clock=later)) == {Problem.ORPHANED: 3}
    assert await house.look(clock=later) == []
    assert house.path(file.version.blob_key).exists()


async def test_the_ledger(house: House) -> None:
    await house.take(3)

    async def drift(unit: Unit) -> None:
        await unit.ledger.charge(-100, 5, max_bytes=None, max_files=None)

    await house.system.records.write(house.company.id, drift)
    (finding,) = await house.look()
    assert (finding.problem, finding.company) == (Problem.LEDGER, "acme")
    assert "92 bytes in 8 files" in finding.detail
    await house.look(repair=True)
    assert await house.usage() == Usage(192, 3)
    assert await house.audited("fsck.ledger") == 1
    assert await house.look() == []


class Deleting:
    """The store, where a file is deleted by its owner in the moment in which fsck looks for its bytes."""

    def __init__(self, house: House, file: File) -> None:
        self._house = house
        self._file: File | None = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.system.blobs, name)

    async def head(self, key: str) -> int | None:
        if self._file is not None and key == self._file.version.blob_key:
            file, self._file = self._file, None
            await self._house.system.services.files.delete(operator(self._house.company), file)
        return await self._house.system.blobs.head(key)


async def test_what_is_deleted_meanwhile_is_not_missing(house: House) -> None:
    files = await house.take(3)
    store: Any = Deleting(house, files[1])
    assert await house.look(repair=True, blobs=store) == []
    assert len(await house.files()) == 2
    assert await house.look() == []


async def test_the_command(tmp_path: Path) -> None:
    async with house_in(tmp_path / "data") as house:
        files = await house.take(4)
        flip(house.path(files[0].version.blob_key))
        house.path(files[1].version.blob_key).unlink()

        types = Operator(tmp_path / "data")
        found = await _aside(types, "fsck", "--json")
        assert found.code == 1
        report = found.object
        assert (report["ok"], report["found"], report["repaired"]) == (False, 2, 0)
        assert {one["problem"] for one in report["problems"]} == {"altered", "missing"}
        assert report["checked"]["versions"] == 4

        text = await _aside(types, "fsck")
        assert text.code == 1
        assert f"missing: {files[1].id} version 1" in text.out
        assert "[--repair marks the version rejected and gives its size back to the quota]" in text.out

        assert (await _aside(types, "fsck", "--repair", "--json")).object["repaired"] == 2
        last = await _aside(types, "fsck")
        assert last.code == 0
        assert "Everything is as it should be." in last.out


async def _aside(types: Operator, *words: str) -> Any:
    """A command opens a loop of its own."""
    return await asyncio.to_thread(types.types, *words)


async def test_contact_tables_that_are_damaged_or_lost_are_told(house: House) -> None:
    services = house.system.services
    table = await services.contacts.create(operator(house.company), "people", [Column("NAME", max=80)])
    assert await house.look() == []
    path = house.system.settings.data / CONTACTS / f"{house.company.id}.sqlite"
    whole = path.read_bytes()
    for broken, said in ((whole[:4096] + b"\xff" * (len(whole) - 4096), "malformed"), (b"\0" * 8192, "not a database")):
        for beside in path.parent.iterdir():
            beside.unlink()
        path.write_bytes(broken)
        (finding,) = await house.look(repair=True)
        assert (finding.problem, finding.subject, finding.repaired) == (Problem.CONTACTS, house.company.code, False)
        assert said in finding.detail
    path.unlink()
    (finding,) = await house.look()
    assert finding.detail == f"The contact table {table.code} is not there."
