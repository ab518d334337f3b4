"""A caller in an event loop, a work in a thread, and the way back."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from loadingdock.adapters.records.executor import Executor
from loadingdock.adapters.records.unit import SqlUnit

Work = Callable[[Any], Awaitable[Any]]


class Call:
    """One work on its way. It is given a unit of its company or, with `raw`, the executor itself."""

    __slots__ = ("company_id", "error", "future", "mailbox", "raw", "value", "work")

    def __init__(self, mailbox: Mailbox, work: Work, company_id: int | None, raw: bool) -> None:
        self.mailbox = mailbox
        self.future: asyncio.Future[Any] = mailbox.loop.create_future()
        self.work = work
        self.company_id = company_id
        self.raw = raw
        self.value: Any = None
        self.error: BaseException | None = None

    def perform(self, db: Executor, units: Units) -> None:
        """Steps the work to its end. Its unit never suspends here, so one step is all it takes."""
        steps = self.work(db if self.raw else units[self.company_id]).__await__()
        try:
            next(steps)
        except StopIteration as end:
            self.value = end.value
            return
        steps.close()
        raise RuntimeError(f"{self.work!r} awaited something else than its unit's methods inside a transaction")


class Units(dict[int | None, SqlUnit]):
    """A thread's units by company: they hold no state, and making all its parts for each work takes longer than many
    a query."""

    _MOST = 1024

    def __init__(self, db: Executor) -> None:
        self._db = db

    def __missing__(self, company_id: int | None) -> SqlUnit:
        if len(self) >= self._MOST:
            self.clear()
        unit = self[company_id] = SqlUnit(self._db, company_id)
        return unit


class Mailbox:
    """Brings ended calls into one event loop. Whatever ended before the loop looks comes with one wake-up."""

    __slots__ = ("__weakref__", "_ended", "_woken", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._ended: deque[Call] = deque()
        self._woken = False

    def post(self, calls: Iterable[Call]) -> None:
        self._ended.extend(calls)
        if self._woken:
            return  # not yet emptied: the loop will find these too
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            self._ended.clear()  # the loop is closed, and nobody waits in it any more

    def _deliver(self) -> None:
        self._woken = False
        while self._ended:
            call = self._ended.popleft()
            if call.future.done():
                continue  # the caller was cancelled
            if call.error is None:
                call.future.set_result(call.value)
            else:
                call.future.set_exception(call.error)


class Mailboxes:
    """The mailbox of the running event loop; a server has one loop, tests have many."""

    def __init__(self) -> None:
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = weakref.WeakKeyDictionary()
        self._last: Mailbox | None = None

    def here(self) -> Mailbox:
        loop = asyncio.get_running_loop()
        last = self._last
        if last is not None and last.loop is loop:
            return last
        mailbox = self._by_loop.get(loop)
        if mailbox is None:
            mailbox = self._by_loop[loop] = Mailbox(loop)
        self._last = mailbox
        return mailbox


def post(calls: Iterable[Call]) -> None:
    """Delivers ended calls, each into its own loop."""
    by_mailbox: dict[Mailbox, list[Call]] = {}
    for call in calls:
        by_mailbox.setdefault(call.mailbox, []).append(call)
    for mailbox, ended in by_mailbox.items():
        mailbox.post(ended)
