"""The contract of scanners against a real clamd, and what clamd alone would let pass."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from loadingdock.adapters.scanners.circuit import Policy
from loadingdock.adapters.scanners.pool import ClamdScanner
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ScanResult, Verdict
from loadingdock.testing.scanners import ScannerContract, body
from tests import samples
from tests.engines.clamd import ENTRY, SCAN, STREAM, Clamd, clamd

__all__ = ["clamd"]  # the fixture

INFECTED = samples.infected()
UNSCANNABLE = samples.unscannable()
CLEAN = samples.clean()
pytestmark = pytest.mark.asyncio(loop_scope="module")  # a child process is worth keeping


def _scanner(address: str, folder: Path, timeout: float = 60.0) -> ClamdScanner:
    return ClamdScanner(address, max_stream=STREAM, max_entry=ENTRY, unpacked=SCAN, timeout=timeout, folder=folder)


async def scan(scanner: ClamdScanner, data: bytes) -> ScanResult:
    return await scanner.scan(body(data), len(data))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["tcp", "unix"])
async def scanner(
    clamd: Clamd, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ClamdScanner]:
    folder = tmp_path_factory.mktemp("scratch")
    scanner = _scanner(clamd.tcp if request.param == "tcp" else clamd.unix, folder)
    yield scanner
    await scanner.close()
    assert not list(folder.iterdir()), "nothing is left of what was looked into"


@pytest_asyncio.fixture(loop_scope="module")
async def lost_scanner(tmp_path: Path) -> AsyncIterator[ClamdScanner]:
    scanner = _scanner(f"clamd://{tmp_path}/nobody-listens.sock", tmp_path)
    yield scanner
    await scanner.close()


@pytest.mark.engine("clamd")
class TestClamdScanner(ScannerContract):
    max_size = STREAM

    @pytest.mark.security(17)
    @pytest.mark.parametrize("name", INFECTED)
    async def test_infected_samples(self, scanner: ClamdScanner, name: str) -> None:
        assert (await scan(scanner, INFECTED[name])).verdict is Verdict.INFECTED

    @pytest.mark.security(18)
    @pytest.mark.parametrize("name", UNSCANNABLE)
    async def test_unscannable_samples(self, scanner: ClamdScanner, name: str) -> None:
        assert (await scan(scanner, UNSCANNABLE[name])).verdict is Verdict.UNSCANNABLE

    @pytest.mark.parametrize("name", CLEAN)
    async def test_clean_samples(self, scanner: ClamdScanner, name: str) -> None:
        assert (await scan(scanner, CLEAN[name])).verdict is Verdict.CLEAN

    @pytest.mark.security(18)
    @pytest.mark.parametrize("depth", [0, 1, 2])
    async def test_an_entry_that_clamd_passes_over_is_unscannable(self, scanner: ClamdScanner, depth: int) -> None:
        data = samples.zip_file({"large": bytes(ENTRY) + samples.eicar()})
        assert (await scan(scanner, samples.nested_zip(data, depth))).verdict is Verdict.UNSCANNABLE

    @pytest.mark.security(18)
    async def test_a_method_that_clamd_does_not_know_is_unscannable(self, scanner: ClamdScanner) -> None:
        data = samples.zip_file({"eicar.com": samples.eicar()}, zipfile.ZIP_LZMA)
        assert (await scan(scanner, data)).verdict is Verdict.UNSCANNABLE

    @pytest.mark.security(18)
    async def test_past_its_own_limit_the_reply_is_still_read(self, clamd: Clamd, tmp_path: Path) -> None:
        """The setting is wrong: larger than the daemon's own limit."""
        scanner = ClamdScanner(clamd.tcp, max_stream=1 << 30, max_entry=1 << 30, folder=tmp_path)
        try:
            result = await scan(scanner, bytes(3 * STREAM))
        finally:
            await scanner.close()
        assert result == ScanResult(Verdict.UNSCANNABLE, "INSTREAM size limit exceeded. ERROR")

    async def test_ping(self, scanner: ClamdScanner) -> None:
        assert (await scanner.ping()).startswith("ClamAV ")


