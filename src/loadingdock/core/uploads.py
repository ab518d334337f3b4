"""How bytes come in at once, in the request that says what they are.

The order is always the same. The bytes become durable under a fresh key; then one commit makes the record, the
charge to the company's quota, the job that looks into the file, the audit row and the event; only then is it
acknowledged. A failure before the commit leaves nothing but an orphan, which the sweep takes.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from loadingdock.core import publication, settings
from loadingdock.core.audit import entry
from loadingdock.core.model.blobs import BlobRef
from loadingdock.core.model.files import File, State
from loadingdock.core.model.identity import Principal
from loadingdock.core.names import safe_name
from loadingdock.core.pointing import kept_if_committed
from loadingdock.core.ports.blobs import BlobStore
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.processing import TypeDetector
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.receiving import Batches, Declaration, Receiver, check_declared


class Uploads:
    def __init__(self, records: Records, blobs: BlobStore, detector: TypeDetector, clock: Clock) -> None:
        self._records = records
        self._blobs = blobs
        self._detector = detector
        self._clock = clock

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

    async def take(self, declaration: Declaration, body: Batches) -> BlobRef:
        """A whole body. Its bytes are durable, and whoever asked publishes or discards them."""
        async with self.receiving(declaration) as receiver:
            async for batch in body:
                await receiver.write(batch)
            return await receiver.finish()

    async def receive(self, principal: Principal, declaration: Declaration, body: Batches) -> File:
        """A whole file in one request."""
        declaration = self.declare(principal, declaration)
        return await self.publish(principal, declaration, await self.take(declaration, body))

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

        async with kept_if_committed(self._blobs, blob):
            return await self._records.write(principal.company.id, work)

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

    async def discard(self, blob: BlobRef) -> None:
        """Bytes that were received and are not wanted after all."""
        await self._blobs.delete(blob.key)
