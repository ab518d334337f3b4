"""Promised bytes that come in several requests, each where the one before left off."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from loadingdock.core.errors import (
    ClientGone,
    Conflict,
    InvalidInput,
    LimitExceeded,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    TooSlow,
    TypeRefused,
)
from loadingdock.core.holding import held
from loadingdock.core.model.files import File, Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.ports.blobs import BlobStore, BlobWriter
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.processing import TypeDetector
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.promises import Promises
from loadingdock.core.receiving import Batches, Declaration, Receiver
from loadingdock.core.turns import Turn, Turns

# What shows that the bytes staged so far can never become the file that was promised.
_HOPELESS = (InvalidInput, LimitExceeded, TypeRefused, QuotaExceeded, NotFound)


class Appending:
    def __init__(
        self,
        promises: Promises,
        turns: Turns,
        records: Records,
        blobs: BlobStore,
        detector: TypeDetector,
        clock: Clock,
    ) -> None:
        self._promises = promises
        self._turns = turns
        self._records = records
        self._blobs = blobs
        self._detector = detector
        self._clock = clock

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
                    upload, file = await self._promises.find(upload.company_id, upload.id)
                    if offset != upload.offset:
                        raise OffsetMismatch(current=upload.offset, claimed=offset)
                    receiver = Receiver(declaration, writer, self._blobs, self._detector)
                    await self._take_in(turn, upload, declaration, receiver, writer, body)
                    if not last:
                        return await self._suspend(upload, declaration, receiver, writer), file
                    blob = await receiver.finish()
                file = await self._promises.complete(principal, upload, declaration, blob)
                return replace(upload, offset=blob.size, completed_at=file.version.updated_at), file
            except _HOPELESS as error:
                if turn.broken:
                    raise
                await self._drop(upload)
                if isinstance(error, NotFound):  # its staged bytes are gone; the record tells why
                    await self._promises.find(upload.company_id, upload.id)
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
        upload, _ = await self._promises.find(upload.company_id, upload.id)
        return await self._drop(upload)

    async def _drop(self, upload: Upload) -> Upload:
        fresh = replace(upload, offset=0, staging_key=None)
        if upload.staging_key is not None and await self._advance(fresh, was=upload.offset):
            await self._blobs.delete(upload.staging_key)
        return fresh
