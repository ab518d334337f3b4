"""A request that began while its upload's time ran may end after it, as with S3: the promise stays open under it.

It is prolonged in the records, a minute at a time, so that the sweep of any process leaves it alone; when the process
dies, the minute is all that is left over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from loadingdock.core.errors import Unavailable
from loadingdock.core.model import Upload
from loadingdock.core.ports import Clock, Records, Unit

_AHEAD = timedelta(seconds=10)  # before the time is over
_MORE = timedelta(minutes=1)


@asynccontextmanager
async def kept_open(records: Records, clock: Clock, upload: Upload) -> AsyncIterator[None]:
    """While bytes of the upload come. Most requests end long before there is anything to do."""
    prolonging = asyncio.create_task(_prolong(records, clock, upload))
    try:
        yield
    finally:
        prolonging.cancel()
        await asyncio.wait((prolonging,))


async def _prolong(records: Records, clock: Clock, upload: Upload) -> None:
    until: datetime = upload.expires_at
    while True:
        await asyncio.sleep((until - _AHEAD - clock.now()).total_seconds())
        until = max(until, clock.now()) + _MORE

        async def work(unit: Unit, until: datetime = until) -> bool:
            return await unit.uploads.prolong(upload.id, until)

        try:
            if not await records.write(upload.company_id, work):
                return  # it was taken back; the request finds out when it wants to complete
        except Unavailable:
            until = clock.now() + _AHEAD  # asked again at once
            await asyncio.sleep(1)
