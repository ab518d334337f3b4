"""What the server itself does with hostile HTTP/1.1, through raw sockets."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain, repeat

import pytest

from tests.acceptance.tiny import LIMITS, MIB, running

POST = b"POST /count HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
PATIENCE = 20.0  # seconds for what should take two or three, on machines that are busy


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as port:
        yield port
        assert not [path for path in json.loads(get(port, "/seen")) if "smuggled" in path]


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    said = bytearray()
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            said += piece
    return bytes(said)


def exchange(port: int, *pieces: bytes) -> bytes:
    """All that is said until the server closes."""
    with connected(port) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
        return until_closed(connection)


def statuses(said: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def get(port: int, path: str) -> bytes:
    said = exchange(port, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert statuses(said) == [200]
    return said.partition(b"\r\n\r\n")[2]


def memory(port: int) -> int:
    return int(get(port, "/memory"))


@contextmanager
def others_do_not_notice(port: int) -> Iterator[None]:
    """Another client is answered all the while, each time within two seconds."""
    ended = threading.Event()
    slowest = 0.0

    def ask() -> None:
        nonlocal slowest
        while not ended.wait(0.05):
            started = time.monotonic()
            get(port, "/zeros?size=1")
            slowest = max(slowest, time.monotonic() - started)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert slowest < 2


# --- lengths and chunks ------------------------------------------------------


@pytest.mark.security(2)
@pytest.mark.parametrize("length", [b"-5", b"+5", b"1_0", b"5 5", b"0x5", b"5,5", b"5.0", b"", b"9" * 23, b"\xb2"])
def test_what_is_no_length(port: int, length: bytes) -> None:
    assert statuses(exchange(port, POST + b"Content-Length: " + length + b"\r\n\r\nhello" + SMUGGLED)) == [400]


@pytest.mark.security(2)
@pytest.mark.parametrize("size", [b"-5", b"+5", b"0x5", b"5_0", b"5 ", b" 5", b"5\t", b"5;", b"G", b"", b"f" * 18])
def test_what_is_no_chunk_size(port: int, size: bytes) -> None:
    assert statuses(exchange(port, CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED)) == [400]


@pytest.mark.security(7)
@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length : 5",
        b"Content-Length\t: 5",
        b"Content-Length: 5\r\n 0",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\x00",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding : chunked",
        b"X: a\rTransfer-Encoding: chunked",
        b"X: a\nContent-Length: 5",
        b"X: a\x00b",
        b"X\x00: a",
        b": a",
    ],
)
def test_framing_that_could_be_read_in_two_ways(port: int, fields: bytes) -> None:
    said = exchange(port, POST + fields + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    assert statuses(said) == [400]
    assert b"\r\nconnection: close\r\n" in said


@pytest.mark.security(7)
@pytest.mark.parametrize(
    "chunks",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\r\nX: a\n\r\n",
    ],
)
def test_bad_chunk_ends(port: int, chunks: bytes) -> None:
    assert statuses(exchange(port, CHUNKED + chunks + SMUGGLED)) == [400]


@pytest.mark.security(7)
def test_chunks_are_for_http_1_1(port: int) -> None:
    request = b"POST /count HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert statuses(exchange(port, request + SMUGGLED)) == [400]


@pytest.mark.security(1)
def test_what_lies_behind_the_length_is_another_request(port: int) -> None:
    """One that is wrong, so the connection ends with the answer to the first."""
    said = exchange(port, POST + b"Content-Length: 5\r\n\r\nhello, and more\r\n\r\n" + SMUGGLED)
    assert statuses(said) == [200]
    assert said.endswith(b"\r\n\r\n5")


@pytest.mark.security(7)
@pytest.mark.parametrize("body", [b"Content-Length: 50\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n32\r\n"])
def test_a_body_is_not_taken_for_another_protocol(port: int, body: bytes) -> None:
    """llhttp would end the request where its headers end, and take the body for requests."""
    head = POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + body
    with connected(port) as connection:
        connection.sendall(head)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(SMUGGLED)
        assert statuses(until_closed(connection)) == [400]


def test_an_upgrade_is_not_taken_up(port: int) -> None:
    request = b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    said = exchange(port, request + SMUGGLED)
    assert statuses(said) == [200]
    assert b"connection: close" in said


def test_trailers_are_not_headers(port: int) -> None:
    head = b"POST /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = exchange(port, head + b"5\r\nhello\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n")
    assert statuses(said) == [200]
    assert b"authorization" not in said


def test_blanks_around_a_value_are_none_of_it(port: int) -> None:
    said = exchange(port, b"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: \t a b \t\r\n\r\n")
    assert ["x", "a b"] in json.loads(said.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /smuggled HTTP/1.1\r\n\r\n", 400),
        (b"GET /smuggled HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET /smuggled HTTP/9.9\r\nHost: a\r\n\r\n", 400),
        (b"GET /smuggled\r\n\r\n", 505),
        (b"GET /smuggled HTTP/1.1\nHost: a\n\n", 400),
        (b"GET http://a/smuggled HTTP/1.1\r\nHost: b\r\n\r\n", 400),
        (b"GET /smuggled#fragment HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /smuggled\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /smuggled\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT smuggled:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"A" * 100 + b" /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
)
def test_what_is_no_request(port: int, request_: bytes, status: int) -> None:
    assert statuses(exchange(port, request_ + SMUGGLED)) == [status]


# --- sizes -------------------------------------------------------------------


LONG = b"a" * (10 * MIB)


@pytest.mark.security(4)
@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([POST, b"X: ", LONG, b"\r\n\r\n"], 431),
        ([POST, LONG, b": x\r\n\r\n"], 431),
        ([POST, b"X: y\r\n" * 10_000, b"\r\n"], 431),
        ([POST, b"X: " + b"a" * 60_000 + b"\r\n", b"Y: " + b"a" * 60_000 + b"\r\n\r\n"], 431),
        ([b"GET /", LONG, b" HTTP/1.1\r\nHost: a\r\n\r\n"], 414),
        ([CHUNKED, b"5\r\nhello\r\n0\r\nX: ", LONG, b"\r\n\r\n"], 400),
        ([CHUNKED, b"5\r\nhello\r\n0\r\n", b"X: y\r\n" * 100_000, b"\r\n"], 400),
        ([CHUNKED, b"5;", LONG, b"\r\nhello\r\n0\r\n\r\n"], 400),
        ([b"\r\n" * (5 * MIB)], 431),
    ],
)
def test_framing_of_10_mb(port: int, pieces: list[bytes], status: int) -> None:
    before = memory(port)
    started = time.monotonic()
    with connected(port) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
        assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)
    assert time.monotonic() - started < 1
    assert memory(port) - before < 10 * MIB


def test_headers_as_long_as_they_may_be(port: int) -> None:
    fields = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 500) for number in range(120))
    assert statuses(
        exchange(port, b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + b"\r\n")
    ) == [200]


FORM = b"POST /form HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=XX\r\n"
FIELD = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


def form(port: int, pieces: Iterable[bytes], size: int) -> int:
    """The status; the answer may come before all is sent."""
    with connected(port) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in chain([FORM + b"Content-Length: %d\r\n\r\n" % size], pieces):
                connection.sendall(piece)
        (status,) = statuses(connection.recv(65536))
    return status


@pytest.mark.security(3)
def test_1001_parts(port: int) -> None:
    parts = (FIELD + b"x\r\n") * 1001 + b"--XX--\r\n"
    started = time.monotonic()
    assert form(port, [parts], len(parts)) == 413
    assert time.monotonic() - started < 1


@pytest.mark.security(3)
def test_a_field_of_100_mb(port: int) -> None:
    before = memory(port)
    assert form(port, chain([FIELD], repeat(b"x" * MIB, 100)), len(FIELD) + 100 * MIB) == 413
    assert memory(port) - before < 10 * MIB


@pytest.mark.security(4)
@pytest.mark.parametrize("filler", [b"\r\n", b"\n", b"\r\n--"])
def test_50_mb_of_line_breaks(port: int, filler: bytes) -> None:
    before = memory(port)
    block = filler * (MIB // len(filler))
    started = time.monotonic()
    form(port, chain(repeat(block, 50), [b"\r\n--XX--\r\n"]), 50 * len(block) + 10)
    assert form(port, chain([FIELD, b"x\r\n--XX--\r\n"], repeat(block, 50)), len(FIELD) + 11 + 50 * len(block)) == 200
    assert time.monotonic() - started < 10
    assert memory(port) - before < 10 * MIB


@pytest.mark.security(1)
def test_a_chunked_body_over_the_cap(port: int) -> None:
    """The answer comes although the client goes on sending, and it is not taken from it by a reset."""
    before = memory(port)
    chunk = b"%x\r\n" % MIB + bytes(MIB) + b"\r\n"
    with connected(port) as connection:
        connection.sendall(CHUNKED)
        for _ in range(80):
            connection.sendall(chunk)
        assert statuses(connection.recv(65536)) == [413]
    assert memory(port) - before < 10 * MIB


# --- time --------------------------------------------------------------------


def drip(connection: socket.socket, byte: bytes) -> bytes:
    """Sends the byte again and again until the server closes; what it said. Nothing else paces a slow client."""
    connection.settimeout(0.1)
    said = b""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            connection.sendall(byte)
            piece = connection.recv(65536)
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return said
        if not piece:
            return said
        said += piece
    raise AssertionError("the server waits on")


DRIPS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"a", [408]),
    (b"GET /", b"a", [408]),
    (b"", b"\r\n", []),
    (POST + b"Content-Length: 1000\r\n\r\n", b"a", [408]),
    (CHUNKED, b"1\r\na\r\n", [408]),
    (CHUNKED + b"5\r\nhello\r\n0\r\nX: ", b"a", [408]),
    (CHUNKED + b"5;", b"a", [408]),
    (b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", [200]),
]


@pytest.mark.slow
@pytest.mark.security(6)
def test_byte_by_byte(port: int) -> None:
    def dripping(start: bytes, byte: bytes, _: list[int]) -> list[int]:
        with connected(port) as connection:
            connection.sendall(start)
            return statuses(drip(connection, byte))

    with others_do_not_notice(port), ThreadPoolExecutor(len(DRIPS)) as clients:
        answers = list(clients.map(dripping, *zip(*DRIPS, strict=True)))
    assert answers == [answer for _, _, answer in DRIPS]


SILENCES = [
    (b"", []),
    (b"GET /", [408]),
    (POST + b"Content-Length: 1000\r\n\r\n", [408]),
    (b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx", [408]),
    (b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\n\r\n", [200]),
    (b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\n\r\nGET /", [200]),
]


@pytest.mark.slow
@pytest.mark.security(6)
def test_silence(port: int) -> None:
    with others_do_not_notice(port), ThreadPoolExecutor(len(SILENCES)) as clients:
        answers = list(clients.map(lambda silence: statuses(exchange(port, silence[0])), SILENCES))
    assert answers == [answer for _, answer in SILENCES]


@pytest.mark.slow
@pytest.mark.security(6)
def test_a_fast_body_without_end(port: int) -> None:
    """Not even full speed outlives the deadline; here the cap comes first or the deadline does."""
    with connected(port) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(CHUNKED)
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connection.sendall(b"800\r\n" + bytes(2048) + b"\r\n")
                time.sleep(0.05)  # 40 KiB a second
        assert statuses(until_closed(connection)) == [408]


@pytest.mark.slow
@pytest.mark.security(6)
def test_a_client_that_does_not_take_its_answer(port: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /zeros?size=50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        deadline = time.monotonic() + PATIENCE
        while open_connections(port) > 1:
            assert time.monotonic() < deadline, "the server waits on"
            time.sleep(0.1)  # the kernel tells nobody
        assert len(until_closed(connection)) < 50_000_000


def open_connections(port: int) -> int:
    """As the kernel counts them on the server's side, the one that asks for it included."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return 1 + sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


