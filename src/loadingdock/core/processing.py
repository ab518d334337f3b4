"""What happens to every file between its receipt and its first reader: scan, type, text, verdict.

The results of scan and type are remembered in the job, so that a worker which takes over after a crash continues where
the lost one stood. The text is not: its key is first written down with the verdict, so that bytes are pointed at by
versions alone, which is what the sweep of orphans, a backup and `fsck` go by. Every write asks whether the job is still
held: a worker stopped past its lease changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from loadingdock.core import settings, types
from loadingdock.core.audit import entry
from loadingdock.core.errors import TypeRefused
from loadingdock.core.files import end_version
from loadingdock.core.importqueue import ImportQueue
from loadingdock.core.localcopy import as_file
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State, Step, StepName, Version, Warnings
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.jobs import Job
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.ports.processing import Scanner, TextExtractor, TypeDetector
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.receiving import Declaration, check_type

EXTRACTABLE = frozenset(
    {
        "application/pdf",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "text/csv",
        "text/plain",
    }
)


class _Joined(Exception):
    """An import began to wait for the verdict while it was written."""


class Lost(Exception):
    """The job is no longer ours; nothing was written."""


class Delayed(Exception):
    """The job has to wait for something that is not its fault. `str` says for what, `until` how long if that is known:
    else it is tried again soon."""

    def __init__(self, reason: str, until: datetime | None = None) -> None:
        super().__init__(reason)
        self.until = until


@dataclass(frozen=True, slots=True)
class Tools:
    scanner: Scanner
    detector: TypeDetector
    extractor: TextExtractor


@dataclass
class _Run:
    """One attempt at one version."""

    job: Job
    company: Company
    file: File
    version: Version
    memo: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Judgement:
    state: State
    reason: str | None
    warnings: Warnings = field(default_factory=Warnings)
    text_key: str | None = None


class Processing:
    def __init__(
        self,
        records: Records,
        queue: JobQueue,
        blobs: BlobStore,
        tools: Tools,
        clock: Clock,
        imports: ImportQueue,
    ) -> None:
        """`imports` wait for verdicts."""
        self._imports = imports
        self._records = records
        self._queue = queue
        self._blobs = blobs
        self._tools = tools
        self._clock = clock

    async def run(self, job: Job) -> None:
        """Works the job to its end. Raises Lost, Delayed, or what went wrong."""
        run = await self._load(job)
        if run is not None:  # else deleted meanwhile, or finished by an attempt whose last word was lost
            await self._end(run, await self._judge(run))

    async def _judge(self, run: _Run) -> _Judgement:
        scan = await self._scan(run)
        if scan.verdict is Verdict.INFECTED:
            return _Judgement(State.INFECTED, scan.detail, Warnings(infected=True))
        if scan.verdict is Verdict.UNSCANNABLE and run.company.get(settings.UNSCANNABLE) != "accept":
            return _Judgement(State.REJECTED, f"The file cannot be scanned: {scan.detail}.")
        try:
            await self._type(run)
        except TypeRefused as refused:
            return _Judgement(State.REJECTED, refused.message)
        text_key, warnings = await self._text(run)
        return _Judgement(State.READY, None, warnings, text_key)

    async def _load(self, job: Job) -> _Run | None:
        async def work(unit: Unit) -> tuple[Company | None, File | None, Version | None]:
            file = await unit.files.get(job.subject)
            version = await unit.files.version(job.subject, int(job.payload["version"]))
            return await unit.companies.by_id(job.company_id), file, version

        company, file, version = await self._records.read(job.company_id, work)
        if company is None or file is None or version is None or version.blob_key is None:
            return None
        if version.state not in {State.RECEIVED, State.PROCESSING}:
            return None
        return _Run(job, company, file, version, dict(job.memo))

    # --- the steps ---

    async def _scan(self, run: _Run) -> ScanResult:
        if remembered := run.memo.get("scan"):
            return ScanResult(Verdict(remembered["verdict"]), remembered["detail"])
        await self._begin(run, StepName.SCAN)
        result = await self._scan_bytes(run.version)
        if result.verdict is Verdict.SCANNER_DOWN:
            raise Delayed(f"scanner: {result.detail}")
        await self._finish(
            run, StepName.SCAN, result.verdict.value, {"verdict": result.verdict.value, "detail": result.detail}
        )
        return result

    async def _scan_bytes(self, version: Version) -> ScanResult:
        """Scans the very bytes whose digest was recorded: other bytes under the key are nobody's file."""
        key = version.blob_key or ""
        path = self._blobs.local_path(key)
        digest = hashlib.sha256()

        async def body() -> AsyncIterator[bytes]:
            async for piece in self._blobs.read(key):
                await asyncio.to_thread(digest.update, piece) if len(piece) > 65536 else digest.update(piece)
                yield piece

        if path is not None:  # a scanner that takes the file by its path does not read the stream
            async for _ in body():
                pass
            if digest.hexdigest() != version.sha256:
                return ScanResult(Verdict.UNSCANNABLE, "the stored bytes differ from those received")
            return await self._tools.scanner.scan(self._blobs.read(key), version.size, path)
        result = await self._tools.scanner.scan(body(), version.size, None)
        if result.verdict is Verdict.CLEAN and digest.hexdigest() != version.sha256:
            return ScanResult(Verdict.UNSCANNABLE, "the stored bytes differ from those received")
        return result

    async def _type(self, run: _Run) -> None:
        if (detected := run.memo.get("type")) is None:
            await self._begin(run, StepName.TYPE)
            async with as_file(self._blobs, run.version.blob_key or "") as path:
                detected = await self._tools.detector.detect_file(path, run.file.name)
                pixels = await self._tools.detector.pixels(path, detected)
            limit = run.company.get(settings.MAX_PIXELS)
            if pixels is not None and pixels > limit:
                raise TypeRefused(f"The image has {pixels} pixels; at most {limit} are taken in.", detected=detected)
            await self._finish(run, StepName.TYPE, detected, detected)
        run.version = replace(run.version, detected_type=detected)
        payload = run.job.payload
        declaration = Declaration(
            api=run.file.api,
            name=run.file.name,
            max_size=run.version.size,
            content_type=run.version.declared_type,
            allowed_types=tuple(payload.get("allowed_types", ())),
            strict_type=bool(payload.get("strict_type")),
        )
        if run.version.size:
            check_type(declaration, detected, opened=True)

    async def _text(self, run: _Run) -> tuple[str | None, Warnings]:
        detected = types.canonical(run.version.content_type)
        if detected not in EXTRACTABLE:
            return None, Warnings(empty=run.version.size == 0)
        await self._begin(run, StepName.TEXT)
        async with as_file(self._blobs, run.version.blob_key or "") as path:
            extracted = await self._tools.extractor.extract(path, detected)
        key = None
        if extracted.text:
            data = extracted.text.encode("utf-8", "replace")
            async with self._blobs.writer(length=len(data)) as writer:
                await writer.write([data])
                key = (await writer.commit()).key
        self._ended(run, StepName.TEXT, extracted.problem or "ok")
        return key, Warnings(empty=not (extracted.text or "").strip(), length=extracted.cut)

    # --- what is written ---

    async def _begin(self, run: _Run, name: StepName) -> None:
        now = self._clock.now()
        steps = tuple(s for s in run.version.steps if s.name is not name)
        await self._save(run, replace(run.version, steps=(*steps, Step(name, now))), State.PROCESSING, now)

    async def _finish(self, run: _Run, name: StepName, outcome: str, memo: Any) -> None:
        """The step's end is remembered with the job; the version shows it with the next step's beginning."""
        self._ended(run, name, outcome)
        run.memo[name.value] = memo
        if not await self._queue.remember(run.job, run.memo):
            raise Lost

    def _ended(self, run: _Run, name: StepName, outcome: str) -> None:
        now = self._clock.now()
        steps = tuple(replace(s, ended_at=now, outcome=outcome) if s.name is name else s for s in run.version.steps)
        run.version = replace(run.version, steps=steps)

    async def _save(self, run: _Run, version: Version, state: State, now: datetime) -> None:
        was = run.version.state
        saved = replace(version, state=state, updated_at=now)

        async def work(unit: Unit) -> None:
            await _hold(unit, run.job)
            if not await unit.files.save_version(saved, was=was):
                raise Lost
            if was is not state:
                await _tell(unit, run, state, now)

        await self._records.write(run.company.id, work)
        run.version = saved

    async def _end(self, run: _Run, judgement: _Judgement) -> None:
        """The verdict. Bytes of what may never be read are removed at once."""
        now = self._clock.now()
        state, reason = judgement.state, judgement.reason
        ended = replace(
            run.version,
            state=state,
            updated_at=now,
            steps=tuple(replace(s, ended_at=s.ended_at or now) for s in run.version.steps),
            warnings=judgement.warnings,
            reason=reason,
            text_key=judgement.text_key,
        )

        async def work(unit: Unit) -> list[str]:
            await _hold(unit, run.job)
            waiting = await self._imports.waiting_for(unit, run.file, run.version)
            keys: list[str] = []
            if state is not State.READY:
                keys = await end_version(unit, run.version, State.PROCESSING, now)
                final = replace(ended, blob_key=None, text_key=None)
            else:
                final = ended
            if not await unit.files.save_version(final, was=State.PROCESSING):
                raise Lost
            # From here on the file is held: whoever asks for an import of it sees the verdict. Who had it before us
            # did not, and its table, to be locked before the file, is not.
            there = await unit.imports.waiting_for(run.file.id, run.version.number)
            if not {each.number for each in there} <= {each.number for each in waiting}:
                raise _Joined
            await _tell(unit, run, state, now)
            system = Principal(run.company, PrincipalKind.SYSTEM, "worker", frozenset())
            await unit.audit.add(entry(system, "verdict", run.file.id, state.value, now, reason))
            keys += await self._imports.judged(unit, run.company, run.file, waiting, now)
            return keys

        keys: list[str] | None = None
        while keys is None:
            with suppress(_Joined):
                keys = await self._records.write(run.company.id, work)
        await self._blobs.delete(*keys)


async def _hold(unit: Unit, job: Job) -> None:
    if not await unit.jobs.holds(job):
        raise Lost


async def _tell(unit: Unit, run: _Run, state: State, now: datetime) -> None:
    data: Mapping[str, Any] = {"version": run.version.number, "name": run.file.name, "api": run.file.api}
    await unit.events.add(now, f"file.{state.value}", run.file.id, data)


def backoff(attempts: int, jitter: float, *, base: float = 2.0, cap: float = 300.0) -> timedelta:
    """Exponential, with full jitter: between half and all of base * 2^attempts seconds, capped. `jitter` in [0, 1)."""
    whole = min(cap, base * 2.0 ** min(attempts, 16))
    return timedelta(seconds=whole * (0.5 + jitter / 2))
