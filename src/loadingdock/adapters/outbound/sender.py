"""Callbacks over HTTP/1.1: a connection of its own for each request, no redirects, no proxies, no cookies.

httpcore is used without httpx above it, which would bring redirects and the environment's proxies along. Of an answer
its status and `Retry-After` are looked at; of its body a little is read, so that a receiver sees its answer taken, and
none of it is kept.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property

import httpcore

from loadingdock import __version__
from loadingdock.adapters.outbound.addresses import Address
from loadingdock.adapters.outbound.connecting import (
    AddressRefused,
    GuardedBackend,
    Resolve,
    SystemResolver,
    resolved,
)
from loadingdock.adapters.outbound.rules import Rules
from loadingdock.adapters.outbound.urls import Target, UrlRefused, parse
from loadingdock.core.errors import InvalidInput
from loadingdock.core.ports.callbacks import Answer
from loadingdock.core.ports.clock import Clock

_CHECK = 3.0  # seconds that a resolver has while a client waits for its answer
_CONNECT = 5.0  # seconds for one of several addresses
_COURTESY = 1.0  # seconds, and bytes, of a body that are read
_COURTESY_BYTES = 65_536
_NAMES = 8  # resolved at once
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class HttpSender:
    """Port CallbackSender. `timeout` in seconds is for all of a request: name, connection, TLS, answer. `tls` and
    `resolve` are for tests."""

    def __init__(
        self,
        rules: Rules,
        clock: Clock,
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._timeout = timeout
        self._given = tls
        self._resolve = resolve or SystemResolver(_NAMES)

    async def check(self, url: str) -> str:
        try:
            target = parse(url)
            if why := self._rules.refuse(target, await self._known(target)):
                raise UrlRefused(why)
        except UrlRefused as refused:
            raise InvalidInput(f"The callback URL cannot be used: {refused}.", field="callback") from None
        return target.url

    async def _known(self, target: Target) -> Sequence[Address]:
        """Its addresses; none if the resolver does not know any now. Resolvers without a network say of every name that
        it does not exist, and a new name takes its time to be known: three days of attempts will show."""
        try:
            async with asyncio.timeout(_CHECK):
                return await resolved(target, self._resolve)
        except (socket.gaierror, TimeoutError):
            return []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def took() -> timedelta:
            return timedelta(milliseconds=round((loop.time() - begun) * 1000))

        try:
            async with asyncio.timeout(self._timeout):
                status, retry_after = await self._exchange(parse(url), headers, body)
        except Exception as error:
            fault, sentence = self._failure(error)
            return Answer(took(), fault=fault, error=sentence)
        return Answer(took(), status=status, retry_after=self._retry_after(retry_after))

    async def _exchange(self, target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, str | None]:
        """(status, the header Retry-After)"""
        origin = httpcore.Origin(target.scheme.encode(), target.host.encode(), target.port)
        backend = GuardedBackend(target, self._rules, self._resolve)
        connection = httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=self._tls if target.scheme == "https" else None,
            network_backend=backend,
        )
        sent = {
            "host": target.netloc,
            "user-agent": f"loadingdock/{__version__}",
            "accept": "*/*",
            "connection": "close",
            "content-length": str(len(body)),
            **headers,
        }
        request = httpcore.Request(
            "POST",
            httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target.path.encode()),
            headers=list(sent.items()),
            content=body,
            extensions={"timeout": {"connect": _CONNECT}},
        )
        try:
            response = await connection.handle_async_request(request)
            await _take_a_little(response)
        finally:
            await connection.aclose()
            await backend.aclose()
        given = (value for name, value in response.headers if name.lower() == b"retry-after")
        return response.status, next(given, b"").decode("latin-1") or None

    def _retry_after(self, value: str | None) -> timedelta | None:
        """Seconds or a date (RFC 9110, 10.2.3)."""
        if value is None:
            return None
        if _SECONDS.fullmatch(value):
            return timedelta(seconds=int(value))
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        return max(timedelta(), (at if at.tzinfo else at.replace(tzinfo=UTC)) - self._clock.now())

    def _failure(self, error: Exception) -> tuple[str, str]:
        """(a word for what failed, a sentence). Nothing in it is from the receiver."""
        cause = error.__cause__
        match error:
            case UrlRefused() | AddressRefused():
                return "refused", f"The URL cannot be used: {error}."
            case TimeoutError() | httpcore.TimeoutException():
                return "timeout", "There was no answer in time."
            case socket.gaierror():
                return "unreachable", "The host's name was not resolved."
            case httpcore.ConnectError() if isinstance(cause, ssl.SSLCertVerificationError):
                return "tls", f"The certificate is not to be trusted: {cause.verify_message.rstrip('.')}."
            case httpcore.ConnectError() if isinstance(cause, ssl.SSLError):
                return "tls", "TLS could not be agreed on."
            case httpcore.ConnectError():
                return "unreachable", "No connection could be made."
            case httpcore.NetworkError():
                return "unreachable", "The connection broke before there was an answer."
            case httpcore.ProtocolError():
                return "protocol", "The connection ended without an answer, or the answer was no HTTP within limits."
            case _:
                raise error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when it is first needed: reading all authorities takes its time. The system's own and Mozilla's."""
        return self._given or httpcore.default_ssl_context()


async def _take_a_little(response: httpcore.Response) -> None:
    """The status stands, whatever becomes of the body."""
    left = _COURTESY_BYTES
    try:
        async with asyncio.timeout(_COURTESY):
            async for piece in response.aiter_stream():
                left -= len(piece)
                if left <= 0:
                    return
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        return
