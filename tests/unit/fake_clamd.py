"""A clamd that does what a broken one might: answers early, late, wrongly, by halves or never."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

VERSION = f"ClamAV 1.4.3/27000/{datetime.now(UTC):%a %b %d %H:%M:%S %Y}"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def fake_clamd(behave: Behaviour, port: int = 0) -> AsyncIterator[str]:
    """The address of a server that behaves so on every connection. On leaving, whatever still hangs is cut off."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behave(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"clamd://{host}:{port}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def take(reader: asyncio.StreamReader) -> bytes:
    """A whole INSTREAM session's content, as clamd reads it."""
    assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
    return await stream(reader)


async def stream(reader: asyncio.StreamReader) -> bytes:
    """The content behind the command."""
    content = bytearray()
    while length := struct.unpack(">I", await reader.readexactly(4))[0]:
        content += await reader.readexactly(length)
    return bytes(content)


def saying(reply: bytes) -> Behaviour:
    """Takes everything, then answers so and closes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await take(reader)
        writer.write(reply)
        await writer.drain()

    return behave


def finding(virus: bytes) -> Behaviour:
    """Works as it should: says its version, and FOUND of what holds the virus."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"\0")
        if command == b"zVERSION\0":
            reply = VERSION.encode() + b"\0"
        else:
            content = await stream(reader)
            reply = b"stream: Test.Virus FOUND\0" if virus in content else b"stream: OK\0"
        writer.write(reply)
        await writer.drain()

    return behave


def refusing_early(reply: bytes) -> Behaviour:
    """Answers after the command and closes with bytes unread, which resets the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0")
        writer.write(reply)
        await writer.drain()
        writer.write_eof()
        reset(writer)

    return behave


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and never answers."""
    await take(reader)
    await asyncio.Event().wait()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Neither reads nor answers."""
    await asyncio.Event().wait()


async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Resets the connection in the middle of the stream."""
    await reader.read(10)
    reset(writer)


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and closes without a word."""
    await take(reader)


def reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
