"""Bytes that a client puts straight into the store, into an inbox of its own, and how they become the promised file.

They are noticed by whoever asks after the file, by a sweep, and by the store's own events. What is noticed becomes a
job, which takes the bytes in as if they had been sent to us: counted, hashed and looked at while they are copied under
a fresh key. The client's URL goes on holding until its time is over, so nothing that lies under it is ever served.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from datetime import datetime, timedelta

from loadingdock.core import settings
from loadingdock.core.errors import (
    Conflict,
    Gone,
    InvalidInput,
    LengthMismatch,
    LimitExceeded,
    NotFound,
    QuotaExceeded,
    TooLarge,
    TypeRefused,
    Unavailable,
)
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State, Upload
from loadingdock.core.model.identity import Principal, PrincipalKind
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.blobs import Arrived, Inbox
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.promises import Promises

JOB = "arrive"
_NAME = re.compile(r"(?:^|/)([1-9][0-9]{0,17})/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$", re.ASCII)
_PATIENCE = timedelta(seconds=1)  # between two questions about the same file
_REMEMBERED = 4096
_HELD = timedelta(hours=1)  # a job's copying may take; the upload is not abandoned meanwhile
_RULES = (InvalidInput, LimitExceeded, TypeRefused, QuotaExceeded)


def name_of(upload: Upload) -> str:
    return f"{upload.company_id}/{upload.id}"


class Notices:
    """Who notices. `grace` is the age from which bytes without a record are removed."""

    def __init__(self, records: Records, inbox: Inbox, clock: Clock, *, grace: timedelta) -> None:
        self._records = records
        self._inbox = inbox
        self._clock = clock
        self._grace = grace
        self._asked: OrderedDict[str, datetime] = OrderedDict()

    async def look(self, file: File) -> None:
        """Somebody asks how far the file is. A store that is down does not keep him from knowing what we know."""
        now = self._clock.now()
        if file.state is not State.AWAITING_UPLOAD or now - self._asked.get(file.id, now - _PATIENCE) < _PATIENCE:
            return
        self._asked[file.id] = now
        self._asked.move_to_end(file.id)
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)

        async def work(unit: Unit) -> Upload | None:
            return await unit.uploads.of_file(file.id, file.version.number)

        upload = await self._records.read(file.company_id, work)
        if upload is None or upload.completed_at is not None or upload.aborted_at is not None:
            return
        with suppress(Unavailable):
            if await self._inbox.arrived(name_of(upload)) is not None:
                await self._enqueue(upload.company_id, upload.id)

    async def told(self, names: Iterable[str]) -> int:
        """By an event of the store: names of objects, whatever comes before them. What is not of ours is passed over,
        and whether there is anything under it the job finds out. Says how many jobs there are to do."""
        count = 0
        for name in names:
            if (match := _NAME.search(name)) is not None:
                count += await self._enqueue(int(match[1]), match[2])
        return count

    async def sweep(self) -> int:
        """What arrived without anybody noticing; and what nobody waits for goes."""
        count = 0
        async for name, at in self._inbox.list():
            match = _NAME.fullmatch(name)
            if match is not None and await self._enqueue(int(match[1]), match[2]):
                count += 1
            elif at < self._clock.now() - self._grace:
                await self._inbox.remove(name)
        return count

    async def _enqueue(self, company_id: int, upload_id: str) -> bool:
        now = self._clock.now()

        async def work(unit: Unit) -> bool:
            upload = await unit.uploads.get(upload_id)
            if upload is None or upload.completed_at is not None or upload.aborted_at is not None:
                return False
            if await unit.jobs.enqueue(JOB, upload_id, at=now, dedupe_key=f"{JOB}/{upload_id}") is not None:
                await unit.uploads.hold(upload_id, now + _HELD)
            return True

        async def known(unit: Unit) -> Company | None:
            return await unit.companies.by_id(company_id)

        if await self._records.read(None, known) is None:
            return False
        return await self._records.write(company_id, work)


class Arrivals:
    """Who takes them in."""

    def __init__(self, records: Records, inbox: Inbox, promises: Promises, clock: Clock) -> None:
        self._records = records
        self._inbox = inbox
        self._promises = promises
        self._clock = clock

    async def run(self, job: Job) -> None:
        async def known(unit: Unit) -> tuple[Company | None, Upload | None, File | None]:
            upload = await unit.uploads.get(job.subject)
            file = None if upload is None else await unit.files.get(upload.file_id)
            return await unit.companies.by_id(job.company_id), upload, file

        company, upload, file = await self._records.read(job.company_id, known)
        if company is None or upload is None or file is None:
            return
        arrived = await self._inbox.arrived(name_of(upload))
        if arrived is None:
            return
        principal = Principal(company, PrincipalKind.SYSTEM, "store", frozenset())
        if upload.completed_at is None and upload.aborted_at is None:
            try:
                await self._take_in(principal, upload, file, arrived)
            except _RULES as error:
                await self._promises.refuse(principal, upload, error.message)
            except (Conflict, NotFound, Gone):
                pass  # completed, taken back or over meanwhile: nobody waits for these bytes any more
        await self._inbox.remove(name_of(upload))

    async def _take_in(self, principal: Principal, upload: Upload, file: File, arrived: Arrived) -> None:
        # Before anything is read: a rule that the store's own word for the size shows to be broken.
        if upload.size is not None and arrived.size != upload.size:
            raise LengthMismatch(declared=upload.size, received=arrived.size)
        if arrived.size > upload.max_size:
            raise TooLarge(limit=upload.max_size, received=arrived.size)
        declaration = self._promises.declaration_of(
            upload,
            file,
            content_type=arrived.content_type,
            strict_type=principal.company.get(settings.TYPE_POLICY) == "strict",
        )
        async with aclosing(self._batches(name_of(upload))) as body:
            await self._promises.fulfil(principal, upload, file, declaration, body)

    async def _batches(self, name: str) -> AsyncGenerator[list[bytes], None]:
        async with aclosing(self._inbox.read(name)) as pieces:
            async for piece in pieces:
                yield [piece]
