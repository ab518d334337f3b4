"""The HTTP server: uvicorn on uvloop and httptools, set up for large bodies and strange clients."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from loadingdock.web.protocol import Config, Limits, Protocol

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_OWN_FILES = 64  # descriptors that are nobody's connection


def keep_large_chunks() -> None:
    """Tells glibc's malloc to reuse the memory of large pieces rather than to give it back after each: batches of
    1 MiB would otherwise cost an mmap, its page faults and a munmap every time. Nothing where there is no glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for parameter, size in ((_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 16 << 20), (_M_TOP_PAD, 1 << 20)):
        mallopt(parameter, size)


def raise_open_files() -> int:
    """Lifts the soft limit on open files to the hard one and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard


class Server(uvicorn.Server):
    """uvicorn's server, which also ends connections whose clients let it wait."""

    def __init__(
        self,
        config: Config,
        on_listening: Callable[[str, int], None] | None = None,
        on_draining: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._on_draining = on_draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What has been loaded lives as long as the process. Left out of every collection, it costs no pause of 0.1 s
        # whenever the oldest generation is looked through.
        gc.collect()
        gc.freeze()
        if self._on_listening is not None:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_listening(host, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._on_draining is not None:
            self._on_draining()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # every second
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Protocol)
                connection.check(connection.loop.time())
        return await super().on_tick(counter)


class _Beside(Server):
    """In a program that has signals and an end of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def beside(app: ASGIApp, host: str, port: int) -> AsyncIterator[int]:
    """Serves in the running loop until the block ends; yields the port. The address has to be free."""
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = _Beside(configure(app, host, port, drain=1), lambda _, found: listening.set_result(found))
    serving = asyncio.create_task(server.serve(), name="server")
    either: set[asyncio.Future[Any]] = {serving, listening}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
        raise RuntimeError("the server ended before it listened")
    try:
        yield listening.result()
    finally:
        server.should_exit = True
        await serving


def configure(
    app: ASGIApp, host: str, port: int, *, limits: Limits | None = None, keep_alive: int = 75, drain: int = 30
) -> Config:
    """The server's configuration. `keep_alive`: seconds that a connection may be idle, more than the load balancers in
    use wait, so that it is they who close. `drain`: seconds that requests have to end after SIGTERM."""
    config = Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the application knows which proxies it trusts
        server_header=False,
        backlog=4096,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=drain,
        # A request needs its connection and, in the main, one file.
        limit_concurrency=max(8, (raise_open_files() - _OWN_FILES) // 2),
    )
    config.limits = limits or Limits()
    return config


def run(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    limits: Limits | None = None,
    keep_alive: int = 75,
    drain: int = 30,
    on_listening: Callable[[str, int], None] | None = None,
    on_draining: Callable[[], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then lets requests end. `on_listening` is told the address, where `port` was 0
    the one that was found; `on_draining` is called when the end begins. Exits with status 3 if the application does
    not start or the address cannot be had."""
    keep_large_chunks()
    config = configure(app, host, port, limits=limits, keep_alive=keep_alive, drain=drain)
    Server(config, on_listening, on_draining).run()
