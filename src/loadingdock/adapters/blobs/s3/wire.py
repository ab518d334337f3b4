"""Signed requests to an S3 store over plain HTTP, for what obstore has no call for: the parts of an upload that may be
left and taken up again, and which uploads were never finished. Everything here blocks and belongs in a thread."""

from __future__ import annotations

import hashlib
import http.client
import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock
from urllib.parse import SplitResult, urlsplit

from loadingdock.adapters.blobs.observing import Observe
from loadingdock.adapters.blobs.s3.place import Place, Provider
from loadingdock.adapters.blobs.s3.signing import UNSIGNED, authorized, encoded, presigned
from loadingdock.adapters.blobs.s3.troubles import refusal, unreachable

_IDLE = 32  # connections kept for the next request
_AGAIN = frozenset({500, 502, 503, 504})
_FIRST_WAIT = 0.1  # seconds before the second attempt; doubled for each further one
_EMPTY = hashlib.sha256(b"").hexdigest()
BROKEN = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def age(self) -> float:
        """Seconds since the object was written, both times told by the store's own clock."""
        then, now = (parsedate_to_datetime(self.headers[name]) for name in ("last-modified", "date"))
        return (now - then).total_seconds()


def trusted(place: Place) -> ssl.SSLContext:
    """This machine's authorities, and those of the place. Raises ValueError, with a sentence."""
    context = ssl.create_default_context()
    if place.ca is not None:
        try:
            context.load_verify_locations(place.ca)
        except OSError as error:  # TLS's own are such, too
            raise ValueError(f"store_ca: {place.ca} cannot be read as certificates in PEM ({error})") from error
    return context


class Wire:
    """Requests on kept connections, which any number of threads may share. A request that got no answer, or one of
    the store's own trouble, is tried again: all of them may be repeated."""

    def __init__(self, place: Place, keys: Provider, observe: Observe) -> None:
        self.place = place
        self._keys = keys
        self._observe = observe
        self._base = urlsplit(place.base)
        self._secure = self._base.scheme == "https"
        self._tls = trusted(place) if self._secure or place.ca else None
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = Lock()

    def request(
        self,
        method: str,
        name: str | None,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        doing: str,
        passed: frozenset[int] = frozenset(),
    ) -> Answer:
        """The answer, if it is a success or its status is among `passed`. `name` is the object's behind the prefix;
        None asks the bucket itself. Raises Unavailable or StorageFull."""
        url = self.place.base if name is None else f"{self.place.base}/{self.place.path(name)}"
        started = time.perf_counter()
        attempt, answer = 0, None
        while answer is None or (answer.status in _AGAIN and attempt <= self.place.retries):
            if attempt:
                time.sleep(_FIRST_WAIT * 2 ** (attempt - 1))
            attempt += 1
            try:
                answer = self._attempt(method, url, query or {}, headers or {}, body)
            except BROKEN as error:
                if attempt > self.place.retries:
                    raise unreachable(self.place, error) from error
        self._observe(doing, time.perf_counter() - started)
        if answer.status // 100 == 2 or answer.status in passed:
            return answer
        raise refusal(self.place, answer.status, answer.text, doing)

    def presigned(
        self,
        method: str,
        name: str,
        expires_in: timedelta,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """A URL for a client of ours, who has to send exactly `headers`. In a thread as well: the keys may have to be
        renewed first."""
        return presigned(
            method,
            f"{self.place.public_base}/{self.place.path(name)}",
            query or {},
            headers or {},
            seconds=math.ceil(expires_in.total_seconds()),
            credentials=self._keys(),
            region=self.place.region,
            now=datetime.now(UTC),
        )

    def visit(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """One attempt, unsigned, at a URL from `presigned`: as a client of ours makes it. Raises what broke it."""
        parts = urlsplit(url)
        connection = self._open(parts)
        try:
            return self._exchange(connection, method, f"{parts.path or '/'}?{parts.query}", body, headers)
        finally:
            connection.close()

    def _attempt(
        self, method: str, url: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        signed = authorized(
            method,
            url,
            query,
            headers,
            payload=self._payload(body),
            credentials=self._keys(),
            region=self.place.region,
            now=datetime.now(UTC),
        )
        path = urlsplit(url).path or "/"  # that of a bucket which its host names
        target = f"{path}?{encoded(query)}" if query else path
        connection, used = self._take()
        try:
            return self._converse(connection, method, target, body, signed)
        except BROKEN:
            connection.close()
            if not used:
                raise
        # The store may have closed a kept connection while nobody looked; that says nothing of how it is.
        connection = self._open(self._base)
        try:
            return self._converse(connection, method, target, body, signed)
        except BROKEN:
            connection.close()
            raise

    def _payload(self, body: bytes) -> str:
        """TLS protects a body on its way already; over plain HTTP its digest is signed."""
        if not body:
            return _EMPTY
        return UNSIGNED if self._secure else hashlib.sha256(body).hexdigest()

    def _converse(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        answer = self._exchange(connection, method, target, body, headers)
        if connection.sock is not None:  # it is where the store closes it
            self._keep(connection)
        return answer

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        connection.request(method, target, body=body or None, headers={**headers, "content-length": str(len(body))})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def _open(self, url: SplitResult) -> http.client.HTTPConnection:
        host, timeout = url.hostname or "", self.place.timeout.total_seconds()
        if url.scheme == "http":
            return http.client.HTTPConnection(host, url.port, timeout=timeout)
        return http.client.HTTPSConnection(host, url.port, timeout=timeout, context=self._tls)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._open(self._base), False

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
