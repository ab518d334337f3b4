"""Imports and their queues: who comes when, what becomes of one whose file goes bad, and what the sweeps find."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from loadingdock.bootstrap.running import System, system
from loadingdock.core.contactchanges import Change, ColumnChange
from loadingdock.core.contactvalues import Wanted
from loadingdock.core.diagnosis import eicar
from loadingdock.core.errors import Conflict
from loadingdock.core.importing import Importing
from loadingdock.core.importqueue import JOB, UNDO_JOB, ImportQueue
from loadingdock.core.imports import Part
from loadingdock.core.loading import Operation
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.model.files import File, Version
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.imports import Asked, Import, ImportState, Outcome
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.imports import ContactImporter, Loaded
from loadingdock.core.ports.records import Unit
from loadingdock.core.processing import Processing, Tools
from loadingdock.core.receiving import Declaration
from loadingdock.core.retention import Lifetimes, Retention
from loadingdock.settings import Settings
from tests.engines.postgres import Postgres, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.timeout(120)
HEADER = b"EMAIL,NAME\n"
ONE = HEADER + b"ada@example.com,Ada\n"
TWO = HEADER + b"ada@example.com,Ada Lovelace\ngrace@example.com,Grace\n"
_ALL = frozenset({"contacts:load", "contacts:read", "files:read", "admin"})


@dataclass
class House:
    """A whole system in this process, its worker started when somebody wants it."""

    system: System
    principal: Principal
    table: ContactTable

    @property
    def company(self) -> Company:
        return self.principal.company

    async def asks(
        self,
        content: bytes = ONE,
        table: ContactTable | None = None,
        operation: Operation = Operation.UPDINS,
        *,
        strict: bool = True,
    ) -> Import:
        services = self.system.services
        declaration = Declaration(api="contact-load", name="contacts.csv", max_size=1 << 30)
        async with services.uploads.receiving(declaration) as receiver:
            await receiver.write([content])
            blob = await receiver.finish()
        asked = Asked(operation=operation, header=True, strict=strict)
        return await services.imports.submit(self.principal, table or self.table, asked, declaration, blob)

    @asynccontextmanager
    async def worked(self) -> AsyncIterator[None]:
        worker = self.system.worker()
        working = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await working

    async def ended(self, of: Import) -> Import:
        while not (found := await self.now(of)).ended:
            seen = await self.system.records.read(self.company.id, lambda unit: unit.events.last())
            if (await self.now(of)).ended:
                continue
            await self.system.records.watch(self.company.id, seen, timedelta(seconds=10))
        return found

    async def now(self, of: Import) -> Import:
        return await self.system.services.imports.get(self.principal, of.number)

    async def rows(self) -> list[tuple[object, ...]]:
        page = await self.system.services.contacts.rows(self.principal, self.table, Wanted(), by_key=True)
        return [contact.values for contact in page.items]

    def importing(self) -> Importing:
        of = self.system
        return Importing(
            of.records, of.blobs, of.services.contacts, of.importer, of.imports, of.services.clock, attempts=3
        )


@asynccontextmanager
async def a_house(settings: Settings) -> AsyncIterator[House]:
    async with system(settings) as opened:
        now = opened.services.clock.now()
        company = await opened.records.write(None, lambda unit: unit.companies.add("acme", "Acme", 77, now))
        principal = Principal(company, PrincipalKind.SYSTEM, "test", _ALL)
        columns = [Column("EMAIL", Kind.EMAIL, required=True), Column("NAME", max=80)]
        table = await opened.services.contacts.create(principal, "customers", columns, key=["EMAIL"])
        yield House(opened, principal, table)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(Settings(data=tmp_path)) as house:
        yield house


async def test_one_table_after_the_other_and_tables_side_by_side(house: House) -> None:
    other = await house.system.services.contacts.create(house.principal, "others", house.table.columns, key=["EMAIL"])
    first, second = await house.asks(ONE), await house.asks(TWO)
    elsewhere = await house.asks(ONE, other)
    assert (first.turn, second.turn, elsewhere.turn) == (1, 2, 1)
    async with house.worked():
        done = [await house.ended(each) for each in (first, second, elsewhere)]
    assert {each.state for each in done} == {ImportState.FINISHED}
    ended, started = done[0].ended_at, done[1].started_at
    assert ended is not None
    assert started is not None
    assert ended <= started
    assert await house.rows() == [("ada@example.com", "Ada Lovelace"), ("grace@example.com", "Grace")]
    assert done[1].counts.updated == done[1].counts.inserted == 1


@pytest.mark.slow
async def test_an_infected_file_fails_and_holds_up_nobody(house: House) -> None:
    bad, good = await house.asks(HEADER + eicar()), await house.asks(ONE)
    async with house.worked():
        failed, done = await house.ended(bad), await house.ended(good)
    assert (failed.state, failed.reason) == (ImportState.FAILED, "The file is infected.")
    assert done.state is ImportState.FINISHED
    assert len(await house.rows()) == 1


@pytest.mark.slow
async def test_a_file_that_is_deleted_meanwhile_is_loaded_and_then_gone(house: House) -> None:
    asked = await house.asks(ONE)
    files = house.system.services.files
    file = await files.get(house.principal, asked.file_id)
    key = file.version.blob_key
    await files.delete(house.principal, file)
    async with house.worked():
        assert (await house.ended(asked)).state is ImportState.FINISHED
    assert key is not None
    assert await house.system.blobs.head(key) is None


@pytest.mark.slow
async def test_an_undo_has_its_turn_and_says_what_it_left(house: House) -> None:
    imports = house.system.services.imports
    async with house.worked():
        first = await house.ended(await house.asks(ONE))
        second = await house.ended(await house.asks(TWO))
        undoing = await imports.undo(house.principal, first.number)
        assert undoing.state is ImportState.UNDOING
        undone = await house.ended(first)
        assert undone.undone is not None
        # Who is left was changed by the second import since.
        assert (undone.state, undone.undone.removed, undone.undone.left) == (ImportState.UNDONE, 0, 1)
        with pytest.raises(Conflict, match="nothing to undo"):
            await imports.undo(house.principal, first.number)
        await imports.undo(house.principal, second.number)
        assert (await house.ended(second)).state is ImportState.UNDONE
    assert await house.rows() == [("ada@example.com", "Ada")]


@pytest.mark.slow
async def test_what_can_be_undone_no_longer_is_forgotten(house: House) -> None:
    async with house.worked():
        done = await house.ended(await house.asks(ONE))
    long_ago = house.system.services.clock.now() - timedelta(seconds=1)

    async def age(unit: Unit) -> None:
        await unit.imports.save(replace(done, undo_until=long_ago))

    await house.system.records.write(house.company.id, age)
    with pytest.raises(Conflict, match="no longer"):
        await house.system.services.imports.undo(house.principal, done.number)
    assert await house.importing().forget() == 1
    assert await house.importing().forget() == 0
    assert (await house.now(done)).undo_until is None


@pytest.mark.parametrize("deleted", [True, False])
async def test_with_its_report_goes_what_is_told_of_its_records(house: House, deleted: bool) -> None:
    """By hand, or as its time is over."""
    services = house.system.services
    async with house.worked():
        done = await house.ended(await house.asks(HEADER + b"no address,\n", strict=False))

    async def told() -> int:
        page = await services.imports.rows(house.principal, done.number, outcome=Outcome.REJECTED, limit=9)
        return len(page.items)

    assert await told() == 1
    report, _ = await services.imports.file(house.principal, done.number, Part.REPORT)
    if deleted:
        await services.files.delete(house.principal, report)
    else:
        over = replace(report, expires_at=services.clock.now() - timedelta(seconds=1))
        await house.system.records.write(house.company.id, lambda unit: unit.files.save(over))
        lifetimes = Lifetimes(orphan_grace=timedelta(days=1))
        await Retention(house.system.records, house.system.blobs, services.clock, lifetimes).expire_files()
    assert await told() == 0
    assert (await house.now(done)).counts == done.counts


@pytest.mark.slow
async def test_a_queue_that_stands_still_goes_on(house: House) -> None:
    """As after a job was lost with a backup that is older than the file's verdict."""
    asked = await house.asks(ONE)
    async with house.worked():
        done = await house.ended(asked)
    again = replace(done, state=ImportState.LOADING, ended_at=None)

    async def stand(unit: Unit) -> None:
        await unit.imports.save(again)
        await unit.imports.enter(again.number)

    await house.system.records.write(house.company.id, stand)
    await house.importing().tend()
    async with house.worked():
        done = await house.ended(asked)
    # What was committed before is not applied again, and its counts are those it had.
    assert (done.state, done.counts.inserted, done.attempt) == (ImportState.FINISHED, 1, 2)
    assert len(await house.rows()) == 1


