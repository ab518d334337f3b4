"""One attempt at an import.

What it did is written down before the contacts are committed, and once more when they are: whoever takes over from a
worker that died in between finds the contacts committed, and counts and files written, and only has the end left to
tell. A worker that died before leaves nothing; the import begins anew, its attempt one higher, and who still works on
an older one is refused at its next word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias, TypeVar

from loadingdock.core.errors import Unavailable
from loadingdock.core.importqueue import ImportQueue, tell
from loadingdock.core.importreports import Reports
from loadingdock.core.imports import UNDOABLE
from loadingdock.core.loading import Counts, Ending, Load
from loadingdock.core.localcopy import as_file
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Import, ImportState, Progress, RowReport, finished
from loadingdock.core.model.jobs import Job
from loadingdock.core.pointing import remove
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.imports import ContactImporter, Loaded, Reported, Source
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.processing import Lost
from loadingdock.core.scratch import scratch

T = TypeVar("T")

_POLL = 0.3  # seconds between two looks for a wish to cancel, and two times that progress is written
_EVENTS = timedelta(seconds=1)  # between two that tell of progress


Told: TypeAlias = Callable[[str, float, Counts], None]
"""Who hears of an import's end: how it ended, in a word, how many seconds it took, and its counts."""


class Cancelled(Exception):
    """As somebody wished; nothing was changed."""


