"""The queues of imports: one for each table, in order of arrival, and what an import's end entails.

The first of a queue has its job as soon as its file may be read. Who changes a queue holds its table's lock, and takes
it before any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from loadingdock.core.audit import entry
from loadingdock.core.callbacks import Callbacks, payload
from loadingdock.core.files import end_versions
from loadingdock.core.importnotes import notification
from loadingdock.core.links import Links
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State, Version
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.imports import Import, ImportState
from loadingdock.core.ports.records import Unit
from loadingdock.core.reported import IMPORT

JOB, UNDO_JOB = "import", "import-undo"
READ, LOAD = "contacts:read", "contacts:load"
_LINK_LIFE = timedelta(days=7)  # of the link to the rejected records: as long as Signature V4 allows
UNREAD = frozenset({State.RECEIVED, State.PROCESSING})
"""The states of a version that is being looked into."""


def subject(number: int) -> str:
    """Of callbacks, and the reference that keeps an import's file."""
    return f"import:{number}"


class ImportQueue:
    def __init__(self, callbacks: Callbacks, links: Links) -> None:
        self._callbacks = callbacks
        self._links = links

    async def advance(self, unit: Unit, company: Company, table_number: int, now: datetime) -> list[str]:
        """Whoever's turn it is gets a job, if there is none and its file may be read. Imports whose file never can be
        read end here. Returns keys of blobs to remove after the commit."""
        keys: list[str] = []
        while (first := await unit.imports.first(table_number)) is not None:
            if first.state is ImportState.UNDOING:
                await _enqueue(unit, UNDO_JOB, first, now)
                break
            version = await unit.files.version(first.file_id, first.file_version)
            if version is not None and version.state in UNREAD:
                break
            if version is not None and version.state is State.READY:
                await _enqueue(unit, JOB, first, now)
                break
            failed = replace(first, state=ImportState.FAILED, reason=_unreadable(version), ended_at=now)
            keys += await self.close(unit, company, failed, now)
        return keys

    async def close(self, unit: Unit, company: Company, ended: Import, now: datetime) -> list[str]:
        """It has ended as it says itself, whoever asked for it is told, and its file may go. `advance` comes next.
        Returns keys of blobs to remove after the commit."""
        await self.leave(unit, company, ended, now)
        rejected = None if ended.rejected_file is None else await unit.files.get(ended.rejected_file)
        if rejected is None or rejected.state not in UNREAD:
            await self._call_back(unit, company, ended, rejected, now)
        if await unit.attachments.remove(ended.file_id, subject(ended.number)):
            file = await unit.files.get(ended.file_id)
            if file is not None and file.deleted_at is not None and not file.attached:
                return await end_versions(unit, file, State.DELETED, now)
        return []

    async def leave(self, unit: Unit, company: Company, changed: Import, now: datetime) -> None:
        """It is out of its queue. `advance` comes next."""
        await unit.imports.save(changed)
        await unit.imports.leave(changed.number)
        await tell(unit, company, changed, now)

    async def waiting_for(self, unit: Unit, file: File, version: Version) -> tuple[Import, ...]:
        """The imports that wait for the verdict on a version; their queues are locked from now on."""
        waiting = await unit.imports.waiting_for(file.id, version.number)
        for number in sorted({each.table_number for each in waiting}):
            await unit.imports.lock(number)
        return waiting

    async def judged(
        self, unit: Unit, company: Company, file: File, waiting: Sequence[Import], now: datetime
    ) -> list[str]:
        """There is a verdict on a file. Returns keys of blobs to remove after the commit."""
        keys: list[str] = []
        for number in sorted({each.table_number for each in waiting}):
            keys += await self.advance(unit, company, number, now)
        if (imported := file.attributes.get(IMPORT)) is not None:
            # Its rejected records can be fetched from now on: the callback has waited for that, if it has ended. It may
            # be undone by now.
            told = await unit.imports.get(int(imported))
            if told is not None and told.rejected_file == file.id and told.ended_at is not None:
                rejected = await unit.files.get(file.id)
                await self._call_back(unit, company, told, rejected, now)
        return keys

    async def _call_back(
        self, unit: Unit, company: Company, ended: Import, rejected: File | None, now: datetime
    ) -> None:
        if ended.callback_url is None:
            return
        link = None
        if rejected is not None and rejected.state is State.READY and rejected.deleted_at is None:
            link = self._links.signed(
                company, ended.created_by, rejected, rejected.version, permission=LOAD, expires_in=_LINK_LIFE
            )
            detail = f"version {rejected.version.number}"
            await unit.audit.add(entry(system(company), "link", rejected.id, "ok", now, detail))
        message = notification(ended, company, link)
        event = f"import.{message['result'].lower()}"
        await self._callbacks.submit(unit, company, ended.callback_url, event, payload(message), subject(ended.number))


async def _enqueue(unit: Unit, kind: str, of: Import, now: datetime) -> None:
    """Once."""
    await unit.jobs.enqueue(
        kind, str(of.number), {"table": of.table_number}, at=now, dedupe_key=f"{kind}:{of.number}:{of.turn}"
    )


def system(company: Company) -> Principal:
    return Principal(company, PrincipalKind.SYSTEM, "worker", frozenset())


async def tell(unit: Unit, company: Company, of: Import, now: datetime, principal: Principal | None = None) -> None:
    """The event and the audit row of a state."""
    data: dict[str, Any] = {"table": of.table_code, "file": of.file_id, "records": of.counts.records}
    await unit.events.add(now, f"import.{of.state.value}", str(of.number), data)
    await unit.audit.add(
        entry(principal or system(company), f"import.{of.state.value}", str(of.number), "ok", now, of.reason)
    )


def _unreadable(version: Version | None) -> str:
    match None if version is None else version.state:
        case State.INFECTED:
            return "The file is infected."
        case State.REJECTED:
            return f"The file was refused: {version.reason}" if version and version.reason else "The file was refused."
        case State.AWAITING_UPLOAD:
            return "The file has no bytes."
        case _:
            return "The file was deleted before it was its turn."
