"""What the doctor finds out about a real clamd: whether it keeps what the settings promise of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loadingdock.adapters.scanners.examination import age
from loadingdock.adapters.scanners.pool import ClamdScanner
from loadingdock.core.model.processing import Verdict
from loadingdock.testing.scanners import body
from tests import samples
from tests.engines.clamd import ENTRY, STREAM, Clamd, clamd

__all__ = ["clamd"]  # the fixture


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """As Debian configures it: what is over a limit is called OK."""
    daemon = Clamd(tmp_path_factory.mktemp("quiet"), alerts=False)
    try:
        yield daemon.start()
    finally:
        daemon.kill()


async def problems(address: str, folder: Path, stream: int, entry: int) -> tuple[str, ...]:
    scanner = ClamdScanner(address, max_stream=stream, max_entry=entry, folder=folder)
    try:
        await scanner.ping()
        found = (await scanner.examine()).problems
    finally:
        await scanner.close()
    assert os.listdir(folder) == []
    return found


@pytest.mark.engine("clamd")
@pytest.mark.parametrize(
    ("stream", "entry", "advice"),
    [
        (STREAM, ENTRY, None),
        (STREAM, ENTRY + 1, "it does not look into a file of .*; raise MaxFileSize"),
        (STREAM + 1, STREAM + 1, f"it does not take a file of {STREAM + 1} bytes .*; raise StreamMaxLength"),
        (10 * STREAM, 10 * STREAM, "raise StreamMaxLength"),
    ],
)
async def test_limits_as_they_are_set(
    clamd: Clamd, tmp_path: Path, stream: int, entry: int, advice: str | None
) -> None:
    found = await problems(clamd.tcp, tmp_path, stream, entry)
    if advice is None:
        assert found == ()
    else:
        (problem,) = found
        assert re.search(advice, problem), problem


@pytest.mark.engine("clamd")
async def test_one_that_calls_clean_what_it_did_not_look_into(quiet: Clamd, tmp_path: Path) -> None:
    (problem,) = await problems(quiet.tcp, tmp_path, STREAM, STREAM)
    assert problem.startswith(f"{quiet.tcp}: it calls a file of {STREAM} bytes clean though the EICAR test file is in")
    assert "AlertExceedsMax to yes" in problem
    assert await problems(quiet.unix, tmp_path, STREAM, ENTRY) == ()


@pytest.mark.engine("clamd")
@pytest.mark.security(18)
async def test_a_file_that_clamd_passes_over_is_unscannable(quiet: Clamd, tmp_path: Path) -> None:
    scanner = ClamdScanner(quiet.tcp, max_stream=STREAM, max_entry=ENTRY, folder=tmp_path)
    data = samples.eicar() + bytes(ENTRY)
    try:
        assert (await scanner.scan(body(data), len(data))).verdict is Verdict.UNSCANNABLE
    finally:
        await scanner.close()


NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("ClamAV 1.4.3/27822/Sat Nov 21 09:25:01 2026", ""),
        ("ClamAV 1.4.3/27000/Sun Nov  1 09:25:01 2026", "its signatures are of 2026-11-01, 20 days old; see that"),
        ("ClamAV 1.4.3", "it names no signatures of ClamAV's own"),
        ("ClamAV 1.4.3/27000/gestern", ""),
    ],
)
def test_the_age_of_signatures(version: str, said: str) -> None:
    assert age(version, NOW).startswith(said)
    assert bool(age(version, NOW)) == bool(said)