class Late:
    """An importer that takes its time before it says anything, longer than it takes to look for wishes."""

    def __init__(self, importer: ContactImporter) -> None:
        self._importer = importer

    async def load(self, *load: Any) -> Loaded:
        await asyncio.sleep(1)
        return await self._importer.load(*load)


@pytest.mark.slow
async def test_what_was_committed_can_be_cancelled_no_longer(house: House) -> None:
    """Although the worker died before it could say so, and somebody wished it meanwhile."""
    asked = await house.asks(HEADER + b"ada@example.com,Ada\nno address,\n", strict=False)
    async with house.worked():
        done = await house.ended(asked)
    assert (done.state, done.counts.rejected) == (ImportState.FINISHED_WITH_ERRORS, 1)

    async def back(unit: Unit) -> None:
        await unit.imports.save(replace(done, state=ImportState.LOADING, ended_at=None, cancelling=True))
        await unit.imports.enter(done.number)

    await house.system.records.write(house.company.id, back)
    await house.importing().tend()
    late = replace(house, system=replace(house.system, importer=cast(ContactImporter, Late(house.system.importer))))
    async with late.worked():
        again = await house.ended(asked)
    assert (again.state, again.counts, again.attempt) == (done.state, done.counts, 2)
    assert (again.rejected_file, again.report_file) == (done.rejected_file, done.report_file)
    rows = await house.system.services.imports.rows(house.principal, done.number, outcome=Outcome.REJECTED, limit=9)
    assert len(rows.items) == 1
    assert len(await house.rows()) == 1


