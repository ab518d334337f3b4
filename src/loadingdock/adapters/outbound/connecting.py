"""Connections to checked addresses alone.

A name is resolved once for a connection. All of its addresses are judged, and the connection is made to one of those by
its number, so that a resolver that says something else a moment later is not asked again. TLS is still verified against
the name.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
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


def system_addresses(host: str) -> list[str]:
    """What the machine's resolver says: hosts file, DNS. Blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


async def resolved(target: Target, resolve: Resolve) -> list[Address]:
    """Raises socket.gaierror, also for a name that has no address."""
    if target.address is not None:
        return [target.address]
    found = await resolve(target.host)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return [ip_address(address) for address in found]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """For one target."""

    def __init__(self, target: Target, rules: Rules, resolve: Resolve) -> None:
        self._target = target
        self._rules = rules
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()

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
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefused("a socket of this machine is never asked for")

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)
