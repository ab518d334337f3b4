"""Who may append to an upload: one request at a time, and a newer one may end it.

Within this process; between processes the store's lock on the staged bytes holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from loadingdock.core.errors import Conflict, DockError
from loadingdock.core.receiving import Batches

_GRACE = 1.5  # seconds; a body hands on what has come of it after one


class Turn:
    """The time in which one request sends bytes. `cut`: somebody else ended it before its body's end. `broken`: the
    body was not what its request said, which says nothing of the bytes that came before."""

    def __init__(self) -> None:
        self.cut = False
        self.broken = False
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._until: float | None = None
        self._waiting: asyncio.Timeout | None = None

    async def batches(self, body: Batches) -> AsyncIterator[Sequence[bytes]]:
        """The body's batches, until it or the turn ends. Only the wait for the client is cut short: what came is
        written."""
        iterator = aiter(body)
        while self._until is None or self._loop.time() < self._until:
            try:
                async with asyncio.timeout_at(self._until) as self._waiting:
                    batch = await anext(iterator)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            except DockError:
                self.broken = True
                raise
            finally:
                self._waiting = None
            yield batch
        self.cut = True

    def end(self) -> None:
        """What has come already is still taken."""
        if self._until is None:
            self._until = self._loop.time() + _GRACE
            if self._waiting is not None:
                self._waiting.reschedule(self._until)


class Turns:
    def __init__(self) -> None:
        self._held: dict[str, Turn] = {}

    @contextmanager
    def take(self, upload_id: str) -> Iterator[Turn]:
        """Raises Conflict while another request has the turn."""
        if upload_id in self._held:
            raise Conflict("Another request is sending bytes of this upload; wait until it has ended.")
        turn = self._held[upload_id] = Turn()
        try:
            yield turn
        finally:
            del self._held[upload_id]
            turn.ended.set()

    async def end(self, upload_id: str) -> None:
        """Returns when nobody appends any more, and what came until then is durable. The client behind that request
        is thought to be gone: it would not ask for anything else of this upload otherwise."""
        while turn := self._held.get(upload_id):
            turn.end()
            await turn.ended.wait()
