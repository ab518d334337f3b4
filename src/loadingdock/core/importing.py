"""Imports and their undoing, done: the handlers of two kinds of jobs, and the sweeps behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from loadingdock.core.contacts import Contacts
from loadingdock.core.errors import Conflict, InvalidInput, NotFound, Sealed, StorageFull, Unavailable
from loadingdock.core.importqueue import LOAD, ImportQueue, tell
from loadingdock.core.importreports import Reports
from loadingdock.core.importrun import Cancelled, Run, Told
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.files import State
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.imports import APPLIED, Import, ImportState, Reversal, finished
from loadingdock.core.model.jobs import Job
from loadingdock.core.pointing import remove
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.imports import ContactImporter, Reversed
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.processing import Delayed, Lost
from loadingdock.core.scratch import scratch

_BATCH = 100
_OURS = "It could not be done, for a reason that is not in the file; whoever runs this service finds it in the log."
_TOO_LATE = "What the contacts were before it is not kept any more: nothing was undone."


class Importing:
    """`attempts`: how often a job is begun before it has failed."""

    def __init__(
        self,
        records: Records,
        blobs: BlobStore,
        contacts: Contacts,
        importer: ContactImporter,
        queue: ImportQueue,
        clock: Clock,
        *,
        attempts: int,
        told: Told = lambda *_: None,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._contacts = contacts
        self._importer = importer
        self._queue = queue
        self._reports = Reports(blobs)
        self._clock = clock
        self._attempts = attempts
        self._told = told

    # --- imports ---------------------------------------------------------------------------------

    async def run(self, job: Job) -> None:
        """Works the import to its end. Raises Lost, Delayed, or what went wrong."""
        begun = await self._begin(job)
        if begun is None:  # it has ended, or its file cannot be read
            return
        company, of, key = begun
        run = Run(
            self._records,
            self._blobs,
            self._importer,
            self._queue,
            self._reports,
            self._clock,
            self._told,
            job,
            company,
            of,
        )
        try:
            await run.work(await self._table(company, of), key)
        except Cancelled:
            await run.end(ImportState.CANCELLED)
        except InvalidInput as error:
            await run.end(ImportState.REJECTED, reason=str(error))
        except Conflict as error:  # the table has just been altered
            raise Delayed(str(error)) from error
        except (Lost, Delayed, Unavailable, StorageFull):
            raise
        except Exception:
            # What is committed did not fail: a sweep sees to it that its end is told.
            if job.attempts >= self._attempts and not run.committed:
                await run.end(ImportState.FAILED, reason=_OURS)
            raise

    async def _begin(self, job: Job) -> tuple[Company, Import, str] | None:
        """(company, import, key of the file's bytes)"""
        now = self._clock.now()

        async def work(unit: Unit) -> tuple[tuple[Company, Import, str] | None, list[str]]:
            company, found = await self._locked(unit, job)
            if found.ended or found.state is ImportState.UNDOING:
                return None, []
            version = await unit.files.version(found.file_id, found.file_version)
            if version is None or version.state is not State.READY or version.blob_key is None:
                waiting = replace(found, state=ImportState.WAITING)
                await unit.imports.save(waiting)
                return None, await self._queue.advance(unit, company, found.table_number, now)
            state = ImportState.CHECKING if found.asked.strict else ImportState.LOADING
            begun = replace(found, state=state, attempt=found.attempt + 1, started_at=found.started_at or now)
            await unit.imports.save(begun)
            if found.state is not state:
                await tell(unit, company, begun, now)
            return (company, begun, version.blob_key), []

        begun, keys = await self._records.write(job.company_id, work)
        await remove(self._blobs, keys)
        return begun

    # --- undoing ---------------------------------------------------------------------------------

    async def undo(self, job: Job) -> None:
        """Raises Lost, Delayed, or what went wrong."""

        async def work(unit: Unit) -> tuple[Company, Import]:
            return await self._locked(unit, job)

        company, of = await self._records.write(job.company_id, work)
        if of.state is not ImportState.UNDOING:
            return
        try:
            with scratch() as folder:
                done = await self._importer.undo(await self._table(company, of), of.number, folder)
                await self._end_undo(job, of, done)
        except NotFound:
            await self._end_undo(job, of, None, _TOO_LATE)
        except Conflict as error:  # the table has just been altered
            raise Delayed(str(error)) from error
        except (Lost, Delayed, Unavailable, StorageFull):
            raise
        except Exception:
            if job.attempts >= self._attempts:
                await self._end_undo(job, of, None, _OURS)
            raise

    async def _end_undo(self, job: Job, of: Import, done: Reversed | None, reason: str | None = None) -> None:
        """None: nothing was undone, for that reason."""
        report = await self._reports.store(None if done is None else done.report)
        now = self._clock.now()

        async def work(unit: Unit) -> list[str]:
            company, current = await self._locked(unit, job)
            if current.state is not ImportState.UNDOING:
                raise Lost
            if done is None:
                ended = replace(current, state=finished(current.counts), reason=reason)
            else:
                file = await self._reports.publish(unit, company, current, report, "left.ndjson", now)
                reversal = Reversal(now, done.removed, done.restored, done.left, file)
                ended = replace(current, state=ImportState.UNDONE, undone=reversal, undo_until=None)
                await unit.imports.add_rows(current.number, done.rows)
            await self._queue.leave(unit, company, ended, now)
            return await self._queue.advance(unit, company, current.table_number, now)

        await remove(self._blobs, await self._records.write(of.company_id, work))

    # --- sweeps ----------------------------------------------------------------------------------

    async def tend(self) -> int:
        """Whoever's turn it is has a job, whatever became of the one before."""
        now = self._clock.now()
        for first in await self._records.read(None, lambda unit: unit.imports.firsts()):
            await remove(self._blobs, await self._tended(first, now))
        return 0  # nothing is swept away

    async def _tended(self, first: Import, now: datetime) -> list[str]:
        async def work(unit: Unit) -> list[str]:
            await unit.imports.lock(first.table_number)
            company = await unit.companies.by_id(first.company_id)
            return await self._queue.advance(unit, company, first.table_number, now) if company else []

        return await self._records.write(first.company_id, work)

    async def forget(self) -> int:
        """What rows were before imports that can be undone no longer is removed. How many imports that is."""
        now, count = self._clock.now(), 0
        while found := await self._records.read(None, lambda unit: unit.imports.undoable(now, _BATCH)):
            if await self._records.sealed():
                raise Sealed
            for of in found:
                await self._forget(of)
                count += 1
        return count

    async def _forget(self, of: Import) -> None:
        company = await self._records.read(of.company_id, lambda unit: unit.companies.by_id(of.company_id))
        if company is not None:
            await self._importer.forget(await self._table(company, of), of.number)

        async def work(unit: Unit) -> None:
            await unit.imports.lock(of.table_number)
            current = await unit.imports.get(of.number)
            if current is not None and current.state in APPLIED:
                await unit.imports.save(replace(current, undo_until=None))

        await self._records.write(of.company_id, work)

    # --- what all of them need -------------------------------------------------------------------

    async def _locked(self, unit: Unit, job: Job) -> tuple[Company, Import]:
        """The import as it is, its queue locked. Raises Lost."""
        if not await unit.jobs.holds(job):
            raise Lost
        number = int(job.subject)
        await unit.imports.lock(int(job.payload["table"]))
        found, company = await unit.imports.get(number), await unit.companies.by_id(job.company_id)
        if found is None or company is None:
            raise Lost
        return company, found

    async def _table(self, company: Company, of: Import) -> ContactTable:
        principal = Principal(company, PrincipalKind.SYSTEM, "worker", frozenset({LOAD}))
        return await self._contacts.table(principal, of.table_code)
