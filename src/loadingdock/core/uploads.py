"""How bytes come in: received at once, or promised first and sent later.

The order is always the same. The bytes become durable under a fresh key; then one commit makes the record, the
charge to the company's quota, the job that looks into the file, the audit row and the event; only then is it
acknowledged. A failure before the commit leaves nothing but an orphan, which the sweep takes.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from loadingdock.core import settings, types
from loadingdock.core.audit import entry
from loadingdock.core.errors import (
    AlreadyUploaded,
    ClientGone,
    Conflict,
    DigestMismatch,
    DockError,
    LengthMismatch,
    LinkExpired,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    TooLarge,
    TooSlow,
    TypeRefused,
    Unavailable,
)
from loadingdock.core.model import (
    NOTHING,
    Acl,
    BlobRef,
    Digest,
    File,
    Principal,
    State,
    Upload,
    Version,
)
from loadingdock.core.names import safe_name
from loadingdock.core.ports import BlobStore, BlobWriter, Clock, Records, TypeDetector, Unit

Batches = AsyncIterable[Sequence[bytes]]

_HEAD = 8192  # as many first bytes as TypeDetector asks for


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known of a file before its bytes come.

    `keep` is its life from the moment it is received, None for good. `allowed_types` empty: any type. `strict_type`:
    extension, declared type and bytes must agree. `namespace` other than "": names are unique there, and a name that
    is taken gets a new version.
    """

    api: str
    name: str
    max_size: int
    content_type: str | None = None
    size: int | None = None
    digests: tuple[Digest, ...] = ()
    allowed_types: tuple[str, ...] = ()
    strict_type: bool = False
    namespace: str = ""
    owner: str | None = None
    alias: str | None = None
    acl: Acl = Acl.PRIVATE
    keep: timedelta | None = None
    attributes: Mapping[str, Any] = field(default=NOTHING)
    version_attributes: Mapping[str, Any] = field(default=NOTHING)


class Receiver:
    """The bytes of one file on their way in. Limits on size and type act while they come."""

    def __init__(self, declaration: Declaration, writer: BlobWriter, blobs: BlobStore, detector: TypeDetector) -> None:
        self._declaration = declaration
        self._writer = writer
        self._blobs = blobs
        self._detector = detector
        self._limit = declaration.max_size if declaration.size is None else min(declaration.max_size, declaration.size)
        # Asking libmagic costs more than taking a small file in: only who restricts types pays for it here. Every
        # file's type is detected again, from all of its bytes, before anybody may read it.
        self._head: bytearray | None = bytearray() if declaration.allowed_types or declaration.strict_type else None
        self._received = writer.size

    @property
    def received(self) -> int:
        return self._received

    async def write(self, batch: Sequence[bytes]) -> None:
        self._received += sum(map(len, batch))
        if self._received > self._limit:
            size = self._declaration.size
            if size is not None and self._received > size:
                raise LengthMismatch(declared=size, received=self._received)
            raise TooLarge(limit=self._declaration.max_size, received=self._received)
        if self._head is not None:
            for piece in batch:
                self._head += piece[: _HEAD - len(self._head)]
            if len(self._head) >= _HEAD:
                await self._check_head()
        await self._writer.write(batch)

    async def finish(self) -> BlobRef:
        """The bytes are durable when it returns. Raises what the client claimed and did not keep."""
        declared = self._declaration.size
        if declared is not None and declared != self._received:
            raise LengthMismatch(declared=declared, received=self._received)
        if self._head is not None:
            await self._check_head()
        blob = await self._writer.commit()
        for digest in self._declaration.digests:
            received = bytes.fromhex(blob.sha256) if digest.algorithm == "sha256" else blob.digests[digest.algorithm]
            if received != digest.value:
                await self._blobs.delete(blob.key)
                claimed = base64.b64encode(digest.value).decode()
                raise DigestMismatch(digest.algorithm, claimed=claimed, received=base64.b64encode(received).decode())
        return blob

    async def suspend(self) -> int:
        return await self._writer.suspend()

    async def _check_head(self) -> None:
        head, self._head = self._head, None
        if head:
            detected = await self._detector.detect(bytes(head), self._declaration.name)
            check_type(self._declaration, detected)