@pytest.mark.engine("clamd")
@pytest.mark.security(18)
async def test_a_daemon_that_keeps_quiet_about_limits(tmp_path: Path) -> None:
    """As Debian configures it, clamd says OK to what is encrypted; its word alone is not taken."""
    quiet = Clamd(tmp_path, alerts=False)
    scanner = _scanner(quiet.start().tcp, tmp_path)
    try:
        for name in ("encrypted zip", "encrypted 7z", "too deep"):
            assert (await scan(scanner, UNSCANNABLE[name])).verdict is Verdict.UNSCANNABLE
        assert (await scan(scanner, INFECTED["zip"])).verdict is Verdict.INFECTED
    finally:
        await scanner.close()
        quiet.kill()


@pytest.mark.engine("clamd")
@pytest.mark.security(18)
async def test_killed_frozen_and_back_again(tmp_path: Path) -> None:
    daemon = Clamd(tmp_path).start()
    scanner = _scanner(daemon.tcp, tmp_path, timeout=1.0)
    try:
        assert (await scan(scanner, b"hello")).verdict is Verdict.CLEAN
        daemon.freeze()
        assert (await scan(scanner, b"hello")).verdict is Verdict.SCANNER_DOWN
        daemon.thaw()
        daemon.kill()
        assert (await scan(scanner, b"hello")).verdict is Verdict.SCANNER_DOWN
        with pytest.raises(Unavailable):
            await scanner.ping()
        daemon.start()
        assert (await scan(scanner, samples.eicar())).verdict is Verdict.INFECTED
    finally:
        await scanner.close()
        daemon.kill()


@pytest.mark.engine("clamd")
@pytest.mark.security(18)
async def test_one_of_two_is_killed_under_load_and_comes_back(tmp_path: Path) -> None:
    """The other takes its work: nothing is lost and nothing infected is clean. Back again, it gets its share."""
    mortal, other = (Clamd(tmp_path / name) for name in ("mortal", "other"))
    took: list[str] = []
    states: dict[str, str] = {}
    told = asyncio.Event()

    def took_by(address: str, seconds: float) -> None:
        took.append(address)
        told.set()

    def circuit_of(address: str, state: str) -> None:
        states[address] = state
        told.set()

    for daemon in (mortal, other):
        daemon.folder.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    scanner = ClamdScanner(
        mortal.start().tcp,
        other.start().tcp,
        max_stream=STREAM,
        max_entry=ENTRY,
        unpacked=SCAN,
        timeout=30.0,
        folder=scratch,
        policy=Policy(failures=3, first=0.05, longest=0.1),
        took=took_by,
        circuit=circuit_of,
    )
    verdicts: list[tuple[bool, Verdict]] = []
    going = True

    async def load(n: int) -> None:
        while going:
            infected = n % 2 == 0
            content = bytes(100_000) + (samples.eicar() if infected else b"harmless")
            verdicts.append((infected, (await scan(scanner, content)).verdict))

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                told.clear()
                await told.wait()

    try:
        async with asyncio.TaskGroup() as group:
            for n in range(6):
                group.create_task(load(n))
            await until(lambda: {mortal.tcp, other.tcp} <= set(took))
            mortal.kill()
            await until(lambda: states[mortal.tcp] != "closed")
            took.clear()
            await until(lambda: len(took) > 50)
            assert set(took) == {other.tcp}
            await asyncio.to_thread(mortal.start)
            await until(lambda: mortal.tcp in took and states[mortal.tcp] == "closed")
            took.clear()
            await until(lambda: min(took.count(mortal.tcp), took.count(other.tcp)) > 10)
            going = False
        assert set(verdicts) == {(True, Verdict.INFECTED), (False, Verdict.CLEAN)}
    finally:
        await scanner.close()
        for daemon in (mortal, other):
            daemon.kill()
    assert not list(scratch.iterdir())
