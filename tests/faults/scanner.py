"""A clamd whose every answer is the test's, in front of one that works."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tests.unit.fake_clamd import fake_clamd, stream

Scan = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What happens on a connection behind the command INSTREAM."""

_CLEAN = b"stream: OK\0"


class Held:
    """A scan that has all bytes and waits for what the test makes it answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, content: bytes) -> None:
        self.content = content
        self._loop = loop
        self._reply: asyncio.Future[bytes] = loop.create_future()
        self._sent = threading.Event()

    def answer(self, reply: bytes = _CLEAN) -> None:
        """Returns when it is on its way."""
        self._loop.call_soon_threadsafe(self._reply.set_result, reply)
        assert self._sent.wait(10)

    async def end(self, writer: asyncio.StreamWriter) -> None:
        writer.write(await self._reply)
        await writer.drain()
        self._sent.set()


class StagedClamd:
    """`scan` is what happens to each scan from then on, and `scans` counts them; those that were held come in order
    from `held`. It lives on a thread of its own and tells its version at any time."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.scan: Scan = self.hold
        self.scans = 0
        self._loop = loop
        self._held: queue.Queue[Held] = queue.Queue()

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = Held(self._loop, await stream(reader))
        self._held.put(held)
        await held.end(writer)

    def held(self) -> Held:
        """The next one."""
        return self._held.get(timeout=60)

    def has_begun(self, scans: int) -> bool:
        return self.scans >= scans

    async def behave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readuntil(b"\0") == b"zVERSION\0":
            writer.write(b"ClamAV 1.4.3\0")
            await writer.drain()
            return
        self.scans += 1
        await self.scan(reader, writer)


@contextmanager
def staged_clamd() -> Iterator[StagedClamd]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="staged-clamd", daemon=True)
    thread.start()
    staged = StagedClamd("", loop)
    server = fake_clamd(lambda reader, writer: staged.behave(reader, writer))
    try:
        staged.url = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        yield staged
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def forwarding(port: int) -> Scan:
    """By the daemon at that port, byte by byte."""

    async def scan(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_clamd, to_clamd = await asyncio.open_connection("127.0.0.1", port)
        to_clamd.write(b"zINSTREAM\0")

        async def pump() -> None:
            while piece := await reader.read(1 << 16):
                to_clamd.write(piece)
                await to_clamd.drain()

        pumping = asyncio.create_task(pump())
        try:
            writer.write(await from_clamd.readuntil(b"\0"))
            await writer.drain()
        finally:
            pumping.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await pumping
            to_clamd.close()

    return scan
