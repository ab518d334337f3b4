"""Whether a clamd keeps what the settings promise of it, and how old its signatures are. clamd cannot be asked for its
limits, so it is shown the largest file that it may be sent, with the EICAR test file in it."""

from __future__ import annotations

import asyncio
import re
import tempfile
import zipfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadingdock.adapters.scanners.clamd import Clamd, NoAnswer
from loadingdock.core.diagnosis import eicar
from loadingdock.core.model.processing import ScanResult, Verdict

_OLD = timedelta(days=7)  # ClamAV's databases are published daily
_MOST = (1 << 31) - 1  # bytes; clamd scans no larger file, whatever its limits say
_BLOCK = bytes(1 << 20)
# As VERSION says it (clamd(8)): program, number of the daily database, and its date by the server's clock.
_VERSION = re.compile(r"ClamAV [^/]+/\d+/(?P<date>.+)")
_DATE = "%a %b %d %H:%M:%S %Y"


async def problems(clamd: Clamd, largest: int, folder: Path | None) -> tuple[str, ...]:
    """`largest` file that it is sent, in bytes."""
    size = min(largest, _MOST)
    with tempfile.NamedTemporaryFile(prefix="examination-", dir=folder) as file:
        path = Path(file.name)
        size = await asyncio.to_thread(_fill, path, size)
        found = _limits(await clamd.scan(path, size), size)
    return (f"{clamd.address}: {found}",) if found else ()


def _limits(result: ScanResult, size: int) -> str:
    """What is wrong with that answer; empty if nothing is."""
    match result.verdict:
        case Verdict.INFECTED:
            return ""
        case Verdict.CLEAN:
            return (
                f"it calls a file of {size} bytes clean though the EICAR test file is in it; in its clamd.conf set"
                f" MaxFileSize and MaxScanSize to {size} or more, and AlertExceedsMax to yes"
            )
        case Verdict.UNSCANNABLE if result.detail.startswith("Heuristics.Limits"):
            return (
                f"it does not look into a file of {size} bytes ({result.detail}); raise MaxFileSize and MaxScanSize in"
                " its clamd.conf, or lower LOADINGDOCK_SCANNER_MAX_STREAM"
            )
        case Verdict.SCANNER_DOWN if result.detail.startswith("no verdict"):
            return (
                f"of a file of {size} bytes it says nothing in time ({result.detail}); raise"
                " LOADINGDOCK_SCANNER_TIMEOUT or lower LOADINGDOCK_SCANNER_MAX_STREAM"
            )
        case _:
            return (
                f"it does not take a file of {size} bytes ({result.detail}); raise StreamMaxLength in its clamd.conf,"
                " or lower LOADINGDOCK_SCANNER_MAX_STREAM to it"
            )


async def remarks(clamd: Clamd, now: datetime) -> tuple[str, ...]:
    with suppress(NoAnswer):
        if remark := age(await clamd.version(), now):
            return (f"{clamd.address}: {remark}",)
    return ()


def age(version: str, now: datetime) -> str:
    """What is to be said of the age of its signatures; empty if they are new."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return "it names no signatures of ClamAV's own; see that freshclam runs there"
    try:
        date = datetime.strptime(found["date"], _DATE).replace(tzinfo=UTC)
    except ValueError:
        return ""
    if now - date < _OLD:
        return ""
    return f"its signatures are of {date:%Y-%m-%d}, {(now - date).days} days old; see that freshclam runs there"


def _fill(path: Path, size: int) -> int:
    """A zip of that size, none of it compressed. Returns what it has, which is more where the size is tiny."""
    _write(path, 0)
    _write(path, max(0, size - path.stat().st_size))
    return path.stat().st_size


def _write(path: Path, filler: int) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("eicar.com", eicar())
        with archive.open(zipfile.ZipInfo("filler"), "w") as entry:
            for at in range(0, filler, len(_BLOCK)):
                entry.write(_BLOCK[: min(len(_BLOCK), filler - at)])
