"""Imports: asked for, watched, cancelled and undone. `core.importing` does them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from loadingdock.core import loading, publication
from loadingdock.core.audit import entry
from loadingdock.core.callbacks import Callbacks
from loadingdock.core.contacts import Contacts
from loadingdock.core.errors import Conflict, NotFound
from loadingdock.core.files import Files, require_readable
from loadingdock.core.importqueue import LOAD, READ, UNREAD, ImportQueue, subject, tell
from loadingdock.core.loading import Load, Operation
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.files import Attachment, File, State
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.imports import APPLIED, Asked, Import, ImportState, Outcome, RowReport
from loadingdock.core.model.pages import Page
from loadingdock.core.permissions import holds, permit
from loadingdock.core.pointing import kept_if_committed, remove
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.imports import ContactImporter
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.receiving import Declaration
from loadingdock.core.signers import signer_id

API = "contact-load"
UNDOABLE = timedelta(days=7)
_HEAD = 4 << 20  # bytes of a file that are looked at before it is taken: the header has to be in them


_Changed: TypeAlias = tuple[Import, list[str]]
"""An import, and the keys of blobs to remove after the commit."""


class Part(StrEnum):
    """A file of an import."""

    SOURCE = "source"
    REJECTS = "rejects"
    REPORT = "report"
    LEFT = "left"


class Imports:
    def __init__(
        self,
        records: Records,
        blobs: BlobStore,
        files: Files,
        contacts: Contacts,
        callbacks: Callbacks,
        importer: ContactImporter,
        queue: ImportQueue,
        clock: Clock,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._files = files
        self._contacts = contacts
        self._callbacks = callbacks
        self._importer = importer
        self._queue = queue
        self._clock = clock

    # --- asked for -------------------------------------------------------------------------------

    async def table(self, principal: Principal, code: str) -> ContactTable:
        """Raises Forbidden for who may not load, NotFound("table")."""
        permit(principal, LOAD)
        return await self._contacts.table(principal, code)

    async def submit(
        self,
        principal: Principal,
        table: ContactTable,
        asked: Asked,
        declaration: Declaration,
        blob: BlobRef,
        *,
        callback_url: str = "",
    ) -> Import:
        """Bytes just received become a file, and are to be imported, in one commit. Raises InvalidInput, its field a
        name of `Asked`, "callback" or "file"; then the bytes are gone, as they are with every refusal."""
        permit(principal, LOAD)
        async with kept_if_committed(self._blobs, blob):
            fresh = await self._prepared(
                principal, table, asked, blob.key, declaration.name, blob.size, callback_url=callback_url
            )
            now = self._clock.now()
            file = publication.new_file(principal, declaration, str(uuid.uuid4()), now, State.RECEIVED, blob)
            fresh = replace(fresh, file_id=file.id, created_at=now)

            async def work(unit: Unit) -> Import:
                await unit.imports.lock(table.number)
                await unit.files.add(file)
                added = await self._add(unit, principal, fresh)
                await publication.received(unit, principal, declaration, file, now)
                await tell(unit, principal.company, added, now, principal)
                return added

            return await self._records.write(principal.company.id, work)

    async def submit_file(
        self,
        principal: Principal,
        table: ContactTable,
        asked: Asked,
        file_id: str,
        *,
        version: int | None = None,
        callback_url: str = "",
    ) -> Import:
        """A file that is here already, whoever took it in; the latest version for None. Raises InvalidInput as
        `submit`, Forbidden, NotFound, and what stands in the way of reading the file, but that it is still being
        looked into."""
        permit(principal, LOAD)
        permit(principal, "files:read")
        file = await self._files.get(principal, file_id)
        of = await self._files.version(file, version)
        key = of.blob_key if of.state in UNREAD and of.blob_key is not None else require_readable(of)
        fresh = await self._prepared(principal, table, asked, key, file.name, of.size, callback_url=callback_url)
        now = self._clock.now()
        fresh = replace(fresh, file_id=file.id, file_version=of.number, created_at=now)

        async def work(unit: Unit) -> Import:
            await unit.imports.lock(table.number)
            current = await unit.files.get(file.id)
            if current is None or current.deleted_at is not None:
                raise NotFound
            added = await self._add(unit, principal, fresh)
            await self._queue.advance(unit, principal.company, table.number, now)
            await tell(unit, principal.company, added, now, principal)
            return added

        return await self._records.write(principal.company.id, work)

    async def _prepared(
        self,
        principal: Principal,
        table: ContactTable,
        asked: Asked,
        key: str,
        name: str,
        size: int,
        *,
        callback_url: str,
    ) -> Import:
        """All that can be known to be wrong before the file is looked into."""
        url = await self._callbacks.check_url(callback_url) if callback_url else None
        pieces = [piece async for piece in self._blobs.read(key, 0, min(size, _HEAD))] if size else []
        head = await self._importer.look(table, asked, name, pieces)
        chosen = table.key if asked.key is None else asked.key
        if asked.operation is Operation.INSALL:
            chosen = ()
        load = loading.checked(Load(table, 0, asked.operation, head.columns, chosen))
        return Import(
            number=0,
            company_id=principal.company.id,
            table_number=table.number,
            table_code=table.code,
            asked=replace(asked, key=load.key),
            file_id="",
            file_version=1,
            file_name=name,
            file_size=size,
            created_at=self._clock.now(),
            created_by=signer_id(principal),
            callback_url=url,
            columns=head.columns,
            warnings=head.warnings,
        )

    async def _add(self, unit: Unit, principal: Principal, fresh: Import) -> Import:
        added = await unit.imports.add(fresh)
        # Neither its end of life nor a deletion takes the file away before it was read.
        await unit.attachments.add(Attachment(added.file_id, subject(added.number), added.created_at))
        return added

    # --- watched ---------------------------------------------------------------------------------

    async def list(
        self,
        principal: Principal,
        *,
        limit: int,
        cursor: str | None = None,
        table: ContactTable | None = None,
        state: ImportState | None = None,
    ) -> Page[Import]:
        """Newest first. Raises Forbidden, and InvalidInput for a cursor of another list."""
        _may_look(principal)
        number = None if table is None else table.number

        async def work(unit: Unit) -> Page[Import]:
            return await unit.imports.list(limit=limit, cursor=cursor, table_number=number, state=state)

        return await self._records.read(principal.company.id, work)

    async def get(self, principal: Principal, number: int) -> Import:
        """Raises Forbidden, NotFound("import")."""
        _may_look(principal)
        found = await self._records.read(principal.company.id, lambda unit: unit.imports.get(number))
        if found is None:
            raise NotFound("import")
        return found

    async def rows(
        self, principal: Principal, number: int, *, outcome: Outcome, limit: int, cursor: str | None = None
    ) -> Page[RowReport]:
        """The first thousand, by their ordinals; all of them are in the files. Raises Forbidden, NotFound("import"),
        InvalidInput(field="cursor")."""
        await self.get(principal, number)

        async def work(unit: Unit) -> Page[RowReport]:
            return await unit.imports.rows(number, outcome=outcome, limit=limit, cursor=cursor)

        return await self._records.read(principal.company.id, work)

    async def file(self, principal: Principal, number: int, part: Part) -> tuple[File, int]:
        """With the version that is meant. Raises NotFound for one that there is not, or not any more."""
        of = await self.get(principal, number)
        id: str | None
        match part:
            case Part.SOURCE:
                id, version = of.file_id, of.file_version
            case Part.REJECTS:
                id, version = of.rejected_file, 1
            case Part.REPORT:
                id, version = of.report_file, 1
            case Part.LEFT:
                id, version = None if of.undone is None else of.undone.report_file, 1
        if id is None:
            raise NotFound
        return await self._files.get(principal, id), version

    async def company_of(self, number: int) -> Company:
        """For who operates the installation. Raises NotFound("import")."""
        for company in await self._records.read(None, lambda unit: unit.companies.list()):
            if await self._records.read(company.id, lambda unit: unit.imports.get(number)) is not None:
                return company
        raise NotFound("import")

    # --- ended before its time, and taken back ---------------------------------------------------

    async def cancel(self, principal: Principal, number: int) -> Import:
        """One that waits ends now; one under way within a second or two, and then nothing was changed. Raises
        Forbidden, NotFound("import"), Conflict."""

        async def change(unit: Unit, of: Import) -> _Changed:
            now = self._clock.now()
            if of.ended or of.state is ImportState.UNDOING:
                raise Conflict(f"Import {number} is {of.state.value}: there is nothing to cancel.")
            await unit.audit.add(entry(principal, "import.cancel", str(number), "ok", now))
            if of.state is not ImportState.WAITING:
                asked = replace(of, cancelling=True)
                await unit.imports.save(asked)
                return asked, []
            ended = replace(of, state=ImportState.CANCELLED, ended_at=now)
            keys = await self._queue.close(unit, principal.company, ended, now)
            return ended, keys + await self._queue.advance(unit, principal.company, of.table_number, now)

        return await self._change(principal, number, change)

    async def undo(self, principal: Principal, number: int) -> Import:
        """Each contact is to be again what it was before, unless it was changed since. Raises Forbidden,
        NotFound("import"), Conflict."""

        async def change(unit: Unit, of: Import) -> _Changed:
            now = self._clock.now()
            if of.state not in APPLIED:
                raise Conflict(f"Import {number} is {of.state.value}: there is nothing to undo.")
            if of.asked.dry_run:
                raise Conflict(f"Import {number} was a dry run: it has changed nothing.")
            if of.undo_until is None or of.undo_until <= now:
                raise Conflict(f"Import {number} can be undone no longer: that is possible for {UNDOABLE.days} days.")
            undoing = replace(of, state=ImportState.UNDOING, reason=None)
            await unit.imports.save(undoing)
            await unit.imports.enter(number)
            await unit.imports.clear_rows(number, Outcome.LEFT)
            keys = await self._queue.advance(unit, principal.company, of.table_number, now)
            await tell(unit, principal.company, undoing, now, principal)
            return undoing, keys

        return await self._change(principal, number, change)

    async def _change(
        self,
        principal: Principal,
        number: int,
        change: Callable[[Unit, Import], Awaitable[_Changed]],
    ) -> Import:
        permit(principal, LOAD)
        known = await self.get(principal, number)

        async def work(unit: Unit) -> _Changed:
            await unit.imports.lock(known.table_number)
            current = await unit.imports.get(number)
            assert current is not None  # imports stay for good
            return await change(unit, current)

        changed, keys = await self._records.write(principal.company.id, work)
        await remove(self._blobs, keys)
        return changed


def _may_look(principal: Principal) -> None:
    """Who loads contacts has to see what became of them."""
    if not holds(principal.permissions, LOAD):
        permit(principal, READ)