def check_type(declaration: Declaration, detected: str) -> None:
    """Raises TypeRefused if bytes of type `detected` may not come under this declaration."""
    allowed = declaration.allowed_types
    if allowed and not any(types.accepts(types.canonical(one), types.canonical(detected)) for one in allowed):
        raise TypeRefused(
            f"The file's bytes are {detected}; allowed are {', '.join(allowed)}.", detected=detected, allowed=allowed
        )
    if declaration.strict_type and (problem := types.agrees(declaration.name, declaration.content_type, detected)):
        raise TypeRefused(problem, declared=declaration.content_type, detected=detected)


def check_declared(declaration: Declaration, by_name: str | None) -> None:
    """Raises TypeRefused or TooLarge for what the declaration alone makes impossible."""
    if declaration.size is not None and declaration.size > declaration.max_size:
        raise TooLarge(limit=declaration.max_size, received=declaration.size)
    allowed = declaration.allowed_types
    if not allowed:
        return
    if by_name is None or types.canonical(by_name) not in map(types.canonical, allowed):
        raise TypeRefused(
            f"The file name {declaration.name!r} stands for {by_name or 'an unknown type'};"
            f" allowed are {', '.join(allowed)}.",
            declared=by_name,
            allowed=allowed,
        )


class Uploads:
    """The use cases of receiving."""

    def __init__(self, records: Records, blobs: BlobStore, detector: TypeDetector, clock: Clock) -> None:
        self._records = records
        self._blobs = blobs
        self._detector = detector
        self._clock = clock
        self._appending: set[str] = set()

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
        async with self._blobs.writer(
            length=declaration.size, digests={d.algorithm for d in declaration.digests if d.algorithm != "sha256"}
        ) as writer:
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
            await _charge(unit, principal, blob.size, 1)
            file = await _named(unit, declaration)
            if file is None:
                file = _new_file(principal, declaration, file_id, now, State.RECEIVED, blob)
                await unit.files.add(file)
            else:
                file = await _next_version(unit, file, declaration, now, blob)
            await _received(unit, principal, declaration, file, now)
            return file

        return await self._commit(principal, work, blob)

    async def discard(self, blob: BlobRef) -> None:
        """Bytes that were received and are not wanted after all."""
        await self._blobs.delete(blob.key)

    # --- promised first ---

    async def initiate(
        self, principal: Principal, declaration: Declaration, *, expires_in: timedelta
    ) -> tuple[File, Upload]:
        """A file without bytes and the promise of them, for a presigned URL."""
        declaration = self.declare(principal, declaration)
        now = self._clock.now()
        file = _new_file(principal, declaration, str(uuid.uuid4()), now, State.AWAITING_UPLOAD, None)
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
            await _check_room(unit, principal, declaration.size or 0)
            await unit.files.add(file)
            await unit.uploads.add(upload)
            await unit.audit.add(entry(principal, "upload.initiate", file.id, "ok", now))
            await _event(unit, file, now)

        await self._records.write(principal.company.id, work)
        return file, upload

    async def placeholder(self, principal: Principal, declaration: Declaration) -> File:
        """A name without bytes: a version in `awaiting_upload` that the next upload of that name fills."""
        declaration = self.declare(principal, declaration)
        now = self._clock.now()
        file_id = str(uuid.uuid4())

        async def work(unit: Unit) -> File:
            file = await _named(unit, declaration)
            if file is None:
                file = _new_file(principal, declaration, file_id, now, State.AWAITING_UPLOAD, None)
                await unit.files.add(file)
            elif file.state is not State.AWAITING_UPLOAD:
                file = await _next_version(unit, file, declaration, now, None)
            await unit.audit.add(entry(principal, "upload.placeholder", file.id, "ok", now))
            await _event(unit, file, now)
            return file

        return await self._records.write(principal.company.id, work)

    async def find(self, company_id: int, upload_id: str) -> tuple[Upload, File]:
        """An upload that may still have its bytes. Raises NotFound, AlreadyUploaded or LinkExpired."""

        async def work(unit: Unit) -> tuple[Upload | None, File | None]:
            upload = await unit.uploads.get(upload_id)
            return upload, await unit.files.get(upload.file_id) if upload else None

        upload, file = await self._records.read(company_id, work)
        if upload is None or file is None or file.deleted_at is not None or upload.aborted_at is not None:
            raise NotFound("upload")
        if upload.completed_at is not None:
            raise AlreadyUploaded
        if upload.expires_at <= self._clock.now():
            raise LinkExpired("The upload's time is over; request a new upload URL.")
        return upload, file

    def declaration_of(
        self, upload: Upload, file: File, *, content_type: str | None, digests: Sequence[Digest] = ()
    ) -> Declaration:
        """What the promise and the request together say of the bytes to come."""
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
            content_type=upload.content_type or content_type,
            size=upload.size,
            digests=(*promised, *digests),
            allowed_types=upload.allowed_types,
            strict_type=bool(upload.content_type),
        )

    async def fulfil(
        self, principal: Principal, upload: Upload, file: File, declaration: Declaration, body: Batches
    ) -> File:
        """The promised bytes in one request. Exactly one succeeds."""
        return await self._complete(principal, upload, file, declaration, await self._receive(declaration, body))

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
        is kept. With `last` the upload is complete."""
        if offset != upload.offset:
            raise OffsetMismatch(current=upload.offset, claimed=offset)
        if upload.id in self._appending:
            raise Conflict("Another request is sending bytes of this upload; wait until it has ended.")
        self._appending.add(upload.id)
        try:
            algorithms = {d.algorithm for d in declaration.digests if d.algorithm != "sha256"}
            opened = (
                self._blobs.writer(digests=algorithms)
                if upload.staging_key is None
                else self._blobs.resume(upload.staging_key, offset, digests=algorithms)
            )
            partial = declaration if last else replace(declaration, size=None, digests=())
            async with opened as writer:
                receiver = Receiver(partial, writer, self._blobs, self._detector)
                try:
                    async for batch in body:
                        await receiver.write(batch)
                except (ClientGone, TooSlow):
                    await self._suspend(upload, receiver, writer)
                    raise
                if not last:
                    return await self._suspend(upload, receiver, writer), file
                blob = await receiver.finish()
            file = await self._complete(principal, upload, file, declaration, blob)
            return replace(upload, offset=blob.size, completed_at=file.version.updated_at), file
        finally:
            self._appending.discard(upload.id)

    async def _suspend(self, upload: Upload, receiver: Receiver, writer: BlobWriter) -> Upload:
        advanced = replace(upload, offset=await receiver.suspend(), staging_key=writer.key)

        async def work(unit: Unit) -> bool:
            return await unit.uploads.advance(advanced, was=upload.offset)

        if not await self._records.write(upload.company_id, work):
            raise OffsetMismatch(current=upload.offset, claimed=upload.offset)
        return advanced

    async def abort(self, principal: Principal, upload: Upload) -> None:
        """The promise is taken back; bytes that came already go."""
        now = self._clock.now()

        async def work(unit: Unit) -> bool:
            if not await unit.uploads.abort(upload.id, now):
                return False
            file = await unit.files.get(upload.file_id)
            if file is not None and file.deleted_at is None:
                await unit.files.save_version(
                    replace(file.version, state=State.DELETED, updated_at=now), was=State.AWAITING_UPLOAD
                )
                await unit.files.save(replace(file, deleted_at=now))
            await unit.audit.add(entry(principal, "upload.abort", upload.file_id, "ok", now))
            return True

        if not await self._records.write(upload.company_id, work):
            raise AlreadyUploaded
        if upload.staging_key:
            await self._blobs.delete(upload.staging_key)

    async def _complete(
        self, principal: Principal, upload: Upload, file: File, declaration: Declaration, blob: BlobRef
    ) -> File:
        now = self._clock.now()
        version = replace(
            file.version,
            state=State.RECEIVED,
            declared_type=declaration.content_type,
            size=blob.size,
            sha256=blob.sha256,
            blob_key=blob.key,
            updated_at=now,
        )
        # The life that was promised begins with the bytes.
        expires_at = None if file.expires_at is None else now + (file.expires_at - file.created_at)
        done = replace(file, version=version, expires_at=expires_at)

        async def work(unit: Unit) -> File:
            if not await unit.uploads.complete(upload.id, now):
                raise AlreadyUploaded
            await _charge(unit, principal, blob.size, 1)
            if not await unit.files.save_version(version, was=State.AWAITING_UPLOAD):
                raise NotFound("upload")
            await unit.files.save(done)
            await _received(unit, principal, declaration, done, now)
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


# --- parts of one commit -------------------------------------------------------------------------


async def _charge(unit: Unit, principal: Principal, size: int, files: int) -> None:
    company = principal.company
    await unit.ledger.charge(
        size, files, max_bytes=company.get(settings.QUOTA_BYTES), max_files=company.get(settings.QUOTA_FILES)
    )


async def _check_room(unit: Unit, principal: Principal, size: int) -> None:
    """Refuses a promise that could not be kept now. The quota is charged, exactly, when the bytes are there."""
    used = await unit.ledger.get()
    for what, limit, taken, wanted in (
        ("bytes", principal.company.get(settings.QUOTA_BYTES), used.bytes, size),
        ("files", principal.company.get(settings.QUOTA_FILES), used.files, 1),
    ):
        if limit is not None and taken + wanted > limit:
            raise QuotaExceeded(what, limit=limit, used=taken, wanted=wanted)


async def _named(unit: Unit, declaration: Declaration) -> File | None:
    return await unit.files.by_name(declaration.namespace, declaration.name) if declaration.namespace else None


def _new_file(
    principal: Principal, declaration: Declaration, id: str, now: datetime, state: State, blob: BlobRef | None
) -> File:
    return File(
        id=id,
        company_id=principal.company.id,
        api=declaration.api,
        name=declaration.name,
        created_at=now,
        version=_version(id, principal.company.id, 1, declaration, now, state, blob),
        namespace=declaration.namespace,
        alias=declaration.alias,
        owner=declaration.owner,
        acl=declaration.acl,
        expires_at=None if declaration.keep is None else now + declaration.keep,
        attributes=declaration.attributes,
    )


def _version(
    file_id: str,
    company_id: int,
    number: int,
    declaration: Declaration,
    now: datetime,
    state: State,
    blob: BlobRef | None,
) -> Version:
    return Version(
        file_id=file_id,
        number=number,
        company_id=company_id,
        state=state,
        created_at=now,
        updated_at=now,
        declared_type=declaration.content_type,
        size=blob.size if blob else 0,
        sha256=blob.sha256 if blob else None,
        blob_key=blob.key if blob else None,
        attributes=declaration.version_attributes,
    )


async def _next_version(unit: Unit, file: File, declaration: Declaration, now: datetime, blob: BlobRef | None) -> File:
    """Fills the latest version if it is a placeholder, else counts on."""
    old = file.version
    state = State.AWAITING_UPLOAD if blob is None else State.RECEIVED
    if old.state is State.AWAITING_UPLOAD:
        filled = _version(file.id, file.company_id, old.number, declaration, now, state, blob)
        version = replace(filled, created_at=old.created_at)
        await unit.files.save_version(version, was=State.AWAITING_UPLOAD)
    else:
        version = _version(file.id, file.company_id, old.number + 1, declaration, now, state, blob)
        await unit.files.add_version(version)
    return replace(file, version=version)


async def _received(unit: Unit, principal: Principal, declaration: Declaration, file: File, now: datetime) -> None:
    """What follows from bytes being there: the job that looks into them, the audit row, the event."""
    payload: dict[str, Any] = {"version": file.version.number}
    if declaration.allowed_types:
        payload["allowed_types"] = list(declaration.allowed_types)
    if declaration.strict_type:
        payload["strict_type"] = True
    await unit.jobs.enqueue("process", file.id, payload, at=now)
    await unit.audit.add(entry(principal, "upload", file.id, "ok", now))
    await _event(unit, file, now)


async def _event(unit: Unit, file: File, now: datetime) -> None:
    await unit.events.add(
        now, f"file.{file.state.value}", file.id, {"version": file.version.number, "name": file.name, "api": file.api}
    )
