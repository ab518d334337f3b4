"""HTTP/1.1 as uvicorn speaks it through httptools, with what the two leave to others.

llhttp, below httptools, refuses most of what smuggles requests: signs and underscores in lengths, Content-Length with
Transfer-Encoding, bare line feeds, bad chunk ends. It knows no limits and no time, takes any transfer coding that ends
in `chunked`, and takes the body of a request with `Upgrade` for another protocol, whose bytes then count as requests.
uvicorn in turn adds trailers to the headers that the application sees. All of that is closed here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NoReturn

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost. Sizes in bytes, times in seconds.

    `framing`: a request's line and headers together, or the framing between two pieces of a chunked body; `fields`:
    how many headers; `pipeline`: requests that wait for the answer to an earlier one. `header_time`: from the
    connection, or from a request's first byte, to the end of its headers. `stall`: without a byte of a body that is
    waited for. `linger`: for what a client still sends when the answer is out. `rate`: bytes a second, over `stall`,
    that a client must at least take of its answer.
    """

    framing: int = 64 << 10
    fields: int = 128
    pipeline: int = 64
    header_time: float = 15.0
    stall: float = 60.0
    linger: float = 10.0
    rate: int = 1024


class Refused(Exception):
    """A request that is answered here and ends its connection."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Config(uvicorn.Config):
    """uvicorn's, with the limits of a connection."""

    limits = Limits()


class Protocol(HttpToolsProtocol):
    """One connection. `check` is called every second or so; no timer is armed for a request."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = config.limits
        self._framing = 0  # bytes since the parser last got anywhere
        self._size = 0  # of the line and headers
        self._in_headers = True
        self._complete = False  # the message that is being read
        self._refused: Refused | None = None
        self._deaf = False  # what still comes is no request
        self._last_data = self.loop.time()
        self._headers_until: float | None = self._last_data + self.limits.header_time
        self._linger_until: float | None = None
        self._unsent: tuple[float, int] | None = None  # since when the peer was to take how many bytes

    # --- what comes in -------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._last_data = self.loop.time()
        if self._deaf:
            return
        self._framing += len(data)
        super().data_received(data)
        if self._framing > self.limits.framing:
            if self._in_headers:
                self._refuse(Refused(431, "The request's headers are too long."))
            else:
                self._refuse(Refused(400, "The chunks or trailers of the body are too long."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._size = 0
        self._in_headers = True
        self._complete = False
        self._headers_until = self._last_data + self.limits.header_time

    def on_url(self, url: bytes) -> None:
        self._count(len(url), 414, "The request's target is too long.")
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            return  # a trailer, which may not be merged (RFC 9110 6.5.1) and which nobody here asks for
        self._count(len(name) + len(value), 431, "The request's headers are too long.")
        if len(self.headers) >= self.limits.fields:
            self._stop(431, f"The request has more than {self.limits.fields} headers.")
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._check_headers()
        self._in_headers = False
        self._headers_until = None
        self._framing = self._size = 0
        super().on_headers_complete()
        if self.parser.should_upgrade():  # not taken up, as RFC 9110 7.8 allows; but what follows may be anything
            self.cycle.keep_alive = False
            self._deaf = True

    def on_body(self, body: bytes) -> None:
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._framing = 0
        self._complete = True
        self._linger_until = None
        super().on_message_complete()

    def _check_headers(self) -> None:
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._stop(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        if not (self.url.startswith(b"/") or self.url == b"*") or b"#" in self.url:
            self._stop(400, "The request's target must be a path.")
        if len(self.pipeline) >= self.limits.pipeline:
            self._stop(400, "Too many requests wait for their answers.")
        hosts = codings = 0
        body = False
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                body = True
            elif name == b"transfer-encoding":
                body = True
                codings += 1
                if codings > 1 or value.lower() != b"chunked" or version == "1.0":
                    self._stop(400, "Transfer-Encoding must be chunked, once, in HTTP/1.1.")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._stop(400, "The request must have one Host header.")
        if body and self.parser.should_upgrade():
            self._stop(400, "A request with a body cannot ask for another protocol.")

    def _count(self, size: int, status: int, message: str) -> None:
        self._size += size
        if self._size > self.limits.framing:
            self._stop(status, message)

    def _stop(self, status: int, message: str) -> NoReturn:
        """From within the parser, which then has uvicorn call `send_400_response`."""
        self._refused = Refused(status, message)
        raise self._refused

    def _unsupported_upgrade_warning(self) -> None:
        """Any client can ask for any protocol; that is nothing to log."""

    # --- how it ends ---------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refused or Refused(400, msg))

    def _refuse(self, refused: Refused) -> None:
        """Nothing more is read as a request, and there is one answer at most to each that was read."""
        if self._deaf:
            return
        self._deaf = True
        cycle = self.cycle
        pending = cycle is not None and not cycle.response_complete
        if pending and (self._in_headers or self._complete):
            cycle.keep_alive = False  # what came behind good requests is dropped; their answers come first
            return
        if self.pipeline:
            self.pipeline.clear()
            self.transport.close()
            return
        if self._in_headers or self._complete or (pending and not cycle.response_started):
            self._answer(refused)
        if pending:
            cycle.disconnected = True
            cycle.message_event.set()
        self._half_close()

    def _answer(self, refused: Refused) -> None:
        body = refused.message.encode()
        head = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[refused.status] + head % len(body) + body)

    def _half_close(self) -> None:
        """What the client still sends is read and dropped for a while: to close with bytes unread would reset the
        connection and could take the answer from it (RFC 9112 9.6)."""
        self._deaf = True
        self._linger_until = self.loop.time() + self.limits.linger
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:  # TLS
            self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        now = self.loop.time()
        if self._complete:
            self._headers_until = now + self.timeout_keep_alive + self.limits.header_time
        elif not self.transport.is_closing():
            # Answered before the body's end, which may come so that the connection can be used again; not if the
            # client waits for a 100 (Continue), for then it may leave the body out.
            self._linger_until = now + self.limits.linger
            if self.expect_100_continue:
                self._half_close()

    # --- time ----------------------------------------------------------------

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = (self.loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unsent = None

    def check(self, now: float) -> None:
        """Ends the connection if its client lets it wait."""
        if self._takes_nothing(now) or self._lingers(now):
            self.transport.abort()
        elif self._deaf or self.transport.is_closing():
            return
        elif self._headers_until is not None and now > self._headers_until:
            if self._in_headers and self._size:
                self._refuse(Refused(408, "The request's headers did not come in time."))
            else:
                self.transport.close()
        elif self._awaits_body() and now > self._last_data + self.limits.stall:
            self._refuse(Refused(408, "The request's body did not come in time."))

    def _awaits_body(self) -> bool:
        return (
            not self._in_headers
            and not self._complete
            and not self.flow.read_paused
            and not self.cycle.waiting_for_100_continue
        )

    def _lingers(self, now: float) -> bool:
        """Not while it still takes its answer."""
        return (
            self._linger_until is not None and now > self._linger_until and not self.transport.get_write_buffer_size()
        )

    def _takes_nothing(self, now: float) -> bool:
        size = self.transport.get_write_buffer_size()
        if size == 0:
            return False
        since, before = self._unsent or (now, size)
        if now - since < self.limits.stall:
            self._unsent = (since, before)
            return False
        self._unsent = (now, size)
        return before - size < self.limits.rate * self.limits.stall
