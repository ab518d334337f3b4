"""Bodies that are too large, that lie or that come from nobody, on every way in (SECURITY.md, lines 1 and 8)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from tests.acceptance.ways import EVERY_WAY, WAYS, Dock, Way
from tests.acceptance.wires import answered, connected, exchange, statuses
from tests.service import Service

pytestmark = pytest.mark.slow  # every way in times every input: for CI

CAP = 1_000_000
_CAPPED = {"max-size": f"{CAP}B", "signed-url.max-size": f"{CAP}B"}
_PIECE = 50_000
FORMS = [way for way in WAYS if way.name.endswith((" form", "conversation-files"))]


class Tide:
    """How many bytes lie in the store beyond those that lay there before."""

    def __init__(self, dock: Dock) -> None:
        dock.desk.idle()  # nothing of an earlier test is still written or removed
        self._service = dock.service
        self._before = self._now()
        self.highest = 0

    def _now(self) -> int:
        size = 0
        for path in self._service.stored():
            with suppress(FileNotFoundError):  # it was there when the folder was listed
                size += path.stat().st_size
        return size

    def look(self) -> int:
        risen = self._now() - self._before
        self.highest = max(self.highest, risen)
        return risen


@pytest.fixture(scope="module")
def small(service: Service) -> Dock:
    """Into it nothing ever comes that is kept."""
    return Dock(service, _CAPPED)


def too_large(way: Way, answer: httpx.Response) -> None:
    assert (answer.status_code, way.refusal(answer)) == (413, "too_large"), answer.text


@pytest.mark.security(1)
@EVERY_WAY
def test_more_chunks_than_the_cap(small: Dock, way: Way) -> None:
    tide = Tide(small)
    with small.client() as client:
        sending = way.sending(small, client, "note.txt")

        def chunks() -> Iterator[bytes]:
            yield sending.before
            for _ in range(4 * CAP // _PIECE):
                yield b"a" * _PIECE
                tide.look()
            yield sending.behind

        answer = client.request(sending.method, sending.target, headers=sending.headers, content=chunks())
    too_large(way, answer)
    assert tide.highest <= CAP
    small.service.until(lambda: tide.look() <= 0)
    assert small.files() == ()


@pytest.mark.security(1)
@EVERY_WAY
@pytest.mark.parametrize("length", [CAP + 1, 10**15])
def test_a_length_over_the_cap_is_refused_before_the_body(small: Dock, way: Way, length: int) -> None:
    """A form may be longer than its file, so that the smallest of these may be a form's right length."""
    tide = Tide(small)
    with small.client() as client:
        sending = way.sending(small, client, "note.txt")
    if sending.before and length < 10**15:
        too_large(way, way.send(small, b"a" * length))
    else:
        with connected(small.service) as connection:
            connection.sendall(sending.head(f"Content-Length: {length}", "Expect: 100-continue"))
            assert statuses(answered(connection)) == [413]
    small.service.until(lambda: tide.look() <= 0)
    assert small.files() == ()


@pytest.mark.security(1)
def test_more_bytes_than_the_length_said(service: Service) -> None:
    """The length counts: what comes behind it is no request, and was never part of this one."""
    dock = Dock(service, _CAPPED)
    content = b"a" * 1000
    tide = Tide(dock)
    for way in WAYS:
        with dock.client() as client:
            sending = way.sending(dock, client, "note.txt")
        body = sending.body(content)
        said = exchange(service, [sending.head(f"Content-Length: {len(body)}") + body, b"0" * 3_000_000])
        first, *others = statuses(said)
        assert first in (200, 201), way
        assert set(others) <= {400}, way
    assert {file.version.size for file in dock.files()} == {len(content)}
    assert len(dock.files()) == len(WAYS) - 1  # two of them name a file of one namespace
    assert tide.look() < CAP


@pytest.mark.security(1)
def test_fewer_bytes_than_the_length_said(small: Dock) -> None:
    tide = Tide(small)
    for way in WAYS:
        with small.client() as client:
            sending = way.sending(small, client, "note.txt")
        with connected(small.service) as connection:
            connection.sendall(sending.head(f"Content-Length: {CAP}", "Expect: 100-continue"))
            assert statuses(connection.recv(1 << 16)) == [100]
            connection.sendall(sending.before + b"a" * (CAP // 2))
    with small.client() as client:  # a later request, whose answer comes behind theirs
        assert client.get("/healthz").status_code == 200
    small.service.until(lambda: tide.look() <= 0)
    assert small.files() == ()


@pytest.mark.security(3)
@pytest.mark.parametrize("way", FORMS, ids=[way.name for way in FORMS])
def test_forms_of_very_many_parts_or_a_very_large_field(small: Dock, way: Way) -> None:
    with small.client() as client:
        sending = way.sending(small, client, "note.txt")
        boundary = sending.headers["content-type"].partition("boundary=")[2]
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="owner"\r\n\r\n'.encode()
        for body in ((part + b"1\r\n") * 1001, part + b"1" * 900_000 + b"\r\n"):
            content = body + sending.body(b"hello")
            answer = client.request(sending.method, sending.target, headers=sending.headers, content=content)
            # conversation-files knows no 413 but for the file's size.
            assert answer.status_code in (400, 413), answer.text
            assert way.refusal(answer) in ("too_many", "too_large", "limit_exceeded")
    assert small.files() == ()


# --- from nobody ---------------------------------------------------------------------------------


@pytest.mark.security(8)
@EVERY_WAY
def test_who_may_not_is_answered_before_the_body_is_asked_for(small: Dock, way: Way) -> None:
    dock, service = small, small.service
    tide = Tide(dock)
    with dock.client() as client:
        forged = way.sending(dock, client, "note.txt").forged()
    for lines in (("Content-Length: 50000000", "Expect: 100-continue"), ("Transfer-Encoding: chunked",)):
        with connected(service) as connection:
            connection.sendall(forged.head(*lines))
            status = statuses(connection.recv(1 << 16))
            assert status in ([401], [403])  # and no 100 before it
    with connected(service) as connection:
        connection.sendall(forged.head("Content-Length: 50000000") + forged.before + b"a" * _PIECE)
        assert statuses(connection.recv(1 << 16)) in ([401], [403])
        assert tide.look() <= 0
    assert dock.files() == ()


@pytest.mark.security(8)
async def test_health_is_quick_while_a_large_upload_is_written(service: Service) -> None:
    """The bound is generous; what it catches is a loop that waits for a disk."""
    dock = Dock(service)
    size = 64 << 20
    waits: list[float] = []
    sent = 0

    async def body(client: httpx.AsyncClient) -> object:
        nonlocal sent
        while sent < size:
            yield bytes(1 << 20)
            sent += 1 << 20
            if sent % (8 << 20) == 0:
                started = time.perf_counter()
                assert (await client.get("/healthz")).status_code == 200
                waits.append(time.perf_counter() - started)

    async with service.async_client() as client:
        answer = await client.post(
            "/api/v1/files?name=zeros.bin",
            content=body(client),  # type: ignore[arg-type]  # an asynchronous generator
            headers={"api-key": dock.key},
        )
    assert answer.status_code == 201, answer.text
    waits.sort()
    assert waits[len(waits) // 2] < 0.1
    assert waits[-1] < 2
