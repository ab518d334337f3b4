"""Records against bytes and contact tables: what is missing, altered, orphaned or counted wrongly, and how much of it
can be mended.

Runs beside a working service: everything is asked again before it is called wrong, and every repair is one commit
that asks once more. A repair never removes bytes that a record points at; bytes that are no longer those received
stay where they are, out of everybody's reach, for whoever wants to look at them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from loadingdock.core.audit import entry
from loadingdock.core.contacts import Contacts
from loadingdock.core.errors import NotFound, Sealed
from loadingdock.core.files import end_version
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.files import State, Version
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.pointing import pointing, unpointed, written
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit

_PAGE = 200
_AT_ONCE = 4  # blobs read at the same time: enough to keep a disk and two cores busy
_INLINE = 65_536  # smaller pieces are hashed sooner than a thread is asked
CHECKED = frozenset({State.RECEIVED, State.PROCESSING, State.READY})
"""The states in which a version's bytes have to be there and right: others nobody reads."""


class Problem(StrEnum):
    MISSING = "missing"
    ALTERED = "altered"
    SIZE = "size"
    TEXT_MISSING = "text_missing"
    ORPHANED = "orphaned"
    LEDGER = "ledger"
    CONTACTS = "contacts"


#: What repairing each of them does.
REPAIRS = {
    Problem.MISSING: "marks the version rejected and gives its size back to the quota",
    Problem.ALTERED: "marks the version rejected; its bytes stay where they are and nobody can read them",
    Problem.SIZE: "marks the version rejected; its bytes stay where they are and nobody can read them",
    Problem.TEXT_MISSING: "takes the pointer away: the file is whole, its text is empty",
    Problem.ORPHANED: "removes the bytes, which no record points at",
    Problem.LEDGER: "sets the company's usage to what was counted",
    Problem.CONTACTS: "leaves it as it is: restore the last good backup",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is the file's id, the blob's key or the company's code. `repaired`: it is right now."""

    problem: Problem
    subject: str
    detail: str
    company: str | None = None
    version: int | None = None
    repaired: bool = False


@dataclass(slots=True)
class Progress:
    """What has been looked at so far. `total_bytes` is what the ledgers say there is."""

    versions: int = 0
    bytes: int = 0
    blobs: int = 0
    total_bytes: int = 0


class Inspection:
    """`orphan_grace` is the age below which bytes without a record are an upload under way, not an orphan."""

    def __init__(
        self, records: Records, blobs: BlobStore, contacts: Contacts, clock: Clock, *, orphan_grace: timedelta
    ) -> None:
        self._records = records
        self._contacts = contacts
        self._blobs = blobs
        self._clock = clock
        self._grace = orphan_grace
        self._companies: dict[int, Company] = {}

    async def run(self, *, repair: bool, progress: Progress, told: Callable[[], None]) -> AsyncIterator[Finding]:
        """Findings as they are made. `told` is called whenever `progress` has changed. Memory does not grow with
        what is inspected. Raises Sealed where a repair would remove bytes that only the records know which the
        installation was moved to."""
        if repair and await self._records.sealed():
            raise Sealed
        self._companies = {company.id: company for company in await self._records.read(None, _companies)}
        progress.total_bytes = await self._ledgers()
        # The ledger first: repairs of versions below change it, and do so rightly.
        async for finding in self._drifts(repair):
            yield finding
        for company, sentence in await self._contacts.examine():
            yield Finding(Problem.CONTACTS, company.code, sentence, company.code)
        async for finding in self._versions(repair, progress, told):
            yield finding
        async for finding in self._orphans(repair, progress, told):
            yield finding

    # --- versions --------------------------------------------------------------------------------

    async def _versions(self, repair: bool, progress: Progress, told: Callable[[], None]) -> AsyncIterator[Finding]:
        async for versions in pointing(self._records, _PAGE):
            for start in range(0, len(versions), _AT_ONCE):
                some = versions[start : start + _AT_ONCE]
                for version, problems in zip(some, await asyncio.gather(*map(self._look, some)), strict=True):
                    for problem, detail in problems:
                        repaired = repair and await self._repair(version, problem, detail)
                        yield self._finding(version, problem, detail, repaired)
                    progress.versions += 1
                    progress.bytes += version.size
                told()

    async def _look(self, version: Version) -> list[tuple[Problem, str]]:
        if version.state not in CHECKED:
            return []  # kept aside by an earlier repair, or on its way out
        problems = [problem async for problem in self._wrong(version)]
        # Deleted or expired while we looked: the bytes are gone, and rightly so.
        return problems if not problems or await self._unchanged(version) else []

    async def _wrong(self, version: Version) -> AsyncIterator[tuple[Problem, str]]:
        key = version.blob_key or ""
        size = await self._blobs.head(key)
        if size is None:
            yield Problem.MISSING, f"the {version.size} bytes under {key} are not there"
        elif size != version.size:
            yield Problem.SIZE, f"{size} bytes lie under {key}, but {version.size} were received"
        else:
            try:
                digest = await sha256_of(self._blobs, key)
            except NotFound:
                yield Problem.MISSING, f"the {version.size} bytes under {key} are not there"
            else:
                if digest != version.sha256:
                    yield (
                        Problem.ALTERED,
                        f"the bytes under {key} have SHA-256 {digest}, received were {version.sha256}",
                    )
        if version.text_key is not None and await self._blobs.head(version.text_key) is None:
            yield Problem.TEXT_MISSING, f"the extracted text under {version.text_key} is not there"

    async def _unchanged(self, version: Version) -> bool:
        async def work(unit: Unit) -> Version | None:
            return await unit.files.version(version.file_id, version.number)

        now = await self._records.read(version.company_id, work)
        return now is not None and (now.blob_key, now.text_key) == (version.blob_key, version.text_key)

    async def _repair(self, version: Version, problem: Problem, detail: str) -> bool:
        now = self._clock.now()
        reason = "The stored bytes are no longer those that were received."

        async def work(unit: Unit) -> list[str] | None:
            current = await unit.files.version(version.file_id, version.number)
            if current is None or (current.blob_key, current.text_key) != (version.blob_key, version.text_key):
                return None
            keys: list[str] = []
            if problem is Problem.TEXT_MISSING:
                mended = replace(current, text_key=None, warnings=replace(current.warnings, empty=True), updated_at=now)
            elif problem is Problem.MISSING:
                keys = await end_version(unit, current, State.REJECTED, now)
                mended = replace(
                    current, state=State.REJECTED, blob_key=None, text_key=None, reason=reason, updated_at=now
                )
                current = mended
            else:
                mended = replace(current, state=State.REJECTED, reason=reason, updated_at=now)
            await unit.files.save_version(mended, was=current.state)
            principal = self._system(version.company_id)
            await unit.audit.add(entry(principal, f"fsck.{problem}", version.file_id, "repaired", now, detail))
            if mended.state is State.REJECTED:
                await unit.events.add(now, "file.rejected", version.file_id, {"version": version.number})
            return keys

        keys = await self._records.write(version.company_id, work)
        await self._blobs.delete(*keys or ())
        return keys is not None

    # --- bytes without a record ------------------------------------------------------------------

    async def _orphans(self, repair: bool, progress: Progress, told: Callable[[], None]) -> AsyncIterator[Finding]:
        headless: list[str] = []
        async for keys in self._old_keys():
            for key in sorted(await unpointed(self._records, keys)):
                size = await self._blobs.head(key)
                if size is None:
                    headless.append(key)
                else:
                    yield await self._orphan(key, f"{size} bytes", repair)
            progress.blobs += len(keys)
            told()
        # Suspended, or deleted after they were listed: those are listed no more.
        if headless:
            async for keys in self._old_keys():
                for key in sorted(set(keys).intersection(headless)):
                    yield await self._orphan(key, "suspended bytes", repair)

    async def _orphan(self, key: str, what: str, repair: bool) -> Finding:
        if repair:
            await self._blobs.delete(key)
        return Finding(Problem.ORPHANED, key, f"{what} that no record points at", repaired=repair)

    def _old_keys(self) -> AsyncIterator[list[str]]:
        return written(self._blobs, self._clock.now() - self._grace, _PAGE)

    # --- the ledger ------------------------------------------------------------------------------

    async def _drifts(self, repair: bool) -> AsyncIterator[Finding]:
        for company_id, recorded, counted in await self._records.read(None, _drift):
            repaired = repair and await self._settle(company_id)
            detail = (
                f"the ledger says {recorded.bytes} bytes in {recorded.files} files,"
                f" counted are {counted.bytes} in {counted.files}"
            )
            code = self._companies[company_id].code
            yield Finding(Problem.LEDGER, code, detail, company=code, repaired=repaired)

    async def _settle(self, company_id: int) -> bool:
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            for id, recorded, counted in await unit.housekeeping.ledger_drift():
                if id != company_id:
                    continue
                await unit.ledger.charge(
                    counted.bytes - recorded.bytes, counted.files - recorded.files, max_bytes=None, max_files=None
                )
                detail = f"{recorded.bytes} bytes in {recorded.files} files became {counted.bytes} in {counted.files}"
                principal = self._system(company_id)
                await unit.audit.add(entry(principal, "fsck.ledger", principal.company.code, "repaired", now, detail))

        await self._records.write(company_id, work)
        return True

    async def _ledgers(self) -> int:
        async def usage(unit: Unit) -> Usage:
            return await unit.ledger.get()

        return sum([(await self._records.read(id, usage)).bytes for id in self._companies])

    # --- words -----------------------------------------------------------------------------------

    def _system(self, company_id: int) -> Principal:
        return Principal(self._companies[company_id], PrincipalKind.SYSTEM, "fsck", frozenset())

    def _finding(self, version: Version, problem: Problem, detail: str, repaired: bool) -> Finding:
        company = self._companies.get(version.company_id)
        return Finding(
            problem, version.file_id, detail, company.code if company else None, version.number, repaired=repaired
        )


async def sha256_of(blobs: BlobStore, key: str) -> str:
    """Of the bytes as the store gives them now. Raises NotFound."""
    digest = hashlib.sha256()
    async for piece in blobs.read(key):
        if len(piece) < _INLINE:
            digest.update(piece)
        else:
            await asyncio.to_thread(digest.update, piece)
    return digest.hexdigest()


async def _companies(unit: Unit) -> tuple[Company, ...]:
    return await unit.companies.list()


async def _drift(unit: Unit) -> tuple[tuple[int, Usage, Usage], ...]:
    return await unit.housekeeping.ledger_drift()