class Run:
    """A Watcher. `of`: as it was begun by this attempt. `committed`: the contacts are in the table."""

    def __init__(
        self,
        records: Records,
        blobs: BlobStore,
        importer: ContactImporter,
        queue: ImportQueue,
        reports: Reports,
        clock: Clock,
        told: Told,
        job: Job,
        company: Company,
        of: Import,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._importer = importer
        self._queue = queue
        self._reports = reports
        self._clock = clock
        self._told = told
        self._job = job
        self._company = company
        self._of = of
        self._progress, self._counts = Progress(), Counts()
        self._rows: list[RowReport] = []
        self._begun = False
        self.committed = False
        self._void = False  # what was written of rows is no longer true
        self._settling = False
        self._polling = asyncio.Lock()  # not settled while what was asked before is on its way
        self._event_at = clock.now()

    async def work(self, table: ContactTable, key: str) -> None:
        """To its end. Raises Cancelled, InvalidInput for a file that cannot be read, Lost."""
        of, asked = self._of, self._of.asked
        load = Load(
            table,
            of.number,
            asked.operation,
            of.columns,
            asked.key or (),
            strict=asked.strict,
            ignore_empty=table.ignore_empty,
            dry_run=asked.dry_run,
            undoable=not asked.dry_run,
        )
        with scratch() as folder:
            async with as_file(self._blobs, key) as path:
                loaded = await self._watched(load, Source(path, of.file_name), folder)
            await self._finish(loaded)

    async def _watched(self, load: Load, source: Source, folder: Path) -> Loaded:
        loading = asyncio.create_task(self._importer.load(load, self._of.asked, source, folder, self))
        polling = asyncio.create_task(self._poll())
        try:
            await asyncio.wait({loading, polling}, return_when=asyncio.FIRST_COMPLETED)
            return loading.result() if loading.done() else polling.result() or await loading
        finally:
            for task in (polling, loading):
                task.cancel()
            await asyncio.gather(polling, loading, return_exceptions=True)

    async def _poll(self) -> None:
        """Until the load is settled. Raises Cancelled, Lost."""
        while not self._settling:
            await asyncio.sleep(_POLL)
            async with self._polling:
                if not self._settling:
                    with suppress(Unavailable):
                        await self._write(self._proceeding)

    async def _proceeding(self, unit: Unit) -> None:
        if not self._begun:  # an attempt before may have committed it: what that one wrote stays, and nobody cancels it
            await self._current(unit)
            return
        wish = await unit.imports.proceed(self._of.number, self._of.attempt, self._progress, self._counts)
        if wish is None:
            raise Lost
        if wish:
            raise Cancelled
        now = self._clock.now()
        if now - self._event_at >= _EVENTS:
            data = {"table": self._of.table_code, "records": self._progress.records, "bytes": self._progress.bytes}
            await unit.events.add(now, "import.progress", str(self._of.number), data)
            self._event_at = now

    async def _write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """In one unit with what was told of rows since the last one."""
        void, rows = self._void, self._rows
        self._void, self._rows = False, []

        async def whole(unit: Unit) -> T:
            result = await work(unit)
            if void:
                await unit.imports.clear_rows(self._of.number)
            await unit.imports.add_rows(self._of.number, rows)
            return result

        try:
            return await self._records.write(self._company.id, whole)
        except BaseException:
            if not self._void:  # or they are no longer true
                self._void, self._rows = void, rows + self._rows
            raise

    # --- what the importer tells -----------------------------------------------------------------

    async def began(self, state: ImportState) -> None:
        now = self._clock.now()
        self._progress, self._counts = Progress(since=now), Counts()
        if not self._begun:  # of an earlier attempt
            self._void = self._begun = True

        async def work(unit: Unit) -> None:
            current = await self._current(unit)
            if current.state is not state:
                await unit.imports.save(replace(current, state=state))
                await tell(unit, self._company, replace(current, state=state), now)

        await self._records.write(self._company.id, work)

    async def again(self) -> None:
        self._rows, self._void = [], True
        self._progress, self._counts = Progress(since=self._clock.now()), Counts()

    async def proceeded(self, progress: Progress, counts: Counts) -> bool:
        self._progress = replace(progress, since=self._progress.since)
        self._counts = counts
        return True

    async def reported(self, rows: Sequence[RowReport]) -> None:
        self._rows += rows

    async def settled(self, counts: Counts, reported: Reported) -> None:
        self._settling = True
        async with self._polling:
            pass
        rejects, report = await self._reports.store(reported.rejects), await self._reports.store(reported.report)
        now = self._clock.now()

        async def work(unit: Unit) -> list[str]:
            current = await self._current(unit)
            if current.cancelling:
                raise Cancelled
            settled, keys = await self._with_files(unit, current, rejects, report, now)
            await unit.imports.save(replace(settled, counts=counts))
            return keys

        await remove(self._blobs, await self._write(work))

    # --- its end ---------------------------------------------------------------------------------

    async def _finish(self, loaded: Loaded) -> None:
        match loaded.ending:
            case Ending.COMMITTED:
                self.committed = True
                counts = None if loaded.known else loaded.counts
                await self.end(None, counts=counts, until=self._clock.now() + UNDOABLE)
            case Ending.DRY:
                await self.end(None, counts=loaded.counts, reported=loaded.reported)
            case Ending.REFUSED:
                await self.end(ImportState.REJECTED, counts=loaded.counts, reported=loaded.reported)
            case Ending.CANCELLED:
                await self.end(ImportState.CANCELLED, counts=loaded.counts, reported=loaded.reported)

    async def end(
        self,
        state: ImportState | None,
        *,
        reason: str | None = None,
        counts: Counts | None = None,
        reported: Reported | None = None,
        until: datetime | None = None,
    ) -> None:
        """None: finished, with the errors that there are. Without `counts` they are those that were settled, or, for
        another end, what is known so far, of which nothing was applied."""
        if counts is None and state is not None:
            records, rejected = self._progress.records, self._counts.rejected
            counts = Counts(skipped=max(0, records - rejected), rejected=rejected)
        rejects = await self._reports.store(reported.rejects) if reported else None
        report = await self._reports.store(reported.report) if reported else None
        now = self._clock.now()

        async def work(unit: Unit) -> tuple[list[str], Import]:
            await unit.imports.lock(self._of.table_number)
            current = await self._current(unit)
            ended = current
            keys: list[str] = []
            if state is not None or reported is not None:
                ended, keys = await self._with_files(unit, current, rejects, report, now)
            final = counts or current.counts
            ended = replace(
                ended, state=state or finished(final), counts=final, reason=reason, ended_at=now, undo_until=until
            )
            keys += await self._queue.close(unit, self._company, ended, now)
            keys += await self._queue.advance(unit, self._company, ended.table_number, now)
            return keys, ended

        keys, final = await self._write(work)
        started = final.started_at or now
        self._told(final.state.value, (now - started).total_seconds(), final.counts)
        await remove(self._blobs, keys)

    async def _current(self, unit: Unit) -> Import:
        """Raises Lost if another attempt is under way, or the job is not ours."""
        if not await unit.jobs.holds(self._job):
            raise Lost
        current = await unit.imports.get(self._of.number)
        if current is None or current.ended or current.attempt != self._of.attempt:
            raise Lost
        return current

    async def _with_files(
        self, unit: Unit, of: Import, rejects: BlobRef | None, report: BlobRef | None, now: datetime
    ) -> tuple[Import, list[str]]:
        """In place of those that an attempt before wrote."""
        keys = await self._reports.withdraw(unit, of.rejected_file, now)
        keys += await self._reports.withdraw(unit, of.report_file, now)
        published = self._reports.publish
        rejected_file = await published(unit, self._company, of, rejects, "rejected.csv", now)
        report_file = await published(unit, self._company, of, report, "report.ndjson", now)
        return replace(of, rejected_file=rejected_file, report_file=report_file), keys
