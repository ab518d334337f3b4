"""Connections to checked addresses alone.

A name is resolved once for a connection. All of its addresses are judged, and the connection is made to one of those by
its number, so that a resolver that says something else a moment later is not asked again. TLS is still verified against
the name.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address

import httpcore

from loadingdock.adapters.outbound.addresses import Address
from loadingdock.adapters.outbound.rules import Rules
from loadingdock.adapters.outbound.urls import Target

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises socket.gaierror."""

_MOST = 8  # addresses of one name that are tried


class AddressRefused(Exception):
    """The target may not be reached. `str` says why."""


class SystemResolver:
    """What the machine says: hosts file, DNS. Each question blocks a thread of its own, `most` of them at once. Nobody
    waits for these threads at the end of the process: whoever owns a name decides how long its name server takes."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)

    async def __call__(self, host: str) -> Sequence[str]:
        await self._room.acquire()  # given back by the thread's end, however long its caller waits
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def tell(found: list[str], failure: Exception | None) -> None:
            self._room.release()
            if answer.done():
                return
            if failure is None:
                answer.set_result(found)
            else:
                answer.set_exception(failure)

        def ask() -> None:
            found: list[str] = []
            failure: Exception | None = None
            try:
                places = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                found = list(dict.fromkeys(str(place[0]) for *_, place in places))
            except Exception as error:
                failure = error
            with suppress(RuntimeError):  # the loop is closed by now
                loop.call_soon_threadsafe(tell, found, failure)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        return await answer


async def resolved(target: Target, resolve: Resolve) -> list[Address]:
    """Raises socket.gaierror, also for a name that has no address."""
    if target.address is not None:
        return [target.address]
    found = await resolve(target.host)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return [ip_address(address) for address in found]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """For one request to one target; whoever made it closes it."""

    def __init__(self, target: Target, rules: Rules, resolve: Resolve) -> None:
        self._target = target
        self._rules = rules
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()
        self._opened: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises AddressRefused, socket.gaierror, httpcore.ConnectError, httpcore.ConnectTimeout."""
        addresses = await resolved(self._target, self._resolve)
        if why := self._rules.refuse(self._target, addresses):
            raise AddressRefused(why)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses[:_MOST]:
            try:
                self._opened = await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
                return self._opened
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("a socket of this machine is never asked for")

    async def aclose(self) -> None:
        """Whatever became of the request: one that is ended while TLS is agreed upon leaves its connection open."""
        if self._opened is not None:
            await self._opened.aclose()

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)
