"""Several daemons behind one scanner: who gets the work, and what becomes of it when they fail."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from loadingdock.adapters.scanners.circuit import Policy
from loadingdock.adapters.scanners.pool import ClamdScanner, addresses
from loadingdock.core.diagnosis import Grade
from loadingdock.core.diagnosis import scanner as diagnosis
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.testing.scanners import OnceOnly, body
from tests import samples
from tests.unit import fake_clamd as fake

VIRUS = samples.eicar()
LARGE = bytes(1 << 20)  # more than goes out before an early answer is seen
POLICY = Policy(failures=3, first=100.0, longest=100.0)


class World:
    """Fake daemons, the scanner's time, and what it told."""

    def __init__(self, opened: AsyncExitStack, folder: Path) -> None:
        self._opened = opened
        self._folder = folder
        self.now = 0.0
        self.took: list[str] = []
        self.circuits: dict[str, str] = {}

    async def daemon(self, behave: fake.Behaviour) -> Daemon:
        daemon = Daemon(behave)
        daemon.address = await self._opened.enter_async_context(fake.fake_clamd(daemon))
        return daemon

    def scanner(self, *addresses: str, timeout: float = 60.0) -> ClamdScanner:
        scanner = ClamdScanner(
            *addresses,
            max_stream=8 << 20,
            timeout=timeout,
            folder=self._folder,
            policy=POLICY,
            now=lambda: self.now,
            took=lambda address, seconds: self.took.append(address),
            circuit=self.circuits.__setitem__,
        )
        self._opened.push_async_callback(scanner.close)
        return scanner


class Daemon:
    """A fake whose behaviour may change, and which counts its connections."""

    address = ""

    def __init__(self, behave: fake.Behaviour) -> None:
        self.behave = behave
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.behave(reader, writer)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as opened:
        yield World(opened, tmp_path)
    assert not os.listdir(tmp_path), "nothing is left of what was looked into"


async def scan(scanner: ClamdScanner, data: bytes = VIRUS) -> ScanResult:
    return await scanner.scan(body(data), len(data))


GOOD = fake.finding(VIRUS)
FAILURES = {
    "dies": fake.dying,
    "hangs up": fake.hanging_up,
    "hangs": fake.hanging,
    "garbage": fake.saying(b"garbage\0"),
    "error": fake.saying(b"stream: Can't allocate memory ERROR\0"),
    "cut off": fake.saying(b"stream: OK"),
    "early clean": fake.refusing_early(b"stream: OK\0"),
}


@pytest.mark.security(18)
@pytest.mark.parametrize("name", FAILURES)
async def test_the_others_take_the_work_of_one_that_fails(world: World, name: str) -> None:
    bad, good = await world.daemon(GOOD), await world.daemon(GOOD)
    scanner = world.scanner(bad.address, good.address, timeout=1.0)
    while (await scan(scanner)).verdict is Verdict.SCANNER_DOWN:  # until the child that opens archives has started
        pass
    bad.behave, bad.connections = FAILURES[name], 0
    world.took.clear()
    for _ in range(8):
        assert (await scan(scanner, LARGE + VIRUS)).verdict is Verdict.INFECTED
        assert (await scan(scanner, LARGE)).verdict is Verdict.CLEAN
    assert bad.connections == POLICY.failures, "then its circuit is open"
    assert world.circuits == {bad.address: "open", good.address: "closed"}
    assert set(world.took) == {good.address}


async def test_it_is_probed_and_gets_work_again(world: World) -> None:
    moody, good = await world.daemon(fake.dying), await world.daemon(GOOD)
    scanner = world.scanner(moody.address, good.address)
    for _ in range(8):
        await scan(scanner)
    moody.behave = GOOD
    before = moody.connections
    await scan(scanner)
    assert moody.connections == before
    world.now += POLICY.first
    for _ in range(4):
        assert (await scan(scanner)).verdict is Verdict.INFECTED
    assert world.circuits[moody.address] == "closed"
    assert world.took.count(moody.address) == 2


