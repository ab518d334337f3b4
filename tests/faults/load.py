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
        self._acknowledged = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._clients = [asyncio.create_task(self._client(number)) for number in range(_CLIENTS)]
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
        started, before = time.monotonic(), len(self.ledger)
        async with asyncio.timeout(BACK_WITHIN):
            while len(self.ledger) < before + uploads:
                self._acknowledged.clear()
                acknowledged = asyncio.ensure_future(self._acknowledged.wait())
                await asyncio.wait({acknowledged, *self._clients}, return_when=asyncio.FIRST_COMPLETED)
                acknowledged.cancel()
                for client in self._clients:
                    if client.done():
                        client.result()
        return time.monotonic() - started

    async def _client(self, number: int) -> None:
        flow = self._flows[number % len(self._flows)]
        async with self._connect() as connection:
            while not self._ending.is_set():
                started = time.monotonic()
                try:
                    self.ledger.append(await flow.send(connection))
                    self._acknowledged.set()
                except httpx.HTTPStatusError as error:
                    answer = error.response
                    if answer.status_code != 503 or "retry-after" not in answer.headers:
                        raise AssertionError(f"{answer.request.url}: {answer.status_code} {answer.text}") from None
                    self.refused += 1
                except httpx.TransportError:
                    self.broken += 1
                self.longest = max(self.longest, time.monotonic() - started)
                await asyncio.sleep(self._pause)
