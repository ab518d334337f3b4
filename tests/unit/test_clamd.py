"""What the client of clamd makes of its replies, and of a daemon that hangs, dies and lies."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.scanners.circuit import Policy
from loadingdock.adapters.scanners.clamd import MAX_REPLY, classify
from loadingdock.adapters.scanners.pool import ClamdScanner
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.testing.scanners import body
from tests import samples
from tests.unit import fake_clamd as fake

STREAM = 8 << 20
PATIENT = Policy(failures=1 << 30)


async def scan(scanner: ClamdScanner, data: bytes) -> ScanResult:
    return await scanner.scan(body(data), len(data))


# --- replies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (b"stream: OK\0", Verdict.CLEAN),
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", Verdict.INFECTED),
        (b"stream: Heuristics.Phishing.Email FOUND\0", Verdict.INFECTED),
        (b"stream: Heuristics.Encrypted.Zip FOUND\0", Verdict.UNSCANNABLE),
        (b"stream: Heuristics.Encrypted.PDF FOUND\0", Verdict.UNSCANNABLE),
        (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Verdict.UNSCANNABLE),
        (b"stream: Heuristics.Limits.Exceeded FOUND\0", Verdict.UNSCANNABLE),
        (b"INSTREAM size limit exceeded. ERROR\0", Verdict.UNSCANNABLE),
        (b"stream: Can't allocate memory ERROR\0", Verdict.SCANNER_DOWN),
        (b"COMMAND READ TIMED OUT\0", Verdict.SCANNER_DOWN),
        (b"UNKNOWN COMMAND\0", Verdict.SCANNER_DOWN),
        (b"stream: OK", Verdict.SCANNER_DOWN),  # cut off
        (b"stream: OK\n", Verdict.SCANNER_DOWN),
        (b"stream: OK\0stream: X FOUND\0", Verdict.SCANNER_DOWN),
        (b"/tmp/x: OK\0", Verdict.SCANNER_DOWN),
        (b"stream: ok\0", Verdict.SCANNER_DOWN),
        (b"OK\0", Verdict.SCANNER_DOWN),
        (b"\0", Verdict.SCANNER_DOWN),
        (b"", Verdict.SCANNER_DOWN),
    ],
)
def test_classify(reply: bytes, verdict: Verdict) -> None:
    assert classify(reply).verdict is verdict


@given(st.binary() | st.builds(lambda a, b: a + b"stream: OK" + b, st.binary(max_size=5), st.binary(max_size=5)))
def test_only_one_reply_is_clean(reply: bytes) -> None:
    assert (classify(reply).verdict is Verdict.CLEAN) == (reply == b"stream: OK\0")


@given(st.binary(max_size=60))
def test_no_error_is_clean_or_infected(text: bytes) -> None:
    assert classify(text + b" ERROR\0").verdict in {Verdict.UNSCANNABLE, Verdict.SCANNER_DOWN}


# --- a daemon that lies --------------------------------------------------------------------------


Make = Callable[..., ClamdScanner]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """`make(address, timeout=60.0)`; its circuit never opens, so that the daemon is asked every time."""
    made: list[ClamdScanner] = []

    def make(address: str, timeout: float = 60.0) -> ClamdScanner:
        made.append(ClamdScanner(address, max_stream=STREAM, timeout=timeout, folder=tmp_path, policy=PATIENT))
        return made[-1]

    yield make
    for scanner in made:
        await scanner.close()
    assert not os.listdir(tmp_path), "nothing is left of what was looked into"


@pytest.mark.security(18)
@pytest.mark.parametrize(
    "behaviour",
    [
        fake.dying,
        fake.hanging_up,
        fake.saying(b""),
        fake.saying(b"stream: OK"),
        fake.saying(b"garbage\0"),
        fake.saying(b"x" * (2 * MAX_REPLY)),
        fake.saying(b"stream: ERROR\0"),
        fake.refusing_early(b"stream: OK\0"),
        fake.refusing_early(b""),
    ],
    ids=["dies", "hangs up", "nothing", "cut off", "garbage", "endless", "error", "early clean", "early nothing"],
)
async def test_whatever_is_not_an_answer_is_down(behaviour: fake.Behaviour, make: Make) -> None:
    async with fake.fake_clamd(behaviour) as address:
        scanner = make(address)
        assert (await scan(scanner, bytes(1 << 20))).verdict is Verdict.SCANNER_DOWN


@pytest.mark.slow
@pytest.mark.security(18)
@pytest.mark.parametrize("behaviour", [fake.hanging, fake.deaf], ids=["hangs", "deaf"])
async def test_no_answer_in_time_is_down(behaviour: fake.Behaviour, make: Make) -> None:
    async with fake.fake_clamd(behaviour) as address:
        scanner = make(address, timeout=1.0)
        result = await scan(scanner, bytes(8 << 20))
        assert result.verdict is Verdict.SCANNER_DOWN
        assert result.detail.endswith("within 1 s")


async def test_an_early_answer_counts_although_the_stream_broke(make: Make) -> None:
    async with fake.fake_clamd(fake.refusing_early(b"INSTREAM size limit exceeded. ERROR\0")) as address:
        scanner = make(address)
        result = await scan(scanner, bytes(1 << 20))
    assert result.verdict in {Verdict.UNSCANNABLE, Verdict.SCANNER_DOWN}  # the reset may overtake the answer


async def test_what_is_sent_is_what_was_given(make: Make) -> None:
    received: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await fake.take(reader))
        writer.write(b"stream: OK\0")

    async with fake.fake_clamd(behave) as address:
        scanner = make(address)
        for data in (b"", b"x", random.Random(1).randbytes(3_000_001)):
            assert (await scan(scanner, data)).verdict is Verdict.CLEAN
            assert received.pop() == data


async def test_too_large_is_not_even_sent(make: Make) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("somebody connected")

    async with fake.fake_clamd(behave) as address:
        scanner = make(address)
        assert (await scanner.scan(body(b""), STREAM + 1)).verdict is Verdict.UNSCANNABLE


@pytest.mark.slow
@pytest.mark.security(18)
async def test_200_cycles_of_a_failing_scanner_give_no_false_clean(make: Make) -> None:
    """The file is infected and the daemon, when it answers at all, says so; otherwise it hangs, dies and lies."""
    whims = random.Random(18)
    honest = fake.saying(b"stream: Test.EICAR FOUND\0")
    moods: list[fake.Behaviour] = [
        honest,
        fake.dying,
        fake.hanging,
        fake.hanging_up,
        fake.refusing_early(b"stream: OK\0"),
        fake.saying(b"stream: OK"),
        fake.saying(b"stream: OK\n"),
        fake.saying(b"garbage\0"),
        fake.saying(b"stream: lstat() failed ERROR\0"),
    ]

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await whims.choice(moods)(reader, writer)

    async with fake.fake_clamd(behave) as address:
        scanner = make(address, timeout=0.5)
        data = bytes(400_000) + samples.eicar()
        verdicts = []
        for _ in range(10):
            results = await asyncio.gather(*(scan(scanner, data) for _ in range(20)))
            verdicts += [result.verdict for result in results]
        moods[:] = [honest]
        assert (await scan(make(address), data)).verdict is Verdict.INFECTED
    assert len(verdicts) == 200
    assert set(verdicts) <= {Verdict.INFECTED, Verdict.SCANNER_DOWN}


@pytest.mark.parametrize("reply", [b"", b"ClamAV", b"garbage\0"])
async def test_ping_of_something_else(reply: bytes, make: Make) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0")
        writer.write(reply)

    async with fake.fake_clamd(behave) as address:
        scanner = make(address)
        with pytest.raises(Unavailable):
            await scanner.ping()


@pytest.mark.parametrize(
    "address",
    [
        "tcp://localhost:3310",
        "clamd://",
        "clamd://host:3310/socket",
        "clamd://user@host",
        "clamd:socket",
        "clamd://h:x",
        "clamd://h:99999",
        "clamd://[::1",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(address))):  # of several it is said which
        ClamdScanner(address)
