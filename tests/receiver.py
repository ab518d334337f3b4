"""A receiver of callbacks on loopback, in a thread: it notes every request and answers as it was told, badly too."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

SOON = 30.0  # seconds: a generous end to waiting for what comes at once

Behaviour = Callable[[socket.socket, threading.Event], None]


@dataclass(frozen=True)
class Received:
    """Header names are in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes


def says(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    head = "\r\n".join([f"HTTP/1.1 {status} So", *headers, f"Content-Length: {len(body)}", "", ""])
    return sends(head.encode() + body)


def sends(data: bytes) -> Behaviour:
    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(data)

    return answer


def resets(connection: socket.socket, over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs(connection: socket.socket, over: threading.Event) -> None:
    over.wait()


def drips(head: bytes, piece: bytes) -> Behaviour:
    """Piece after piece, without an end."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(0.05):
            connection.sendall(piece)

    return answer


def floods(head: bytes) -> Behaviour:
    """As much as is taken."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(b"x" * 65536)

    return answer


class Receiver:
    """`answers` are given in their order, then 204 for good."""

    def __init__(self, *answers: Behaviour, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None):
        self.answers = deque(answers)
        self.received: list[Received] = []
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._tls = tls
        receiver = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                receiver._handle(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, request: object, client_address: object) -> None:
                """Clients that go away are what is tested here."""

        self._server = Server((host, port), Handler)
        self.host, self.port = self._server.server_address[:2]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, target: str = "/hook", host: str | None = None) -> str:
        return f"{'https' if self._tls else 'http'}://{host or self.host}:{self.port}{target}"

    def until(self, condition: Callable[[list[Received]], object], within: float = SOON) -> list[Received]:
        """What was received, once it is so. Blocks."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.received), within), "it never came"
            return list(self.received)

    def _handle(self, connection: socket.socket) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rb") as lines:
            _, target, _ = lines.readline().decode("latin-1").split()
            headers: dict[str, str] = {}
            while line := lines.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = lines.read(int(headers["content-length"]))
            with self._changed:
                self.received.append(Received(target, headers, body))
                answer = self.answers.popleft() if self.answers else says(204)
                self._changed.notify_all()
            answer(connection, self._over)