async def test_a_probe_that_fails_costs_no_scan(world: World) -> None:
    bad, good = await world.daemon(fake.dying), await world.daemon(GOOD)
    scanner = world.scanner(bad.address, good.address)
    for _ in range(8):
        await scan(scanner)
    world.now += POLICY.first
    for _ in range(4):
        assert (await scan(scanner)).verdict is Verdict.INFECTED
    assert bad.connections == POLICY.failures + 1
    assert world.circuits[bad.address] == "open"


@pytest.mark.security(18)
async def test_all_open_is_down_at_once_and_names_each(world: World) -> None:
    one, two = await world.daemon(fake.dying), await world.daemon(fake.saying(b"garbage\0"))
    scanner = world.scanner(one.address, two.address)
    results = [await scan(scanner) for _ in range(3)]
    assert {result.verdict for result in results} == {Verdict.SCANNER_DOWN}
    asked = one.connections, two.connections
    unread = OnceOnly(VIRUS)
    result = await scanner.scan(unread, len(VIRUS))
    assert result.verdict is Verdict.SCANNER_DOWN
    assert unread.read == 0
    for daemon in (one, two):
        assert f"{daemon.address}: not asked for" in result.detail
    assert "garbage" in result.detail
    assert (one.connections, two.connections) == asked


async def test_the_body_is_read_once_however_many_fail(world: World) -> None:
    bad, good = await world.daemon(fake.hanging_up), await world.daemon(GOOD)
    scanner = world.scanner(bad.address, good.address)
    once = OnceOnly(VIRUS)
    assert (await scanner.scan(once, len(VIRUS))).verdict is Verdict.INFECTED
    assert (once.read, bad.connections, good.connections) == (1, 1, 1)


async def test_a_second_failure_is_the_last(world: World) -> None:
    daemons = [await world.daemon(fake.hanging_up) for _ in range(3)]
    scanner = world.scanner(*(daemon.address for daemon in daemons))
    result = await scan(scanner)
    assert result.verdict is Verdict.SCANNER_DOWN
    assert [daemon.connections for daemon in daemons] == [1, 1, 0]


async def test_the_fewest_under_way_first(world: World) -> None:
    entered, leave = asyncio.Queue[str](), asyncio.Event()

    def slow(name: str) -> fake.Behaviour:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await fake.take(reader)
            entered.put_nowait(name)
            await leave.wait()
            writer.write(b"stream: OK\0")

        return behave

    daemons = [await world.daemon(slow(name)) for name in "abc"]
    scanner = world.scanner(*(daemon.address for daemon in daemons))
    scans = [asyncio.create_task(scan(scanner, b"x")) for _ in range(9)]
    names = Counter([await entered.get() for _ in scans])
    leave.set()
    assert {result.verdict for result in await asyncio.gather(*scans)} == {Verdict.CLEAN}
    assert names == {"a": 3, "b": 3, "c": 3}


async def test_what_is_not_the_daemons_fault_opens_nothing(world: World, tmp_path: Path) -> None:
    good = await world.daemon(GOOD)
    scanner = world.scanner(good.address)
    for _ in range(5):
        assert (await scanner.scan(body(b"short"), 9)).verdict is Verdict.SCANNER_DOWN
        assert (await scanner.scan(body(b""), 1, tmp_path / "missing")).verdict is Verdict.SCANNER_DOWN
    assert world.circuits == {good.address: "closed"}
    assert (await scan(scanner)).verdict is Verdict.INFECTED


async def test_a_cancelled_probe_leaves_its_place(world: World) -> None:
    hangs = await world.daemon(fake.dying)
    scanner = world.scanner(hangs.address)
    for _ in range(3):
        await scan(scanner)
    reached = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await asyncio.Event().wait()

    hangs.behave = behave
    world.now += POLICY.first
    probe = asyncio.create_task(scan(scanner))
    await reached.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    hangs.behave = GOOD
    assert (await scan(scanner)).verdict is Verdict.INFECTED


# --- what people are told ------------------------------------------------------------------------


async def test_one_that_answers_is_enough_and_the_others_are_named(world: World) -> None:
    bad, silent, good = [await world.daemon(behave) for behave in (fake.dying, fake.deaf, GOOD)]
    scanner = world.scanner(bad.address, silent.address, good.address)
    assert await scanner.ping() == fake.VERSION
    reasons = {engine.address: engine.why for engine in scanner.engines()}
    assert reasons[good.address] == ""
    assert reasons[bad.address]
    assert reasons[silent.address] == "no answer within 2 s"


