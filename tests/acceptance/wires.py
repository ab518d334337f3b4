"""A socket of one's own, for requests that no client library would send."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from urllib.parse import urlsplit

from tests.service import Service, fresh_address

_PATIENCE = 30.0  # seconds; generous, for machines that are busy with something else


@contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    parts = urlsplit(service.url)
    assert parts.hostname is not None
    address = (parts.hostname, parts.port or 80)
    with socket.create_connection(address, _PATIENCE, source_address=(fresh_address(), 0)) as connection:
        yield connection


def one_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer, as soon as it is whole: the server may wait a while before it closes."""
    with HTTPResponse(connection) as answer:
        answer.begin()
        return answer.status, answer.read()


def answered(connection: socket.socket) -> bytes:
    """All that the server says until it closes the connection."""
    said = b""
    try:
        while piece := connection.recv(1 << 16):
            said += piece
    except ConnectionResetError:
        pass  # it did not want the rest
    return said


def exchange(service: Service, pieces: Iterable[bytes]) -> bytes:
    """Sends the pieces as far as the server takes them; all that it says until it closes."""
    with connected(service) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered and closed already
        return answered(connection)


def statuses(said: bytes) -> list[int]:
    """Of every answer in it."""
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", said, re.MULTILINE)]
