"""The doctor finds what is wrong, says what to do, and is not alarmed by what is well."""

from __future__ import annotations

import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from loadingdock.bootstrap import DATABASE
from loadingdock.cli import surroundings
from loadingdock.core import diagnosis
from loadingdock.core.diagnosis import Check, Grade, eicar
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ExtractedText, ScanResult, Verdict
from loadingdock.core.ports.examination import Examination
from loadingdock.core.ports.processing import Engine
from loadingdock.settings import Settings
from tests.acceptance.operator import Operator, Said

NAMES = [
    "settings",
    "open files",
    "public URL",
    "data folder",
    "file system",
    "database",
    "contacts",
    "store",
    "scanner",
    "clock",
    "types",
    "text",
    "jobs",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of an installation with a company in it."""
    Operator(tmp_path / "data").gets("company", "add", "acme")
    return tmp_path / "data"


def checks(said: Said) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in said.object["checks"]}


def failed(said: Said) -> list[str]:
    return [name for name, check in checks(said).items() if check["grade"] == "fail"]


def test_a_sound_installation(data: Path) -> None:
    said = Operator(data, public_url="https://files.example.com").types("doctor", "--json")
    assert failed(said) == []
    assert list(checks(said)) == NAMES
    assert (said.code, said.object["ok"]) == (0, True)
    scanner = checks(said)["scanner"]
    assert "no antivirus" in scanner["detail"]
    assert "clamd" in scanner["advice"]
    assert all(bool(check["advice"]) == (check["grade"] != "ok") for check in checks(said).values())


@pytest.mark.slow
def test_as_text_each_check_is_a_line_with_advice_below(data: Path) -> None:
    said = Operator(data).types("doctor")
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")].count("ok") >= 8
    assert "-> Set LOADINGDOCK_PUBLIC_URL." in said.out


@pytest.mark.slow
def test_a_misspelt_variable(data: Path) -> None:
    check = checks(Operator(data, scaner_url="clamd:///run/clamd").types("doctor", "--json"))["settings"]
    assert check["grade"] == "warn"
    assert "LOADINGDOCK_SCANER_URL, which nothing reads" in check["detail"]
    assert "Is LOADINGDOCK_SCANNER_URL meant?" in check["advice"]


def test_wrong_settings(data: Path) -> None:
    said = Operator(data, lease="soon").types("doctor", "--json")
    assert (said.code, failed(said)) == (1, ["settings"])
    assert "LOADINGDOCK_LEASE is wrong" in checks(said)["settings"]["detail"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = Operator(tmp_path / "file" / "data").types("doctor", "--json")
    assert (said.code, failed(said)) == (1, ["data folder"])


@pytest.mark.slow
def test_a_folder_that_others_may_read(data: Path) -> None:
    data.chmod(0o755)
    check = checks(Operator(data).types("doctor", "--json"))["data folder"]
    assert (check["grade"], check["advice"]) == ("warn", f"chmod 700 {data}")


@pytest.mark.slow
def test_a_damaged_database(data: Path) -> None:
    file = data / DATABASE
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'companies'").fetchone() or (0,)
    size = connection.pragma("page_size")
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(b"\xff" * size)
    said = Operator(data).types("doctor", "--json")
    assert said.code == 1
    assert "database" in failed(said)


def test_a_database_of_a_newer_program(data: Path) -> None:
    connection = apsw.Connection(str(data / DATABASE))
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    said = Operator(data).types("doctor", "--json")
    assert (said.code, failed(said)) == (1, ["database"])
    assert "999" in checks(said)["database"]["detail"]


@pytest.mark.slow
def test_a_scanner_that_is_not_there(data: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"clamd://127.0.0.1:{nobody.getsockname()[1]}"
        said = Operator(data, scanner_url=url).types("doctor", "--json")
    assert (said.code, failed(said)) == (1, ["scanner"])
    assert checks(said)["scanner"]["advice"] == "Start it, or correct LOADINGDOCK_SCANNER_URL."


# --- what can be shown without an installation ---------------------------------------------------


class Scanner:
    """Says of every file the same, or knows the EICAR test file."""

    name = "a scanner"

    def __init__(self, verdict: Verdict | None, *, antivirus: bool = True) -> None:
        self.antivirus = antivirus
        self._verdict = verdict

    async def scan(self, body: AsyncIterator[bytes], size: int, path: Path | None = None) -> ScanResult:
        content = b"".join([piece async for piece in body])
        assert len(content) == size
        known = Verdict.INFECTED if eicar() in content else Verdict.CLEAN
        return ScanResult(self._verdict or known, "as always")

    async def ping(self) -> str:
        return "1.0"

    def engines(self) -> tuple[Engine, ...]:
        return ()

    async def examine(self) -> Examination:
        return Examination(self.name)

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("verdict", "antivirus", "grade"),
    [
        (None, True, Grade.OK),
        (None, False, Grade.WARN),
        (Verdict.CLEAN, True, Grade.FAIL),
        (Verdict.INFECTED, True, Grade.FAIL),
        (Verdict.UNSCANNABLE, True, Grade.FAIL),
        (Verdict.SCANNER_DOWN, True, Grade.FAIL),
    ],
)
async def test_a_scanner_is_judged_by_what_it_finds(verdict: Verdict | None, antivirus: bool, grade: Grade) -> None:
    assert (await diagnosis.scanner(Scanner(verdict, antivirus=antivirus))).grade is grade


class Detector:
    async def detect(self, head: bytes, name: str) -> str:
        return "application/octet-stream"


async def test_a_detector_that_knows_nothing() -> None:
    detector: Any = Detector()
    check = await diagnosis.types(detector)
    assert check.grade is Grade.FAIL
    assert "application/pdf were taken for application/octet-stream" in check.detail


class Extractor:
    def __init__(self, result: ExtractedText) -> None:
        self._result = result

    async def extract(self, path: Path, content_type: str) -> ExtractedText:
        return self._result

    async def close(self) -> None:
        return None


@pytest.mark.parametrize("result", [ExtractedText(None, problem="ran out of memory"), ExtractedText("another")])
async def test_a_text_child_that_does_not_work(result: ExtractedText) -> None:
    assert (await diagnosis.text(Extractor(result))).grade is Grade.FAIL


async def test_a_check_that_cannot_be_made_has_failed() -> None:
    async def check() -> Check:
        raise Unavailable("store")

    assert (await diagnosis.guarded("store", check, "Look.")).advice == "Look."


class Still:
    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


@pytest.mark.parametrize(
    ("now", "grade"),
    [
        (lambda: datetime.now(UTC), Grade.OK),
        (lambda: datetime.now(UTC) - timedelta(hours=1), Grade.FAIL),
        (lambda: datetime(1970, 1, 1, tzinfo=UTC), Grade.FAIL),
    ],
)
async def test_a_clock_behind_what_it_wrote(now: Callable[[], datetime], grade: Grade, data: Path) -> None:
    from loadingdock.bootstrap import system

    async with system(Settings(data=data)) as opened:
        assert (await diagnosis.clock(Still(now()), opened.records)).grade is grade


@pytest.mark.parametrize(
    ("url", "grade"),
    [
        ("http://127.0.0.1:8080", Grade.WARN),
        ("http://localhost:8080", Grade.WARN),
        ("http://[::1]:8080", Grade.WARN),
        ("http://0.0.0.0:8080", Grade.FAIL),
        ("http://[::]:8080", Grade.FAIL),
        ("http://", Grade.FAIL),
        ("https://files.example.com?x=1", Grade.FAIL),
        ("http://files.invalid", Grade.WARN),
        ("https://files.invalid", Grade.OK),
    ],
)
def test_public_urls(url: str, grade: Grade) -> None:
    assert surroundings.public_url(url, given=True).grade is grade


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("limit", "grade"), [(200, Grade.FAIL), (512, Grade.WARN), (4096, Grade.OK)])
def test_the_limit_on_open_files(limit: int, grade: Grade) -> None:
    with open_files(limit):
        assert surroundings.open_files().grade is grade


@pytest.mark.parametrize(
    ("kind", "options", "grade"),
    [
        ("xfs", {"rw"}, Grade.OK),
        ("nfs4", {"rw"}, Grade.FAIL),
        ("fuse.sshfs", {"rw"}, Grade.FAIL),
        ("tmpfs", {"rw"}, Grade.WARN),
        ("overlay", {"rw"}, Grade.WARN),
        ("ext4", {"rw", "nobarrier"}, Grade.FAIL),
    ],
)
def test_file_systems(
    kind: str, options: set[str], grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "mounted", lambda _: (kind, "somewhere", frozenset(options)))
    assert surroundings.file_system(tmp_path).grade is grade


def test_the_file_system_of_a_path_is_known() -> None:
    kind, _, options = surroundings.mounted(Path("/proc"))
    assert kind == "proc"
    assert "rw" in options or "ro" in options
