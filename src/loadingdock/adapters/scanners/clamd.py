"""ClamAV's daemon over TCP or a Unix socket: `zINSTREAM` and `zVERSION` (clamd(8), section COMMANDS).

clamd answers limits and errors in the same place as findings, and calls clean some things that it did not look into.
What may be called clean is therefore decided here: the one reply `stream: OK`, for all bytes sent, of a file that has
nothing in it beyond clamd's limits.
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
from typing import Any
from urllib.parse import urlsplit

from loadingdock.adapters.confined import Limits as ChildLimits
from loadingdock.adapters.scanners.archives import Limits
from loadingdock.adapters.scanners.inspection import Inspection, as_file
from loadingdock.core.errors import Unavailable
from loadingdock.core.model import ScanResult, Verdict

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


class ClamdScanner:
    """`address` is clamd://host:port or clamd:///path/to/socket.

    clamd cannot be asked for its limits, so they are told: `max_stream` is its StreamMaxLength, `max_entry` its
    MaxFileSize and `unpacked` its MaxScanSize, in bytes. Archives are opened here first, because clamd 1.4 calls clean
    what it passed over: a zip's entry that unpacks to more than MaxFileSize, a zip without its end, a method that it
    does not know. `timeout` in seconds is for one whole scan. Temporary files go to `folder`; None: the system's place.
    """

    name = "ClamAV"
    antivirus = True

    def __init__(
        self,
        address: str,
        *,
        max_stream: int = 100_000_000,
        max_entry: int = 100_000_000,
        timeout: float = 300.0,
        unpacked: int = 400_000_000,
        folder: Path | None = None,
    ) -> None:
        self._where = _parse(address)
        self._max_stream = max_stream
        self._timeout = timeout
        self._folder = folder
        self._inspection = Inspection(
            archives=Limits(entry=max_entry, unpacked=unpacked),
            child=ChildLimits(file_size=max_entry, wall=timeout),
            children=1,
            folder=folder,
        )

    async def scan(self, body: AsyncIterator[bytes], size: int, path: Path | None = None) -> ScanResult:
        if size > self._max_stream:
            return ScanResult(Verdict.UNSCANNABLE, f"{size} bytes, but clamd takes {self._max_stream}")
        try:
            async with asyncio.timeout(self._timeout), as_file(body, size, path, self._folder) as file:
                opened = await self._inspection.look(file, size)
                if opened.verdict is Verdict.SCANNER_DOWN:
                    return opened
                scanned = await self._instream(file, size)
                # A file that cannot be opened whole may still have something that clamd finds, which is worse.
                return opened if scanned.verdict is Verdict.CLEAN else scanned
        except TimeoutError:
            return ScanResult(Verdict.SCANNER_DOWN, f"no verdict within {self._timeout:g} s")
        except Exception as error:  # the network's, the store's: the port knows no exception, and clean would be a lie
            return ScanResult(Verdict.SCANNER_DOWN, f"{type(error).__name__}: {error}")

    async def ping(self) -> str:
        try:
            async with asyncio.timeout(_PING), self._connection() as connection:
                await asyncio.get_running_loop().sock_sendall(connection, b"zVERSION\0")
                reply = await _reply(connection)
        except (OSError, TimeoutError) as error:
            raise Unavailable("scanner") from error
        if not reply.startswith(b"ClamAV") or not reply.endswith(b"\0"):
            raise Unavailable("scanner")
        return reply[:-1].decode("utf-8", "replace")

    async def close(self) -> None:
        await self._inspection.close()

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
    with file.open("rb") as source:
        await loop.sock_sendall(connection, b"zINSTREAM\0")
        while piece := await asyncio.to_thread(source.read, CHUNK):
            await loop.sock_sendall(connection, _LENGTH.pack(len(piece)) + piece)
            sent += len(piece)
        await loop.sock_sendall(connection, _LENGTH.pack(0))
    return sent


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
    url = urlsplit(address)
    if url.scheme != "clamd" or url.query or url.fragment or url.username:
        raise ValueError(f"{address!r} is not clamd://host:port or clamd:///path/to/socket")
    if not url.hostname:
        if not url.path.startswith("/"):
            raise ValueError(f"{address!r} names neither a host nor a socket")
        return url.path
    if url.path not in ("", "/"):
        raise ValueError(f"{address!r} names both a host and a socket")
    return url.hostname, url.port or 3310
