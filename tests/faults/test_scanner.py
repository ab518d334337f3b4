"""A scanner that hangs, dies or lies never makes a file readable; once it works again everything is looked into."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from loadingdock.core.model.companies import Company
from tests.acceptance.management import client
from tests.desk import eventually
from tests.engines.clamd import STREAM, Clamd
from tests.faults.check import fsck, once, verify
from tests.faults.flows import FileService, Flow, Infected, Receipt, SignedUrl, flows
from tests.faults.load import BACK_WITHIN
from tests.faults.scanner import Scan, StagedClamd, forwarding, staged_clamd
from tests.service import Service
from tests.unit.fake_clamd import reset, stream

pytestmark = [pytest.mark.slow, pytest.mark.engine("clamd")]

_OK = b"stream: OK\0"
_AWAY = (3, 20, 45, 75)  # seconds; the longer a scanner is away, the less often it is asked
_TIMEOUT = 0.5  # seconds that a scan may take: what hangs is given up soon


@pytest.fixture
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """Halted and ended here, so it is nobody else's."""
    daemon = Clamd(tmp_path_factory.mktemp("clamd"))
    try:
        yield daemon.start()
    finally:
        daemon.thaw()
        daemon.kill()


@pytest.fixture
def staged() -> Iterator[StagedClamd]:
    with staged_clamd() as made:
        yield made


# --- what a broken one may do ------------------------------------------------
# But for the right words behind the last byte, which are believed: no client can tell. That they count for nothing
# before it is shown with files that no connection holds whole, by the client's own tests.


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await stream(reader)
    await asyncio.Event().wait()


async def hears_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    reset(writer)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await stream(reader)


def says(reply: bytes) -> Scan:
    async def scan(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stream(reader)
        writer.write(reply)
        await writer.drain()

    return scan


def dribbles(reply: bytes) -> Scan:
    """And stops before the end."""

    async def scan(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stream(reader)
        for byte in reply[:-1]:
            writer.write(bytes([byte]))
            await writer.drain()
        await asyncio.Event().wait()

    return scan


FAULTS: dict[str, Scan] = {
    "hangs": hangs,
    "hears nothing": hears_nothing,
    "dies": dies,
    "hangs up": hangs_up,
    "says OK without an end": says(_OK[:-1]),
    "says OK slowly and never ends": dribbles(_OK),
    "says OK of something else": says(b"instream(local): OK\0"),
    "says OK and more": says(b"stream: OK stream: OK\0"),
    "says a lower-case ok": says(b"stream: ok\0"),
    "says nothing but an end": says(b"\0"),
    "says an error": says(b"stream: Can't allocate memory ERROR\0"),
    "knows no such command": says(b"UNKNOWN COMMAND\0"),
    "says noise": says(secrets.token_bytes(8192).replace(b"\0", b"\1")),
    "speaks another protocol": says(b"HTTP/1.1 200 OK\r\n\r\n\0"),
}


async def sent(service: Service, senders: list[Flow]) -> list[Receipt]:
    async with service.async_client() as connection:
        return [await sender.send(connection) for sender in senders]


def unreadable(service: Service, company: Company, receipts: list[Receipt]) -> None:
    with client(service, company) as reader:
        for receipt in receipts:
            answer = reader.get(f"/files/{receipt.file(service.desk).id}/content")
            assert answer.status_code in {403, 409, 410}, answer.text


def went_on(service: Service, company: Company, receipts: list[Receipt]) -> float:
    """The seconds until all of them were looked into."""
    back = time.monotonic()
    verify(service.desk, receipts, within=BACK_WITHIN)
    took = time.monotonic() - back
    once(service.desk, company)
    return took


@pytest.mark.timeout(7200)
@pytest.mark.cycles(6, all=200)
def test_a_scanner_that_hangs_dies_or_lies_calls_nothing_clean(
    make_service: Callable[..., Service], clamd: Clamd, staged: StagedClamd, cycles: int, chance: random.Random
) -> None:
    """Clean files come through once it works again, and infected ones are found."""
    service = make_service(scanner_url=staged.url, scanner_timeout=_TIMEOUT, scanner_max_stream=STREAM).start()
    longest = 0.0
    faults: list[str] = []
    for _ in range(cycles):
        company = service.desk.company("scanned")
        faults = faults or chance.sample(list(FAULTS), len(FAULTS))  # each comes round
        fault = faults.pop()
        print(fault, end=", ")
        staged.scan, before = FAULTS[fault], staged.scans
        receipts = asyncio.run(sent(service, flows(service.desk, company, (SignedUrl, FileService, Infected))))
        eventually(partial(staged.has_begun, before + 1))
        unreadable(service, company, receipts)
        staged.scan = forwarding(clamd.port)
        took = went_on(service, company, receipts)
        longest = max(longest, took)
        print(f"went on after {took:.1f} s;", end=" ")
    print(f"the longest {longest:.1f} s")
    service.stop()
    fsck(service.environment)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["killed", "halted"])
@pytest.mark.cycles(1, all=len(_AWAY))
def test_a_real_clamd_that_comes_back(
    make_service: Callable[..., Service], clamd: Clamd, cycles: int, fault: str
) -> None:
    service = make_service(scanner_url=clamd.tcp, scanner_timeout=2, scanner_max_stream=STREAM).start()
    with service.client() as asking:

        def scanner() -> str:
            answer: dict[str, dict[str, dict[str, str]]] = asking.get("/readyz").json()
            return answer["checks"]["scanner"]["status"]

        for away in _AWAY[:cycles]:
            company = service.desk.company("back")
            (clamd.kill if fault == "killed" else clamd.freeze)()
            started = time.monotonic()
            receipts = asyncio.run(sent(service, flows(service.desk, company)))
            eventually(lambda: scanner() == "down")
            while time.monotonic() - started < away:
                unreadable(service, company, receipts)
                time.sleep(1)
            (clamd.start if fault == "killed" else clamd.thaw)()
            print(f"{fault} for {away} s, went on after {went_on(service, company, receipts):.1f} s;", end=" ")
            eventually(lambda: scanner() == "up")
    service.stop()
    fsck(service.environment)
