"""ClamAV's daemon over TCP or a Unix socket: `zINSTREAM` and `zVERSION` (clamd(8), section COMMANDS).

clamd answers limits and errors in the same place as findings. What may be called clean is therefore decided here: the
one reply `stream: OK`, for all bytes sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from loadingdock.core.model.processing import ScanResult, Verdict

CHUNK = 256 * 1024  # bytes sent at once
MAX_REPLY = 4096
_CONNECT = 5.0  # seconds
_PING = 10.0
_LENGTH = struct.Struct(">I")
_FOUND = re.compile(r"stream: (?P<name>[^\0]+) FOUND")
_UNSCANNABLE = ("Heuristics.Encrypted.", "Heuristics.Limits.Exceeded")


def classify(reply: bytes) -> ScanResult:
    """What a reply to INSTREAM means. Total: whatever is not known for certain is `scanner_down`."""
    if not reply.endswith(b"\0"):
        return ScanResult(Verdict.SCANNER_DOWN, "the reply was cut off" if reply else "there was no reply")
    text = reply[:-1].decode("utf-8", "replace").strip()
    if text == "stream: OK":
        return ScanResult(Verdict.CLEAN)
    if found := _FOUND.fullmatch(text):
        name = found["name"]
        unscannable = name.startswith(_UNSCANNABLE)
        return ScanResult(Verdict.UNSCANNABLE if unscannable else Verdict.INFECTED, name)
    if text.startswith("INSTREAM size limit exceeded"):
        return ScanResult(Verdict.UNSCANNABLE, text)
    return ScanResult(Verdict.SCANNER_DOWN, f"unexpected reply {text[:200]!r}")


class NoAnswer(Exception):
    """The daemon did not say its version. The words are ours and hold neither addresses nor what it said."""


class Unreadable(Exception):
    """The file itself cannot be read, which says nothing about the daemon."""


class Clamd:
    """One daemon. `address` is clamd://host:port or clamd:///path/to/socket; `timeout` in seconds is for one scan."""

    def __init__(self, address: str, *, timeout: float) -> None:
        self.address = address
        self._where = _parse(address)
        self._timeout = timeout

    async def scan(self, file: Path, size: int) -> ScanResult:
        """`scanner_down` is whatever the daemon failed. Raises Unreadable."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._instream(file, size)
        except TimeoutError:
            return ScanResult(Verdict.SCANNER_DOWN, f"no verdict within {self._timeout:g} s")
        except OSError as error:
            return ScanResult(Verdict.SCANNER_DOWN, f"{type(error).__name__}: {error}")

    async def version(self) -> str:
        """Raises NoAnswer."""
        try:
            async with asyncio.timeout(_PING), self._connection() as connection:
                await asyncio.get_running_loop().sock_sendall(connection, b"zVERSION\0")
                reply = await _reply(connection)
        except TimeoutError as error:
            raise NoAnswer("no answer in time") from error
        except OSError as error:
            raise NoAnswer(f"no connection ({type(error).__name__})") from error
        if not reply.startswith(b"ClamAV") or not reply.endswith(b"\0"):
            raise NoAnswer("it does not answer as clamd does")
        return reply[:-1].decode("utf-8", "replace")

    async def _instream(self, file: Path, size: int) -> ScanResult:
        async with self._connection() as connection:
            sent: int | None = None
            # clamd answers and closes before the end of the stream when it has seen enough (a limit). Its answer
            # counts although the write side broke; asyncio's streams would have thrown it away by then.
            with contextlib.suppress(ConnectionError):
                sent = await _send(file, connection)
            reply = await _reply(connection)
        result = classify(reply)
        if result.verdict is Verdict.CLEAN and sent != size:
            return ScanResult(Verdict.SCANNER_DOWN, f"an answer before all {size} bytes were sent")
        return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[socket.socket]:
        async with asyncio.timeout(_CONNECT):
            connection = await _connected(self._where)
        with connection:
            yield connection


async def _connected(where: str | tuple[str, int]) -> socket.socket:
    loop = asyncio.get_running_loop()
    if isinstance(where, str):
        places: list[tuple[int, Any]] = [(socket.AF_UNIX, where)]
    else:
        found = await loop.getaddrinfo(*where, type=socket.SOCK_STREAM)
        places = [(family, address) for family, _, _, _, address in found]
    failure = OSError(f"{where} has no address")
    for family, address in places:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


async def _send(file: Path, connection: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    sent = 0
    # Opened here, not in a thread: a time-out in between would leave it open.
    with _open(file) as source:
        await loop.sock_sendall(connection, b"zINSTREAM\0")
        while piece := await asyncio.to_thread(_read, source):
            await loop.sock_sendall(connection, _LENGTH.pack(len(piece)) + piece)
            sent += len(piece)
        await loop.sock_sendall(connection, _LENGTH.pack(0))
    return sent


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(CHUNK)
    except OSError as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


async def _reply(connection: socket.socket) -> bytes:
    """Up to the NUL that ends a reply, or what came instead of it."""
    loop = asyncio.get_running_loop()
    reply = b""
    while b"\0" not in reply and len(reply) < MAX_REPLY:
        try:
            piece = await loop.sock_recv(connection, MAX_REPLY)
        except ConnectionError:
            break
        if not piece:
            break
        reply += piece
    return reply


def _parse(address: str) -> str | tuple[str, int]:
    try:
        url, port = urlsplit(address), urlsplit(address).port
    except ValueError as error:  # it does not say of which address
        raise ValueError(f"{address!r} is not clamd://host:port: {error}") from error
    if url.scheme != "clamd" or url.query or url.fragment or url.username:
        raise ValueError(f"{address!r} is not clamd://host:port or clamd:///path/to/socket")
    if not url.hostname:
        if not url.path.startswith("/"):
            raise ValueError(f"{address!r} names neither a host nor a socket")
        return url.path
    if url.path not in ("", "/"):
        raise ValueError(f"{address!r} names both a host and a socket")
    return url.hostname, port or 3310
