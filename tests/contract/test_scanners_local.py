"""The local rules pass the contract, and look into more than it asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from loadingdock.adapters.scanners.limits import Limits
from loadingdock.adapters.scanners.local import LocalScanner
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import Verdict
from loadingdock.testing.scanners import ScannerContract, body
from tests import samples

INFECTED, UNSCANNABLE, CLEAN = samples.infected(), samples.unscannable(), samples.clean()
pytestmark = pytest.mark.asyncio(loop_scope="module")  # a child process is worth keeping


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scanner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalScanner]:
    folder = tmp_path_factory.mktemp("scratch")
    scanner = LocalScanner(folder=folder, children=1)
    yield scanner
    await scanner.close()
    assert not list(folder.iterdir()), "nothing is left of what was looked into"


@pytest_asyncio.fixture(loop_scope="module")
async def lost_scanner(tmp_path: Path) -> AsyncIterator[LocalScanner]:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "broken.yar").write_text("rule broken { condition: nonsense }")
    scanner = LocalScanner(rules)
    yield scanner
    await scanner.close()


class TestLocalScanner(ScannerContract):
    pass


@pytest.mark.security(17)
@pytest.mark.parametrize("name", INFECTED)
async def test_infected(scanner: LocalScanner, name: str) -> None:
    data = INFECTED[name]
    assert (await scanner.scan(body(data), len(data))).verdict is Verdict.INFECTED


@pytest.mark.security(16)
@pytest.mark.security(18)
@pytest.mark.parametrize("name", UNSCANNABLE)
async def test_unscannable(scanner: LocalScanner, name: str) -> None:
    data = UNSCANNABLE[name]
    result = await scanner.scan(body(data), len(data))
    assert result.verdict is Verdict.UNSCANNABLE
    assert result.detail


@pytest.mark.parametrize("name", CLEAN)
async def test_clean(scanner: LocalScanner, name: str) -> None:
    data = CLEAN[name]
    assert (await scanner.scan(body(data), len(data))).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    ("make", "why"),
    ids=range(7),
    argvalues=[
        (lambda: samples.encrypted_zip({"a": b"x"}), "encrypted: 'a' needs a password"),
        (lambda: samples.seven_zip({"a": b"x"}, password="p"), "encrypted: the file: it needs a password"),
        (lambda: samples.nested_zip(b"x", 20), "over a limit: archives are packed more than 8 deep"),
        (samples.zip_with_link, "unsafe entry: 'link' is a link or a device"),
        (lambda: samples.zip_file({"a": b"x"})[:-30], "damaged or ambiguous: the file: it has no central directory"),
        (lambda: samples.zip_file({"a": b"x"}, 14), "unknown method: 'a' is compressed by method 14"),
        (lambda: b"Rar!\x1a\x07\x01\x00" + bytes(20), "Archive_of_unknown_format in the file"),
    ],
)
async def test_detail_says_why(scanner: LocalScanner, make: Callable[[], bytes], why: str) -> None:
    data = make()
    assert (await scanner.scan(body(data), len(data))).detail == why


@pytest.mark.security(17)
async def test_infected_outweighs_unscannable(scanner: LocalScanner) -> None:
    """A company may accept what cannot be scanned; it must not get what was found."""
    data = samples.zip_file({"secret.zip": samples.encrypted_zip({"a": b"x"}), "eicar.com": samples.eicar()})
    assert (await scanner.scan(body(data), len(data))).verdict is Verdict.INFECTED


@pytest.mark.security(16)
@pytest.mark.parametrize(
    ("limits", "make", "why"),
    ids=range(8),
    argvalues=[
        (Limits(entries=3), lambda: samples.zip_file({str(n): b"x" for n in range(4)}), "more than 3 entries"),
        (Limits(entries=3), lambda: samples.tar_file({str(n): b"x" for n in range(4)}), "more than 3 entries"),
        (Limits(entries=3), lambda: samples.seven_zip({str(n): b"x" for n in range(4)}), "more than 3 entries"),
        (Limits(entry=1000), lambda: samples.zip_file({"a": bytes(1001)}), "larger than 1000 bytes"),
        (Limits(entry=1000), lambda: samples.seven_zip({"a": bytes(1001)}), "larger than 1000 bytes"),
        (
            Limits(unpacked=1000),
            lambda: samples.zip_file({"a": bytes(600), "b": bytes(600)}),
            "more than 1000 bytes unpacked",
        ),
        (Limits(depth=2), lambda: samples.nested_zip(b"x", 3), "more than 2 deep"),
        (Limits(ratio=10, ratio_from=1000), lambda: samples.zip_file({"a": bytes(100_000)}), "10 times as large"),
    ],
)
async def test_limits(tmp_path: Path, limits: Limits, make: Callable[[], bytes], why: str) -> None:
    data = make()
    scanner = LocalScanner(limits=limits, folder=tmp_path, children=1)
    try:
        result = await scanner.scan(body(data), len(data))
    finally:
        await scanner.close()
    assert result.verdict is Verdict.UNSCANNABLE
    assert why in result.detail


async def test_operators_rules(tmp_path: Path) -> None:
    (tmp_path / "own.yar").write_text(
        'rule Ours { strings: $a = "our own secret" condition: $a }\n'
        'rule Closed : unscannable { strings: $a = "our own box" condition: $a }\n'
    )
    scanner = LocalScanner(tmp_path, children=1)
    try:
        for data, verdict in (
            (b"this is our own secret", Verdict.INFECTED),
            (b"this is our own box", Verdict.UNSCANNABLE),
            (samples.eicar(), Verdict.INFECTED),
            (b"this is nobody's", Verdict.CLEAN),
        ):
            assert (await scanner.scan(body(data), len(data))).verdict is verdict
    finally:
        await scanner.close()


async def test_a_broken_rule_is_named(lost_scanner: LocalScanner) -> None:
    with pytest.raises(Unavailable) as raised:
        await lost_scanner.ping()
    assert "broken.yar" in str(raised.value.__cause__)
    assert "nonsense" in str(raised.value.__cause__)


@pytest.mark.slow
async def test_what_uses_up_its_time_is_unscannable(tmp_path: Path) -> None:
    """And costs the child alone: the next file is scanned."""
    endless = Limits(unpacked=1 << 50, ratio=1 << 30)
    scanner = LocalScanner(limits=endless, cpu=1, children=1, folder=tmp_path)
    try:
        zeros = samples.zip_bomb(100 << 20)
        bomb = samples.zip_file({str(n): zeros for n in range(1000)})
        result = await scanner.scan(body(bomb), len(bomb))
        assert result.verdict is Verdict.UNSCANNABLE
        assert "CPU" in result.detail
        assert (await scanner.scan(body(b"hello"), 5)).verdict is Verdict.CLEAN
    finally:
        await scanner.close()
