"""Uploads that are promised first: a file without bytes, and what may come for it until when, at a presigned URL.

The bytes of one request are taken as those that come at once are; `appending` takes those that come in several.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from loadingdock.core import publication, types
from loadingdock.core.audit import entry
from loadingdock.core.errors import (
    AlreadyUploaded,
    DockError,
    LinkExpired,
    NotFound,
    TypeRefused,
)
from loadingdock.core.holding import held
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.model.files import File, State, Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.pointing import kept_if_committed
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.receiving import Batches, Declaration
from loadingdock.core.turns import Turns
from loadingdock.core.uploads import Uploads


class Promises:
    def __init__(
        self,
        uploads: Uploads,
        turns: Turns,
        records: Records,
        blobs: BlobStore,
        clock: Clock,
        asked_after: Callable[[File], Awaitable[None]] | None = None,
    ) -> None:
        self._asked_after = asked_after  # told of each file that is looked at, for it may have arrived unnoticed
        self._uploads = uploads
        self._turns = turns
        self._records = records
        self._blobs = blobs
        self._clock = clock

    async def initiate(
        self, principal: Principal, declaration: Declaration, *, expires_in: timedelta
    ) -> tuple[File, Upload]:
        """A file without bytes and the promise of them, for a presigned URL. Raises AlreadyExists for an alias or a
        namespaced name that is taken."""
        declaration = self._uploads.declare(principal, declaration)
        now = self._clock.now()
        file = publication.new_file(principal, declaration, str(uuid.uuid4()), now, State.AWAITING_UPLOAD, None)
        sha256 = next((d.value.hex() for d in declaration.digests if d.algorithm == "sha256"), None)
        upload = Upload(
            id=str(uuid.uuid4()),
            company_id=principal.company.id,
            file_id=file.id,
            version=file.version.number,
            max_size=declaration.max_size,
            created_at=now,
            expires_at=now + expires_in,
            size=declaration.size,
            content_type=declaration.content_type,
            sha256=sha256,
            allowed_types=declaration.allowed_types,
        )

        async def work(unit: Unit) -> None:
            await publication.check_room(unit, principal, declaration.size or 0)
            await unit.files.add(file)
            await unit.uploads.add(upload)
            await unit.audit.add(entry(principal, "upload.initiate", file.id, "ok", now))
            await publication.event(unit, file, now)

        await self._records.write(principal.company.id, work)
        return file, upload

    async def find(self, company_id: int, upload_id: str) -> tuple[Upload, File]:
        """An upload that may still have its bytes. Raises NotFound, AlreadyUploaded or LinkExpired."""
        upload, file = await self.look(company_id, upload_id)
        if upload.completed_at is not None:
            raise AlreadyUploaded
        if upload.expires_at <= self._clock.now():
            raise LinkExpired("The upload's time is over; request a new upload URL.")
        return upload, file

    async def look(self, company_id: int, upload_id: str) -> tuple[Upload, File]:
        """An upload, whether it had its bytes or not. Raises NotFound for one that is unknown, foreign or taken back,
        and for one whose file was deleted."""

        async def work(unit: Unit) -> tuple[Upload | None, File | None]:
            upload = await unit.uploads.get(upload_id)
            return upload, await unit.files.get(upload.file_id) if upload else None

        upload, file = await self._records.read(company_id, work)
        if upload is None or file is None or file.deleted_at is not None or upload.aborted_at is not None:
            raise NotFound("upload")
        if self._asked_after is not None:
            await self._asked_after(file)
        return upload, file

    def declaration_of(
        self,
        upload: Upload,
        file: File,
        *,
        content_type: str | None,
        digests: Sequence[Digest] = (),
        strict_type: bool = False,
    ) -> Declaration:
        """What the promise and the request together say of the bytes to come. A promised type is always strict."""
        promised = () if upload.sha256 is None else (Digest("sha256", bytes.fromhex(upload.sha256)),)
        promised_type = upload.content_type
        if promised_type is not None and types.canonical(content_type or "") != types.canonical(promised_type):
            raise TypeRefused(
                f"The upload was requested for {promised_type}, but Content-Type says {content_type or 'nothing'}.",
                declared=content_type,
            )
        return Declaration(
            api=file.api,
            name=file.name,
            max_size=upload.max_size,
            content_type=promised_type or content_type,
            size=upload.size,
            digests=(*promised, *digests),
            allowed_types=upload.allowed_types,
            strict_type=strict_type or promised_type is not None,
        )

    async def fulfil(
        self, principal: Principal, upload: Upload, file: File, declaration: Declaration, body: Batches
    ) -> File:
        """The promised bytes in one request. Exactly one succeeds. Bytes of an append that was not finished go."""
        async with held(self._records, self._clock, upload):
            done = await self.complete(principal, upload, declaration, await self._uploads.take(declaration, body))
        if upload.staging_key is not None:
            await self._turns.end(upload.id)
            await self._blobs.delete(upload.staging_key)
        return done

    async def complete(self, principal: Principal, upload: Upload, declaration: Declaration, blob: BlobRef) -> File:
        """The promise is kept with these bytes, which are gone if it cannot be."""
        now = self._clock.now()

        async def work(unit: Unit) -> File:
            if not await unit.uploads.complete(upload.id, now):
                raise await _why_closed(unit, upload, now)
            # As it is now: it may have been renamed or deleted while the bytes came.
            file = await unit.files.get(upload.file_id)
            if file is None or file.deleted_at is not None:
                raise NotFound("upload")
            version = replace(
                file.version,
                state=State.RECEIVED,
                declared_type=declaration.content_type,
                size=blob.size,
                sha256=blob.sha256,
                blob_key=blob.key,
                updated_at=now,
            )
            if not await unit.files.save_version(version, was=State.AWAITING_UPLOAD):
                raise NotFound("upload")
            # The life that was promised begins with the bytes.
            expires_at = None if file.expires_at is None else now + (file.expires_at - file.created_at)
            done = replace(file, version=version, expires_at=expires_at)
            await unit.files.save(done)
            await publication.received(unit, principal, declaration, done, now)
            return done

        async with kept_if_committed(self._blobs, blob):
            return await self._records.write(principal.company.id, work)

    async def abort(self, principal: Principal, upload: Upload) -> None:
        """The promise is taken back; bytes that came already go."""
        await self._turns.end(upload.id)
        now = self._clock.now()

        async def work(unit: Unit) -> str | None:
            current = await unit.uploads.get(upload.id)
            if current is None or not await unit.uploads.abort(upload.id, now):
                raise AlreadyUploaded
            file = await unit.files.get(upload.file_id)
            if file is not None and file.deleted_at is None:
                await unit.files.save_version(
                    replace(file.version, state=State.DELETED, updated_at=now), was=State.AWAITING_UPLOAD
                )
                await unit.files.save(replace(file, deleted_at=now))
            await unit.audit.add(entry(principal, "upload.abort", upload.file_id, "ok", now))
            return current.staging_key

        staging_key = await self._records.write(upload.company_id, work)
        if staging_key is not None:
            await self._blobs.delete(staging_key)

    async def refuse(self, principal: Principal, upload: Upload, reason: str) -> None:
        """Bytes came that cannot become the file: the promise is over, and the file says why."""
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            if not await unit.uploads.abort(upload.id, now):
                return
            file = await unit.files.get(upload.file_id)
            if file is None or file.deleted_at is not None or file.state is not State.AWAITING_UPLOAD:
                return
            version = replace(file.version, state=State.REJECTED, updated_at=now, reason=reason)
            await unit.files.save_version(version, was=State.AWAITING_UPLOAD)
            await unit.audit.add(entry(principal, "upload.refuse", file.id, "rejected", now, reason))
            await publication.event(unit, replace(file, version=version), now)

        await self._records.write(upload.company_id, work)


async def _why_closed(unit: Unit, upload: Upload, now: datetime) -> DockError:
    """Why an upload cannot be completed any more."""
    current = await unit.uploads.get(upload.id)
    if current is not None and current.completed_at is not None:
        return AlreadyUploaded()
    if upload.expires_at <= now:
        return LinkExpired("The upload's time was over before its last byte came; request a new upload URL.")
    return NotFound("upload")