async def test_what_was_committed_stays_so_whatever_its_columns_are_called_by_now(house: House) -> None:
    """The worker died before it could say so, and the table was altered meanwhile."""
    asked = await house.asks(HEADER + b"ada@example.com,Ada\nno address,\n", strict=False)
    async with house.worked():
        done = await house.ended(asked)
    contacts = house.system.services.contacts
    await contacts.alter(house.principal, house.table.code, Change(columns={"NAME": ColumnChange(name="LASTNAME")}))

    async def back(unit: Unit) -> None:
        await unit.imports.save(replace(done, state=ImportState.LOADING, ended_at=None))
        await unit.imports.enter(done.number)

    await house.system.records.write(house.company.id, back)
    await house.importing().tend()
    async with house.worked():
        again = await house.ended(asked)
    assert (again.state, again.reason, again.counts) == (done.state, None, done.counts)


class _Interrupting(ImportQueue):
    """Has something done once, between the look for who waits and the verdict."""

    def __init__(self, of: ImportQueue, does: Callable[[], Awaitable[object]]) -> None:
        self._of, self._does = of, [does]

    async def waiting_for(self, unit: Unit, file: File, version: Version) -> tuple[Import, ...]:
        found = await self._of.waiting_for(unit, file, version)
        if self._does:
            await self._does.pop()()
        return found

    async def judged(self, *about: Any) -> list[str]:
        return await self._of.judged(*about)


@pytest.mark.engine("postgres")
async def test_who_asks_while_the_verdict_is_written_does_not_wait(tmp_path: Path, postgres: Postgres) -> None:
    """On SQLite nobody writes meanwhile."""
    async with a_house(Settings(data=tmp_path, database_url=SecretStr(postgres.database()))) as house:
        of, services = house.system, house.system.services
        declaration = Declaration(api="management", name="contacts.csv", max_size=1 << 20)
        async with services.uploads.receiving(declaration) as receiver:
            await receiver.write([ONE])
            blob = await receiver.finish()
        file = await services.uploads.publish(house.principal, declaration, blob)

        async def ask() -> None:
            await services.imports.submit_file(house.principal, house.table, Asked(header=True), file.id)

        tools = Tools(of.scanner, of.detector, of.extractor)
        imports = _Interrupting(of.imports, ask)
        claimed = partial(of.queue.claim, "test", lease=timedelta(minutes=1), limit=9, cap=9)
        (job,) = await claimed(now=services.clock.now())
        await Processing(of.records, of.queue, of.blobs, tools, services.clock, imports).run(job)
        assert [each.kind for each in await claimed(now=services.clock.now())] == [JOB]


async def test_who_undoes_before_the_rejects_are_scanned_is_called_back_all_the_same(tmp_path: Path) -> None:
    async with a_house(Settings(data=tmp_path, callback_allow=["127.0.0.1"])) as house:
        of, services = house.system, house.system.services
        tools = Tools(of.scanner, of.detector, of.extractor)
        process = Processing(of.records, of.queue, of.blobs, tools, services.clock, of.imports).run
        importing = house.importing()

        async def work(kind: str, does: Callable[[Job], Awaitable[None]]) -> None:
            jobs = await of.queue.claim(
                "test", lease=timedelta(minutes=1), limit=9, cap=9, now=services.clock.now(), kinds=[kind]
            )
            assert jobs
            for job in jobs:
                await does(job)
                await of.queue.finish(job, services.clock.now())

        declaration = Declaration(api="contact-load", name="contacts.csv", max_size=1 << 20)
        async with services.uploads.receiving(declaration) as receiver:
            await receiver.write([ONE + b"nobody,Nobody\n"])
            blob = await receiver.finish()
        asked = await services.imports.submit(
            house.principal,
            house.table,
            Asked(header=True, strict=False),
            declaration,
            blob,
            callback_url="http://127.0.0.1:9/",
        )
        await work("process", process)
        await work(JOB, importing.run)
        await services.imports.undo(house.principal, asked.number)
        await work(UNDO_JOB, importing.undo)
        assert (await house.now(asked)).state is ImportState.UNDONE
        assert (await services.callbacks.list(house.principal, limit=9)).items == ()
        await work("process", process)
        (callback,) = (await services.callbacks.list(house.principal, limit=9)).items
        told = json.loads(callback.body)
        assert (callback.event, told["result"], told["lineCount"], bool(told["rejectedFile"])) == (
            "import.finished_with_errors",
            "FINISHED_WITH_ERRORS",
            2,
            True,
        )