# --- answers before the end of the body --------------------------------------


def test_a_refusal_comes_before_100_continue(port: int) -> None:
    head = b"PUT /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    assert statuses(exchange(port, head)) == [401]


def test_100_continue_comes_when_the_body_is_wanted(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert statuses(connection.recv(65536)) == [100]
        connection.sendall(b"hello")
        assert statuses(until_closed(connection)) == [200]


@pytest.mark.slow
@pytest.mark.security(8)
def test_a_large_body_that_nobody_wants(port: int) -> None:
    """Answered at once, and dropped for a while; then the connection ends."""
    started = time.monotonic()
    with connected(port) as connection:
        connection.sendall(b"PUT /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n")
        connection.sendall(bytes(8 * MIB))
        assert statuses(connection.recv(65536)) == [401]
        assert drip(connection, bytes(100_000)) == b""
    assert time.monotonic() - started >= LIMITS.linger


def test_a_small_body_that_nobody_wants_costs_no_connection(port: int) -> None:
    request = b"PUT /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    said = exchange(port, request + bytes(50_000), bytes(50_000) + b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(said) == [401, 200]


def test_a_broken_body_that_was_answered_gets_no_second_answer(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"PUT /deaf HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert statuses(connection.recv(65536)) == [401]
        connection.sendall(b"nonsense\r\n" + SMUGGLED)
        assert statuses(until_closed(connection)) == []


# --- requests in a row -------------------------------------------------------


@pytest.mark.slow
def test_answers_come_in_order(port: int) -> None:
    requests = b"".join(b"GET /zeros?size=%d HTTP/1.1\r\nHost: a\r\n\r\n" % size for size in range(1, 30))
    said = exchange(port, requests)
    assert statuses(said) == [200] * 29
    assert re.findall(rb"content-length: (\d+)", said) == [b"%d" % size for size in range(1, 30)]


@pytest.mark.security(7)
def test_garbage_behind_good_requests_takes_no_answer_from_them(port: int) -> None:
    good = b"GET /zeros?size=5 HTTP/1.1\r\nHost: a\r\n\r\n"
    said = exchange(port, good * 3 + b"nonsense\r\n\r\n" + SMUGGLED)
    assert statuses(said) == [200] * 3
    assert said.count(b"connection: close") == 1


def test_garbage_while_an_answer_is_sent_does_not_get_into_it(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /zeros?size=20000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        said = connection.recv(65536)
        connection.sendall(b"nonsense\r\n\r\n")
        said += until_closed(connection)
    assert statuses(said)[:1] == [200]
    assert said.partition(b"\r\n\r\n")[2].startswith(bytes(20_000_000))


def test_thousands_of_requests_at_once(port: int) -> None:
    """Held back rather than all taken up; the connection ends instead of the memory."""
    before = memory(port)
    exchange(port, b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\n\r\n" * 50_000)
    assert memory(port) - before < 10 * MIB


def test_nothing_behind_the_last_request(port: int) -> None:
    request = b"GET /zeros?size=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert statuses(exchange(port, request + SMUGGLED)) == [200]
