"""How bytes come in: received at once, or promised first and sent later.

The order is always the same. The bytes become durable under a fresh key; then one commit makes the record, the
charge to the company's quota, the job that looks into the file, the audit row and the event; only then is it
acknowledged. A failure before the commit leaves nothing but an orphan, which the sweep takes.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from loadingdock.core import publication, settings, types
from loadingdock.core.audit import entry
from loadingdock.core.errors import (
    AlreadyUploaded,
    ClientGone,
    Conflict,
    DockError,
    InvalidInput,
    LimitExceeded,
    LinkExpired,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    TooSlow,
    TypeRefused,
    Unavailable,
)
from loadingdock.core.holding import held
from loadingdock.core.model.blobs import BlobRef, Digest
from loadingdock.core.model.files import File, State, Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.names import safe_name
from loadingdock.core.ports.blobs import BlobStore, BlobWriter
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.processing import TypeDetector
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.receiving import Batches, Declaration, Receiver, check_declared, check_type
from loadingdock.core.turns import Turn, Turns

# What shows that the bytes staged so far can never become the file that was promised.
_HOPELESS = (InvalidInput, LimitExceeded, TypeRefused, QuotaExceeded, NotFound)


class Uploads:
    """The use cases of receiving."""

    def __init__(
        self,
        records: Records,
        blobs: BlobStore,
        detector: TypeDetector,
        clock: Clock,
        asked_after: Callable[[File], Awaitable[None]] | None = None,
    ) -> None:
        self._asked_after = asked_after  # told of each file that is looked at, for it may have arrived unnoticed
        self._records = records
        self._blobs = blobs
        self._detector = detector
        self._clock = clock
        self._turns = Turns()

    # --- at once ---

    def declare(self, principal: Principal, declaration: Declaration) -> Declaration:
        """The declaration with its name in the form kept and the company's own limits applied. Raises for what can
        be refused before the first byte."""
        company = principal.company
        declaration = replace(
            declaration,
            name=safe_name(declaration.name),
            max_size=min(declaration.max_size, company.get(settings.MAX_SIZE)),
        )
        check_declared(declaration, self._detector.of_name(declaration.name))
        return declaration

    @asynccontextmanager
    async def receiving(self, declaration: Declaration) -> AsyncIterator[Receiver]:
        """Pushes bytes in. Leaving without `finish` leaves nothing behind."""
        async with self._blobs.writer(length=declaration.size, digests=declaration.algorithms) as writer:
            yield Receiver(declaration, writer, self._blobs, self._detector)

    async def receive(self, principal: Principal, declaration: Declaration, body: Batches) -> File:
        """A whole file in one request."""
        declaration = self.declare(principal, declaration)
        return await self.publish(principal, declaration, await self._receive(declaration, body))

    async def _receive(self, declaration: Declaration, body: Batches) -> BlobRef:
        async with self.receiving(declaration) as receiver:
            async for batch in body:
                await receiver.write(batch)
            return await receiver.finish()

    async def publish(self, principal: Principal, declaration: Declaration, blob: BlobRef) -> File:
        """Makes received bytes a file, or the next version of one. The blob is gone if it cannot be."""
        now = self._clock.now()
        file_id = str(uuid.uuid4())

        async def work(unit: Unit) -> File:
            file = await publication.named(unit, declaration)
            if file is None:
                file = publication.new_file(principal, declaration, file_id, now, State.RECEIVED, blob)
                await unit.files.add(file)
            else:
                file = await publication.next_version(unit, file, declaration, now, blob)
            await publication.received(unit, principal, declaration, file, now)
            return file

        return await self._commit(principal, work, blob)

    async def discard(self, blob: BlobRef) -> None:
        """Bytes that were received and are not wanted after all."""
        await self._blobs.delete(blob.key)

    # --- promised first ---

    async def initiate(
        self, principal: Principal, declaration: Declaration, *, expires_in: timedelta
    ) -> tuple[File, Upload]:
        """A file without bytes and the promise of them, for a presigned URL. Raises AlreadyExists for an alias or a
        namespaced name that is taken."""
        declaration = self.declare(principal, declaration)
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

    async def placeholder(self, principal: Principal, declaration: Declaration) -> File:
        """A name without bytes: a version in `awaiting_upload` that the next upload of that name fills."""
        declaration = self.declare(principal, declaration)
        now = self._clock.now()
        file_id = str(uuid.uuid4())

        async def work(unit: Unit) -> File:
            file = await publication.named(unit, declaration)
            if file is None:
                file = publication.new_file(principal, declaration, file_id, now, State.AWAITING_UPLOAD, None)
                await unit.files.add(file)
            elif file.state is not State.AWAITING_UPLOAD:
                file = await publication.next_version(unit, file, declaration, now, None)
            await unit.audit.add(entry(principal, "upload.placeholder", file.id, "ok", now))
            await publication.event(unit, file, now)
            return file

        return await self._records.write(principal.company.id, work)

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
            done = await self._complete(principal, upload, declaration, await self._receive(declaration, body))
        if upload.staging_key is not None:
            await self._turns.end(upload.id)
            await self._blobs.delete(upload.staging_key)
        return done

    async def append(
        self,
        principal: Principal,
        upload: Upload,
        file: File,
        declaration: Declaration,
        body: Batches,
        *,
        offset: int,
        last: bool,
    ) -> tuple[Upload, File]:
        """Some of the promised bytes, at the offset where the upload stands. What came before the client went away
        is kept. With `last` the upload is complete. A length that the declaration knows is remembered.

        Raises OffsetMismatch; Conflict while another request appends, or when one ended this one. What shows that
        these bytes can never become the file (too many, another type, a wrong digest) drops all of them; a body that
        fails by itself leaves what was there before.
        """
        if offset != upload.offset:
            raise OffsetMismatch(current=upload.offset, claimed=offset)
        with self._turns.take(upload.id) as turn:
            try:
                async with held(self._records, self._clock, upload), self._staged(upload, declaration) as writer:
                    # Read again under the lock of the staged bytes: another request may have appended in between.
                    upload, file = await self.find(upload.company_id, upload.id)
                    if offset != upload.offset:
                        raise OffsetMismatch(current=upload.offset, claimed=offset)
                    receiver = Receiver(declaration, writer, self._blobs, self._detector)
                    await self._take_in(turn, upload, declaration, receiver, writer, body)
                    if not last:
                        return await self._suspend(upload, declaration, receiver, writer), file
                    blob = await receiver.finish()
                file = await self._complete(principal, upload, declaration, blob)
                return replace(upload, offset=blob.size, completed_at=file.version.updated_at), file
            except _HOPELESS as error:
                if turn.broken:
                    raise
                await self._drop(upload)
                if isinstance(error, NotFound):  # its staged bytes are gone; the record tells why
                    await self.find(upload.company_id, upload.id)
                    raise NotFound("upload") from error
                raise

    def _staged(self, upload: Upload, declaration: Declaration) -> AbstractAsyncContextManager[BlobWriter]:
        if upload.staging_key is None:
            return self._blobs.writer(digests=declaration.algorithms)
        return self._blobs.resume(upload.staging_key, upload.offset, digests=declaration.algorithms)

    async def _take_in(
        self,
        turn: Turn,
        upload: Upload,
        declaration: Declaration,
        receiver: Receiver,
        writer: BlobWriter,
        body: Batches,
    ) -> None:
        try:
            async for batch in turn.batches(body):
                await receiver.write(batch)
        except (ClientGone, TooSlow):
            await self._suspend(upload, declaration, receiver, writer)
            raise
        if turn.cut:
            await self._suspend(upload, declaration, receiver, writer)
            raise Conflict("Another request took this upload over.")

    async def _suspend(
        self, upload: Upload, declaration: Declaration, receiver: Receiver, writer: BlobWriter
    ) -> Upload:
        offset = await receiver.suspend()
        advanced = replace(upload, offset=offset, staging_key=writer.key, size=declaration.size)
        if not await self._advance(advanced, was=upload.offset):
            if upload.staging_key is None:
                await self._blobs.delete(writer.key)
            raise OffsetMismatch(current=upload.offset, claimed=offset)
        return advanced

    async def _advance(self, upload: Upload, *, was: int) -> bool:
        async def work(unit: Unit) -> bool:
            return await unit.uploads.advance(upload, was=was)

        return await self._records.write(upload.company_id, work)

    async def interrupt(self, upload: Upload) -> None:
        """Ends an append under way in this process; what it brought is durable and counted when this returns."""
        await self._turns.end(upload.id)

    async def restart(self, upload: Upload) -> Upload:
        """The promise stands, with none of its bytes: what was appended so far goes."""
        await self._turns.end(upload.id)
        upload, _ = await self.find(upload.company_id, upload.id)
        return await self._drop(upload)

    async def _drop(self, upload: Upload) -> Upload:
        fresh = replace(upload, offset=0, staging_key=None)
        if upload.staging_key is not None and await self._advance(fresh, was=upload.offset):
            await self._blobs.delete(upload.staging_key)
        return fresh

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

    async def _complete(self, principal: Principal, upload: Upload, declaration: Declaration, blob: BlobRef) -> File:
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

        return await self._commit(principal, work, blob)

    async def _commit(self, principal: Principal, work: Any, blob: BlobRef) -> File:
        try:
            file: File = await self._records.write(principal.company.id, work)
        except Unavailable:
            raise  # the commit may have happened: the bytes stay, and the sweep takes them if it did not
        except DockError:
            await self._blobs.delete(blob.key)
            raise
        return file


async def _why_closed(unit: Unit, upload: Upload, now: datetime) -> DockError:
    """Why an upload cannot be completed any more."""
    current = await unit.uploads.get(upload.id)
    if current is not None and current.completed_at is not None:
        return AlreadyUploaded()
    if upload.expires_at <= now:
        return LinkExpired("The upload's time was over before its last byte came; request a new upload URL.")
    return NotFound("upload")


__all__ = ["Batches", "Declaration", "Receiver", "Uploads", "check_declared", "check_type"]