async def test_one_that_hangs_holds_up_nothing_once_a_ping_has_told(world: World) -> None:
    """The doctor, whose scans would else wait for the whole time-out of each; and only for a while, for it may be back
    without anybody asking."""
    hung, good = await world.daemon(fake.deaf), await world.daemon(GOOD)
    scanner = world.scanner(hung.address, good.address, timeout=3600.0)
    async with asyncio.timeout(60):
        check = await diagnosis(scanner)
    assert check.grade is Grade.WARN
    assert f"{hung.address} is down, no answer within 2 s" in check.detail
    assert hung.connections == 1, "the ping"
    hung.behave = GOOD
    world.now += 60.0
    assert (await scan(scanner)).verdict is Verdict.INFECTED
    assert hung.connections == 2


async def test_none_that_answers_is_unavailable(world: World) -> None:
    one, two = await world.daemon(fake.dying), await world.daemon(fake.dying)
    with pytest.raises(Unavailable) as raised:
        await world.scanner(one.address, two.address).ping()
    assert one.address in raised.value.why
    assert two.address in raised.value.why
    with pytest.raises(Unavailable) as raised:
        await world.scanner(one.address).ping()
    assert raised.value.why.startswith("it does not answer")
    assert one.address not in raised.value.why


async def test_a_ping_may_be_the_probe_but_heals_nothing_else(world: World) -> None:
    async def version_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readuntil(b"\0") == b"zVERSION\0":
            writer.write(b"ClamAV 1.4.3\0")
            await writer.drain()

    daemon = await world.daemon(version_alone)
    scanner = world.scanner(daemon.address)
    for _ in range(3):
        await scanner.ping()
        await scan(scanner)
    await scanner.ping()
    assert world.circuits[daemon.address] == "open"
    (engine,) = scanner.engines()
    assert engine.why.startswith("its scans failed, not asked for")
    world.now += POLICY.first
    await scanner.ping()
    assert world.circuits[daemon.address] == "closed"


async def test_the_doctor_shows_the_test_file_to_each(world: World) -> None:
    good, blind = await world.daemon(GOOD), await world.daemon(fake.finding(b"something else"))
    check = await diagnosis(world.scanner(good.address, blind.address))
    assert check.grade is Grade.FAIL
    assert "says clean of the EICAR test file" in check.detail
    down = await world.daemon(fake.dying)
    check = await diagnosis(world.scanner(good.address, down.address))
    assert check.grade is Grade.WARN
    assert f"{down.address} is down, " in check.detail
    assert good.address in check.detail
    assert (await diagnosis(world.scanner(good.address, good.address + "/"))).grade is Grade.OK


# --- addresses -----------------------------------------------------------------------------------


def test_addresses() -> None:
    assert addresses("clamd://a") == ("clamd://a",)
    assert addresses("clamd://a:1, clamd:///run/b.sock") == ("clamd://a:1", "clamd:///run/b.sock")


@pytest.mark.parametrize("setting", ["", ",", "clamd://a,", "clamd://a,,clamd://b", "clamd://a,clamd://a"])
def test_addresses_that_are_none(setting: str) -> None:
    with pytest.raises(ValueError):
        addresses(setting)


@pytest.mark.slow
@pytest.mark.security(18)
async def test_three_moody_daemons_give_no_false_clean(world: World) -> None:
    whims = random.Random(7)
    moods = [GOOD, *(FAILURES[name] for name in FAILURES if name != "hangs")]

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await whims.choice(moods)(reader, writer)

    scanner = world.scanner(*[(await world.daemon(behave)).address for _ in range(3)], timeout=5.0)
    verdicts: Counter[Verdict] = Counter()
    for _ in range(40):
        world.now += POLICY.first / 4
        verdicts.update(r.verdict for r in await asyncio.gather(*(scan(scanner, LARGE + VIRUS) for _ in range(10))))
    assert set(verdicts) == {Verdict.INFECTED, Verdict.SCANNER_DOWN}
