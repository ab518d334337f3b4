"""The bytes of a request, as a stream of batches with limits on size, time and pace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import Request

from loadingdock.core.errors import ClientGone, InvalidInput, LengthMismatch, TooLarge, TooSlow
from loadingdock.web.errors import UnsupportedMediaType

BATCH = 1 << 20  # larger ones bring the malloc churn back that the server's settings avoid
_FLUSH = 1.0  # seconds after which a batch goes on although it is not full: slow clients must not fill the memory
_DIGITS = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Pace:
    """The slowest client that is waited for. Over every `window` seconds of waiting for it, at least `rate` bytes a
    second must come; the first window is its grace. `deadline` seconds after the first byte was asked for the body
    is over, however well it runs. What the service itself takes to store bytes is not counted as waiting."""

    rate: int = 1024
    window: float = 30.0
    deadline: float = 6 * 3600.0


DEFAULT_PACE = Pace()


class Body:
    """The body of one request, read once. Nothing is received before the first byte is asked for, so that a request
    may be refused without `100 Continue`.

    `declared` is the Content-Length, None where the body is chunked. The constructor raises what can be known from
    the headers alone: UnsupportedMediaType for a Content-Encoding (it is refused rather than stored undecoded under a
    wrong type, RFC 9110 8.4), TooLarge for a Content-Length above `max_size`.
    """

    def __init__(self, request: Request, *, max_size: int, pace: Pace = DEFAULT_PACE) -> None:
        self.max_size = max_size
        self.received = 0
        self.declared = _content_length(request.headers)
        self._receive = request.receive
        self._pace = pace
        _refuse_encoding(request.headers)
        if self.declared is not None and self.declared > max_size:
            raise TooLarge("Request body", limit=max_size, received=self.declared)

    async def batches(self) -> AsyncGenerator[list[bytes], None]:
        """Lists of pieces, about 1 MiB together. Raises TooLarge as soon as more than `max_size` bytes have come,
        LengthMismatch, TooSlow and ClientGone."""
        clock = _Clock(self._pace)
        more = True
        while more:
            batch, more = await self._gather(clock)
            if batch:
                yield batch
        if self.declared is not None and self.received != self.declared:
            raise LengthMismatch(declared=self.declared, received=self.received)

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""
        if self.declared is not None and self.declared > limit:
            raise TooLarge("Request body", limit=limit, received=self.declared)
        self.max_size = min(self.max_size, limit)
        pieces: list[bytes] = []
        async for batch in self.batches():
            pieces += batch
        return b"".join(pieces)

    async def _gather(self, clock: _Clock) -> tuple[list[bytes], bool]:
        """(pieces, whether more may come). Hands on what there is when the batch is full, when time is up and when
        the client has gone: a resumable upload keeps what came, and the next call raises."""
        batch: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout_at(clock.start()):
                while size < BATCH:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        if batch:
                            return batch, True
                        raise ClientGone
                    piece: bytes = message.get("body", b"")
                    if piece:
                        batch.append(piece)
                        size += len(piece)
                        self.received += len(piece)
                        if self.received > self.max_size:
                            raise TooLarge("Request body", limit=self.max_size, received=self.received)
                    if not message.get("more_body", False):
                        return batch, False
        except TimeoutError:
            pass
        clock.stop(size)
        return batch, True


class _Clock:
    """Counts the time in which a client was waited for."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + pace.deadline
        self._started = 0.0
        self._waited = 0.0
        self._came = 0

    def start(self) -> float:
        """When to look again. Raises TooSlow for a client that is not waited for any more."""
        pace = self._pace
        self._started = self._loop.time()
        if self._started >= self._ends:
            raise TooSlow(f"The body did not end within {pace.deadline:g} s.")
        if self._waited >= pace.window:
            if self._came < pace.rate * self._waited:
                raise TooSlow(f"The body came with less than {pace.rate} bytes a second for {self._waited:.1f} s.")
            self._waited = 0.0
            self._came = 0
        return min(self._started + min(_FLUSH, pace.window - self._waited), self._ends)

    def stop(self, came: int) -> None:
        self._waited += self._loop.time() - self._started
        self._came += came


def _content_length(headers: Headers) -> int | None:
    values = headers.getlist("content-length")
    if not values:
        return None
    if len(values) > 1 or _DIGITS.fullmatch(values[0]) is None:
        raise InvalidInput("Content-Length must be one decimal number.", field="Content-Length")
    return int(values[0])


def _refuse_encoding(headers: Headers) -> None:
    for value in headers.getlist("content-encoding"):
        if value.strip().lower() not in ("", "identity"):
            raise UnsupportedMediaType(f"Content-Encoding {value!r} is not accepted; send the bytes as they are.")
