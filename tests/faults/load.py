"""Clients that send through every API at once, and what they were told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import httpx

from tests.faults.flows import Flow, Receipt

BACK_WITHIN = 30.0  # seconds in which the service goes on by itself once what it needs is back
_REFUSED_WITHIN = 120.0  # generous: until then a fault may have to come about first, such as a disk that fills
_CLIENTS = 8


class Load:
    """`async with`: they send while it lasts. `ledger` is what was acknowledged. A refusal must be 503 and say when to
    come again; anything else ends the load with what was said. `broken` counts the requests that got no answer,
    because the process that had them was killed; `longest` is how long one upload took, whatever it was told, in
    seconds. Every client rests for `pause` seconds between two uploads.
    """

    def __init__(self, flows: Sequence[Flow], connect: Callable[[], httpx.AsyncClient], *, pause: float = 0.02) -> None:
        self.ledger: list[Receipt] = []
        self.refused = 0
        self.broken = 0
        self.longest = 0.0
        self._flows = flows
        self._connect = connect
        self._pause = pause
        self._ending = asyncio.Event()
        self._told = asyncio.Event()
        self._last = dict.fromkeys(range(_CLIENTS), "nothing yet")
        self._clients: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._clients = [asyncio.create_task(self._client(number)) for number in range(_CLIENTS)]
        for client in self._clients:
            client.add_done_callback(lambda _: self._told.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if error is not None:
            for client in self._clients:
                client.cancel()
        ends = await asyncio.gather(*self._clients, return_exceptions=True)
        for end in ends:
            if error is None and isinstance(end, BaseException):
                raise end

    async def goes_on(self, uploads: int = _CLIENTS + 1) -> float:
        """Until so many more were acknowledged, more than can have been under way. The seconds that it took."""
        started, wanted = time.monotonic(), len(self.ledger) + uploads
        await self._until(lambda: len(self.ledger) >= wanted, BACK_WITHIN)
        return time.monotonic() - started

    async def is_refused(self, uploads: int = 1) -> None:
        """Until so many more were told to come again."""
        wanted = self.refused + uploads
        await self._until(lambda: self.refused >= wanted, _REFUSED_WITHIN)

    async def _until(self, wanted: Callable[[], bool], within: float) -> None:
        """Looked at whenever a client was told something. Raises what ended a client."""
        acknowledged, refused, broken = len(self.ledger), self.refused, self.broken
        try:
            async with asyncio.timeout(within):
                while not wanted():
                    self._told.clear()
                    await self._told.wait()
                    for client in self._clients:
                        if client.done():
                            client.result()
        except TimeoutError:
            raise AssertionError(
                f"in {within:g} s {len(self.ledger) - acknowledged} uploads were acknowledged,"
                f" {self.refused - refused} refused and {self.broken - broken} not answered. Each client's last:\n"
                + "\n".join(self._last.values())
            ) from None

    async def _client(self, number: int) -> None:
        flow = self._flows[number % len(self._flows)]
        async with self._connect() as connection:
            while not self._ending.is_set():
                started = time.monotonic()
                try:
                    self.ledger.append(await flow.send(connection))
                    last = "acknowledged"
                except httpx.HTTPStatusError as error:
                    answer = error.response
                    last = f"{answer.url}: {answer.status_code} {answer.text}"
                    if answer.status_code != 503 or "retry-after" not in answer.headers:
                        raise AssertionError(last) from None
                    self.refused += 1
                except httpx.TransportError as error:
                    last = repr(error)
                    self.broken += 1
                now = time.monotonic()
                self.longest = max(self.longest, now - started)
                self._last[number] = f"{type(flow).__name__} at {now:.1f} after {now - started:.1f} s: {last}"
                self._told.set()
                await asyncio.sleep(self._pause)
