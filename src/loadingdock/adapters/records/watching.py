"""Following a company's events, on any engine."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from loadingdock.adapters.records.bell import Bell
from loadingdock.adapters.records.executor import events_of
from loadingdock.core.model.journal import Event
from loadingdock.core.ports.records import Records, Unit

_EVENTS = 100  # of one answer


async def watch(
    records: Records, bell: Bell, company_id: int, after: int, timeout: timedelta, *, longest: float | None = None
) -> tuple[Event, ...]:
    """The events behind `after` as soon as there is one; none when the time is up. Looks when the bell rings and, with
    `longest`, after that many seconds without a ring."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout.total_seconds()
    topic = events_of(company_id)

    async def work(unit: Unit) -> tuple[Event, ...]:
        return await unit.events.after(after, limit=_EVENTS)

    while True:
        seen = bell.count(topic)
        if events := await records.read(company_id, work):
            return events
        if (left := end - loop.time()) <= 0:
            return ()
        await bell.wait(topic, left if longest is None else min(left, longest), seen)
