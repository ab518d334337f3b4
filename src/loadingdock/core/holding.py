"""A request that began while its upload's time ran may end after it, as with S3: the sweep leaves the upload alone.

The hold is in the records, a minute at a time, so that it counts in every process; when this one dies, a minute is all
that is left over. Nothing else becomes possible by it: links, and requests that begin later, keep to the upload's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from loadingdock.core.errors import Unavailable
from loadingdock.core.model.files import Upload
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.records import Records, Unit

_AHEAD = timedelta(seconds=10)  # before the time is over
_MORE = timedelta(minutes=1)


@asynccontextmanager
async def held(records: Records, clock: Clock, upload: Upload) -> AsyncIterator[None]:
    """While bytes of the upload come. Most requests end long before there is anything to do."""
    hold = _Hold(records, clock, upload)
    holding = asyncio.create_task(hold.keep())
    try:
        yield
    finally:
        holding.cancel()
        await asyncio.wait((holding,))
        if hold.written:
            with suppress(Unavailable):  # it runs out by itself
                await hold.write(None)


class _Hold:
    def __init__(self, records: Records, clock: Clock, upload: Upload) -> None:
        self._records = records
        self._clock = clock
        self._upload = upload
        self.written = False

    async def keep(self) -> None:
        until = self._upload.expires_at
        while True:
            await asyncio.sleep((until - _AHEAD - self._clock.now()).total_seconds())
            self.written = True
            with suppress(Unavailable):  # asked again in time
                await self.write(self._clock.now() + _MORE)
            until = self._clock.now() + _MORE / 2

    async def write(self, until: datetime | None) -> None:
        async def work(unit: Unit) -> None:
            await unit.uploads.hold(self._upload.id, until)

        await self._records.write(self._upload.company_id, work)
