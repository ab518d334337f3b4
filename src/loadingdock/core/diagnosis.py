"""Whether what the service stands on does its work, asked as the service itself will ask it.

Each check answers with facts; where something is wrong it says what to do.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path

from loadingdock.core.contacts import Contacts
from loadingdock.core.errors import DockError, Unavailable
from loadingdock.core.model.processing import Verdict
from loadingdock.core.ports.blobs import BlobStore, Inbox
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.ports.processing import Scanner, TextExtractor, TypeDetector
from loadingdock.core.ports.ratelimits import RateLimiter
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.settings import CORS_ORIGINS

_GIB = 1 << 30
_SKEW = timedelta(minutes=1)
_PATIENT = timedelta(minutes=10)


class Grade(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """`advice` says what to do, and is empty for what is well."""

    name: str
    grade: Grade
    detail: str
    advice: str = ""


def ok(name: str, detail: str) -> Check:
    return Check(name, Grade.OK, detail)


def warn(name: str, detail: str, advice: str) -> Check:
    return Check(name, Grade.WARN, detail, advice)


def fail(name: str, detail: str, advice: str) -> Check:
    return Check(name, Grade.FAIL, detail, advice)


def eicar() -> bytes:
    """The test file that every scanner knows (eicar.org), put together here so that this source is not one."""
    return b"".join((rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"))


async def guarded(name: str, check: Callable[[], Awaitable[Check]], advice: str) -> Check:
    """A check that cannot be made is one that failed, with the general advice for its subject."""
    try:
        return await check()
    except DockError as error:
        why = error.why if isinstance(error, Unavailable) else ""
        return fail(name, why or error.message, advice)
    except Exception as error:
        return fail(name, f"{type(error).__name__}: {error}", advice)


async def database(records: Records) -> Check:
    version, known = await records.schema_version()
    examination = await records.examine()
    detail = f"{examination.engine}, schema {version}"
    if version > known:
        return fail("database", f"{detail}, but this program knows {known}", "Run the newer program that wrote it.")
    if examination.problems:
        return fail(
            "database",
            "; ".join(examination.problems),
            "Change what is named. If anything is damaged, stop the service, keep a copy of the database, and restore"
            " the last good backup.",
        )
    if place := await records.sealed():
        return fail(
            "database",
            f"{detail}, sealed: moved, or being moved, to {place}",
            "Start with the settings that `loadingdock move` named, or give it up with `loadingdock move --abandon`.",
        )
    return ok("database", f"{detail}, sound")


async def contacts(tables: Contacts) -> Check:
    found = await tables.examine()
    if found:
        told = "; ".join(f"{company.code}: {sentence}" for company, sentence in found[:5])
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        return fail("contacts", told + more, "Keep a copy of what is there, and restore the last good backup.")
    return ok("contacts", "every table is as it was declared")


async def store(blobs: BlobStore) -> Check:
    started = time.perf_counter()
    await blobs.ping()
    took = (time.perf_counter() - started) * 1000
    examination = await blobs.examine()
    detail = f"{examination.engine} answers in {took:.1f} ms"
    if examination.problems:
        return fail("store", "; ".join(examination.problems), "Change what is named; then ask again.")
    free = await blobs.free_bytes()
    if free is None:
        return ok("store", detail)
    detail = f"{detail}, {free / _GIB:.1f} GiB free"
    if free < _GIB // 10:
        return fail("store", detail, "Make room: uploads are refused when the disk is full.")
    if free < 5 * _GIB:
        return warn("store", detail, "Make room before the disk is full; then uploads are refused.")
    return ok("store", detail)


async def urls(inbox: Inbox, origins: Iterable[str], *, direct: bool) -> Check:
    """Whether clients who are sent to the store are served there: all who upload if `direct`, else those whose
    company has its downloads redirected. `origins` are those of pages that may upload."""
    examination = await inbox.examine()
    where = f"clients who are sent to {examination.engine}"
    if examination.problems:
        detail = f"{where}: {'; '.join(examination.problems)}"
        if direct:
            return fail("store URLs", detail, "Change what is named, or set store_uploads to through.")
        return warn("store URLs", detail, "Change what is named before any company gets downloads=redirect.")
    refused = [origin for origin in origins if not await inbox.admits(origin)] if direct else []
    if refused:
        return warn(
            "store URLs",
            f"{where} are served, but no browser lets pages of {', '.join(refused)} upload there",
            "If such pages upload, give the bucket a CORS rule for PUT with every header.",
        )
    return ok("store URLs", f"{where} are served")


async def origins(records: Records, own: str) -> tuple[str, ...]:
    """Those of all companies whose pages may upload; a company that names none has `own`."""
    companies = await records.read(None, lambda unit: unit.companies.list())
    found = (company.get(CORS_ORIGINS) or [own] for company in companies if company.disabled_at is None)
    return tuple(dict.fromkeys(chain.from_iterable(found)))


async def scanner(scanner: Scanner) -> Check:
    """Shows it the EICAR test file and a harmless one; where several engines take turns, to each of them."""
    try:
        version = await scanner.ping()
    except Unavailable as error:
        alone = scanner.engines() if len(scanner.engines()) == 1 else ()  # of several each is named by its address
        raise Unavailable("scanner", why=": ".join((*(one.address for one in alone), error.why))) from error
    engines = scanner.engines()
    detail = f"{scanner.name} ({version})"
    if len(engines) > 1:
        states = (f"{engine.address} is down, {engine.why}" if engine.why else engine.address for engine in engines)
        detail = f"{detail} at {'; '.join(states)}:"
    up = max(1, sum(not engine.why for engine in engines))
    for content, expected in ((eicar(), Verdict.INFECTED), (b"Nothing is wrong with this text.\n", Verdict.CLEAN)):
        for _ in range(up):
            result = await scanner.scan(_once(content), len(content))
            if result.verdict is not expected:
                what = "the EICAR test file" if expected is Verdict.INFECTED else "a harmless text"
                return fail(
                    "scanner",
                    f"{detail} says {result.verdict} of {what}: {result.detail}",
                    "Check the scanner's signatures and its own log.",
                )
    examination = await scanner.examine()
    if examination.problems:
        return fail("scanner", "; ".join(examination.problems), "Do what is named, then ask again.")
    if not scanner.antivirus:
        return warn(
            "scanner",
            f"{detail} finds the EICAR test file, but it is no antivirus",
            "Set scanner_url to a clamd, such as clamd://127.0.0.1:3310.",
        )
    if any(engine.why for engine in engines):
        return warn(
            "scanner",
            f"{detail} what is left finds the EICAR test file",
            "Start what is down, or take it out of LOADINGDOCK_SCANNER_URL.",
        )
    if examination.remarks:
        return warn("scanner", f"{detail} finds the EICAR test file; {'; '.join(examination.remarks)}", "Look there.")
    return ok("scanner", f"{detail} finds the EICAR test file")


async def rates(limiter: RateLimiter, where: str) -> Check:
    try:
        await limiter.ping()
    except Unavailable as error:
        raise Unavailable("rate limiter", why=f"{where}: {error.why}") from error
    return ok("rate limits", f"{where} counts")


async def clock(clock: Clock, records: Records) -> Check:
    """A clock that stands before what it wrote itself would let links live on and order events wrongly."""
    now = clock.now()
    advice = "Set the clock, and keep it right with NTP."
    if now < datetime(2025, 1, 1, tzinfo=UTC):
        return fail("clock", f"it says {now:%Y-%m-%d %H:%M} UTC", advice)
    newest: datetime | None = None
    for company in await records.read(None, lambda unit: unit.companies.list()):

        async def latest(unit: Unit) -> datetime | None:
            rows = (await unit.audit.list(limit=1)).items
            return rows[0].at if rows else None

        at = await records.read(company.id, latest)
        newest = max(filter(None, (newest, at)), default=None)
    if newest is not None and newest > now + _SKEW:
        return fail(
            "clock", f"it says {now:%Y-%m-%d %H:%M} UTC, but the database knows {newest:%Y-%m-%d %H:%M}", advice
        )
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC, not before anything in the database")


async def types(detector: TypeDetector) -> Check:
    for head, name, expected in (
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n", "sample.pdf", "application/pdf"),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00",
            "a.png",
            "image/png",
        ),
    ):
        if (detected := await detector.detect(head, name)) != expected:
            return fail(
                "types",
                f"the bytes of a {expected} were taken for {detected}",
                "Install the package pylibmagic again, or the system's libmagic.",
            )
    return ok("types", "PDF and PNG are told by their bytes")


async def text(extractor: TextExtractor) -> Check:
    with tempfile.TemporaryDirectory(prefix="loadingdock-doctor-") as folder:
        sample = Path(folder) / "sample.txt"
        sample.write_text("A line of text.\n")
        extracted = await extractor.extract(sample, "text/plain")
    if extracted.problem or (extracted.text or "").strip() != "A line of text.":
        return fail(
            "text",
            f"the child process gave no text: {extracted.problem or 'it was another text'}",
            "Look at the limits of this user (`ulimit -a`): the child needs memory of its own.",
        )
    return ok("text", "a child process with limits extracts text")


async def jobs(queue: JobQueue, clock: Clock) -> Check:
    waiting, running, dead, age = await queue.depth(clock.now())
    detail = f"{waiting} due, {running} running, {dead} given up"
    if dead:
        return warn("jobs", detail, "`loadingdock jobs list` says why; `loadingdock jobs requeue --all` tries again.")
    if age > _PATIENT.total_seconds():
        return warn(
            "jobs", f"{detail}; the oldest is due since {age:.0f} s", "Start `serve` or `work`: no worker runs."
        )
    return ok("jobs", detail)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
