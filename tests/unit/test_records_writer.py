"""The thread that writes: batches, failing and full disks, and whoever else holds the lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.core.errors import InvalidInput, NotFound, StorageFull, Unavailable
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.journal import StoredResponse
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, NOW, SOON
from tests import sqlite
from tests.unit.sqlite_disk import Disk


@pytest.fixture
def disk() -> Iterator[Disk]:
    with Disk().mounted() as disk:
        yield disk


@pytest.fixture
async def records(disk: Disk, tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    records = sqlite.opened(tmp_path / "records.db")
    try:
        yield records
    finally:
        disk.broken, disk.full = None, False
        await records.close()


@pytest.fixture
async def company(records: SqliteRecords) -> Company:
    return await records.write(None, lambda unit: unit.companies.add("acme", "Acme", 1, NOW))


async def charge(unit: Unit) -> None:
    await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)


async def used(records: SqliteRecords, company: Company) -> int:
    return (await records.read(company.id, lambda unit: unit.ledger.get())).files


async def queued(disk: Disk, records: SqliteRecords, company: Company, works: list[Any]) -> list[Any]:
    """Runs the works as one batch: they come while another commit is under way."""
    with disk.paused():
        first = asyncio.create_task(records.write(company.id, charge))
        await asyncio.to_thread(disk.syncing.wait, SOON)
        tasks = [asyncio.create_task(records.write(company.id, work)) for work in works]
        await asyncio.sleep(0)
        disk.syncs.clear()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_queued_during_a_commit_is_the_next_batch(
    disk: Disk, records: SqliteRecords, company: Company
) -> None:
    answers = await queued(disk, records, company, [charge] * 100)
    assert answers == [None] * 100
    assert await used(records, company) == 101
    assert len(disk.syncs) == 2  # that of the first, and one for a hundred


async def test_nobody_is_answered_before_the_sync(disk: Disk, records: SqliteRecords, company: Company) -> None:
    with disk.paused():
        writing = asyncio.create_task(records.write(company.id, charge))
        await asyncio.to_thread(disk.syncing.wait, SOON)
        assert await used(records, company) == 0, "readers see what is durable, and nothing else"
        assert not writing.done()
    await writing
    assert await used(records, company) == 1


async def test_an_exception_undoes_its_own_work_alone(disk: Disk, records: SqliteRecords, company: Company) -> None:
    async def failing(unit: Unit) -> None:
        await charge(unit)
        await unit.events.add(NOW, "kind", "file", {})
        raise NotFound

    answers = await queued(disk, records, company, [charge, failing] * 10)
    assert [type(answer) for answer in answers] == [type(None), NotFound] * 10
    assert await used(records, company) == 11
    assert await records.read(company.id, lambda unit: unit.events.last()) == 0


async def test_a_work_that_waits_for_something_else_is_told_so(
    disk: Disk, records: SqliteRecords, company: Company
) -> None:
    cleaned = []

    async def waiting(unit: Unit) -> None:
        await charge(unit)
        try:
            await asyncio.sleep(0)
        finally:
            cleaned.append(True)

    class Waiting:
        def __await__(self) -> Generator[None, None, None]:
            yield None

    def not_even_a_coroutine(unit: Unit) -> Awaitable[None]:
        return Waiting()

    with pytest.raises(RuntimeError, match=r"waiting.* awaited something else than its unit's methods"):
        await records.write(company.id, waiting)
    with pytest.raises(RuntimeError, match="awaited something else"):
        await records.read(company.id, not_even_a_coroutine)
    assert cleaned
    assert await used(records, company) == 0


async def test_a_full_disk_fails_the_batch_and_nothing_else(
    disk: Disk, records: SqliteRecords, company: Company
) -> None:
    await records.write(company.id, charge)
    disk.full = True
    answers = await asyncio.gather(*(records.write(company.id, charge) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {StorageFull}
    assert await used(records, company) == 1
    await records.ping()
    disk.full = False
    await records.write(company.id, charge)
    assert await used(records, company) == 2


async def test_a_disk_that_fills_up_within_a_work_fails_its_batch(
    disk: Disk, records: SqliteRecords, company: Company
) -> None:
    large = StoredResponse("print", 200, body=bytes(64 << 20))  # more than the cache holds: pages go to disk at once

    async def swallowing(unit: Unit) -> str:
        await charge(unit)
        disk.full = True
        await unit.idempotency.begin("key", "print", NOW)
        with pytest.raises(StorageFull):
            await unit.idempotency.finish("key", large)
        return "as if nothing had been"

    answers = await queued(disk, records, company, [charge, swallowing, charge])
    assert [type(answer) for answer in answers] == [StorageFull] * 3
    disk.full = False
    assert await used(records, company) == 1
    await records.write(company.id, charge)


async def test_a_failed_sync_is_for_good(disk: Disk, records: SqliteRecords, company: Company) -> None:
    await records.write(company.id, charge)
    disk.broken = "-wal"
    answers = await asyncio.gather(*(records.write(company.id, charge) for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unavailable}
    syncs = len(disk.syncs)
    disk.broken = None
    with pytest.raises(Unavailable):
        await records.write(company.id, charge)
    with pytest.raises(Unavailable):
        await records.ping()
    assert len(disk.syncs) == syncs, "never tried again"
    assert await used(records, company) == 1, "what is durable can still be read"


async def large(unit: Unit) -> None:
    """More than is left in the log without a checkpoint."""
    await unit.idempotency.begin("key", "print", NOW)
    await unit.idempotency.finish("key", StoredResponse("print", 200, body=bytes(20 << 20)))


async def test_the_log_is_checkpointed(disk: Disk, records: SqliteRecords, company: Company) -> None:
    disk.checkpointing.clear()
    await records.write(company.id, large)
    assert await asyncio.to_thread(disk.checkpointing.wait, SOON)
    await records.write(company.id, charge)
    await records.ping()


async def test_a_failed_checkpoint_is_for_good_too(disk: Disk, records: SqliteRecords, company: Company) -> None:
    """It comes after the answer, and the answer stands: the log has it."""
    disk.checkpointing.clear()
    disk.broken = ".db"
    await records.write(company.id, large)
    assert await asyncio.to_thread(disk.checkpointing.wait, SOON)
    with pytest.raises(Unavailable):
        await records.write(company.id, charge)
    with pytest.raises(Unavailable):
        await records.ping()


async def test_what_changes_nothing_is_not_synced(disk: Disk, records: SqliteRecords, company: Company) -> None:
    disk.syncs.clear()
    await records.write(company.id, lambda unit: unit.idempotency.release("none"))
    assert await records.jobs.claim("worker", lease=HOUR, limit=9, cap=9, now=NOW) == ()
    assert disk.syncs == []


async def test_another_process_may_hold_the_lock_for_a_while(
    disk: Disk, records: SqliteRecords, company: Company
) -> None:
    other = apsw.Connection(str(records.path))
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE ledger SET files = files + 1")
    writing = asyncio.create_task(records.write(company.id, charge))
    await asyncio.sleep(0.1)
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    assert await used(records, company) == 2
    other.close()


async def test_asking_from_a_second_loop(disk: Disk, records: SqliteRecords, company: Company) -> None:
    def elsewhere() -> Usage:
        async def work() -> Usage:
            await records.write(company.id, charge)
            return await records.read(company.id, lambda unit: unit.ledger.get())

        return asyncio.run(work())

    assert await asyncio.to_thread(elsewhere) == Usage(1, 1)


async def test_a_loop_that_ended_is_no_hindrance(disk: Disk, records: SqliteRecords, company: Company) -> None:
    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        tasks = [
            loop.create_task(records.write(company.id, charge)),
            loop.create_task(records.read(company.id, lambda unit: unit.ledger.get())),
            loop.create_task(records.watch(company.id, 0, HOUR)),
        ]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined] # they are meant to be left behind

    with disk.paused():
        await asyncio.to_thread(elsewhere)
    await records.write(company.id, charge)
    await records.write(company.id, lambda unit: unit.events.add(NOW, "kind", "file", {}))
    assert await used(records, company) == 2


async def test_closing_does_what_was_asked_before(disk: Disk, records: SqliteRecords, company: Company) -> None:
    asked = [asyncio.create_task(records.write(company.id, charge)) for _ in range(200)]
    asked += [asyncio.create_task(records.read(company.id, _nothing)) for _ in range(20)]
    await asyncio.sleep(0)
    await records.close()
    assert await asyncio.gather(*asked) == [None] * 220
    again = SqliteRecords.open(records.path)
    assert await used(again, company) == 200
    await again.close()


async def _nothing(unit: Unit) -> None:
    await unit.ledger.get()


async def test_text_and_numbers_that_cannot_be_kept(records: SqliteRecords, company: Company) -> None:
    with pytest.raises(InvalidInput):
        await records.read(company.id, lambda unit: unit.files.get("a\udfffb"))
    with pytest.raises(InvalidInput):
        await records.read(company.id, lambda unit: unit.events.after(2**70, limit=1))
