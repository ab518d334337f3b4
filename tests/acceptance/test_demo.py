"""The demo shows what is there, and says so when something is not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from loadingdock.adapters.text import TextExtraction
from loadingdock.adapters.types import MagicDetector
from loadingdock.core.diagnosis import eicar
from loadingdock.demo import curl, play, samples
from loadingdock.demo.curl import Request
from loadingdock.demo.service import DemoFailed, Throwaway
from loadingdock.demo.show import Show
from tests.service import Service

SENTENCE = "A sentence (with brackets) to be found again."
OFFICE = "application/vnd.openxmlformats-officedocument."


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "content_type", "has_text"),
    [
        ("a.pdf", samples.pdf, "application/pdf", True),
        ("a.docx", samples.docx, f"{OFFICE}wordprocessingml.document", True),
        ("a.xlsx", samples.xlsx, f"{OFFICE}spreadsheetml.sheet", True),
        ("a.png", lambda _: samples.png(), "image/png", False),
        ("b.png", lambda _: samples.infected_png(), "image/png", False),
    ],
)
async def test_its_files_are_real(
    name: str, make: Callable[[str], bytes], content_type: str, has_text: bool, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(make(SENTENCE))
    assert await MagicDetector().detect_file(file, name) == content_type
    if has_text:
        extraction = TextExtraction(max_characters=10_000, timeout=60)
        try:
            extracted = await extraction.extract(file, content_type)
        finally:
            await extraction.close()
        assert SENTENCE in (extracted.text or "")


def test_its_pictures_open_elsewhere() -> None:
    from PIL import Image

    with Image.open(io.BytesIO(samples.infected_png())) as picture:
        picture.load()
        assert picture.size == (16, 16)
        assert picture.info["Comment"].encode() == eicar()


def test_its_documents_are_whole_archives() -> None:
    for content in (samples.docx(SENTENCE), samples.xlsx(SENTENCE)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None


def test_requests_are_shown_as_a_person_types_them(tmp_path: Path) -> None:
    form = Request(
        "POST", "http://host/upload", login="a@b:c", headers={"Accept": "application/json"}, form=tmp_path / "a.pdf"
    )
    assert str(form) == "curl -i -X POST -u a@b:c -H 'Accept: application/json' -F file=@a.pdf http://host/upload"
    assert (
        str(Request("PUT", "http://host/x?a=1&b=2", file=Path("a.pdf"))) == "curl -i -T a.pdf 'http://host/x?a=1&b=2'"
    )
    assert str(Request("GET", "http://host/x")) == "curl -i http://host/x"
    assert str(Request("POST", "http://host/x", data="{}")) == "curl -i -d '{}' http://host/x"


@pytest.mark.parametrize("send", [curl.send, curl.fetch])
def test_curl_and_httpx_see_the_same(send: Callable[[Request], curl.Answer], service: Service, tmp_path: Path) -> None:
    company = service.desk.company("demo")
    login = service.desk.user(company, "files:upload")
    file = tmp_path / "note.txt"
    file.write_bytes(b"a note")
    headers = {"Content-Type": "multipart/form-data"}
    url = f"{service.url}/dana/conversation/http/rest/file/upload"
    answer = send(Request("POST", url, login=login.curl, headers=headers, form=file))
    assert (answer.status, answer.json["fileName"]) == (200, "note.txt")
    assert answer.headers["content-type"].startswith("application/json")
    assert send(Request("GET", f"{service.url}/none")).status == 404
    assert send(Request("GET", "http://127.0.0.1:1/")).status == 0
    curl.hang_up()


def test_one_miss_and_it_has_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def miss(show: Show, service: Throwaway, folder: Path) -> None:
        show.act("An act")
        show.check("one thing", True)
        show.check("another thing", False, "seen [something]")

    monkeypatch.setattr(play, "_play", miss)
    assert not play.play(as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], [check["ok"] for check in said["checks"]]) == (False, [True, False])
    assert not play.play(as_json=False)
    assert "1 passed, 1 failed" in capsys.readouterr().out


def test_a_service_that_does_not_start_is_a_miss(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Throwaway) -> float:
        raise DemoFailed("The service ended at its start:\na long log")

    monkeypatch.setattr(Throwaway, "start", broken)
    assert not play.play(as_json=True)
    assert json.loads(capsys.readouterr().out)["checks"][-1]["detail"] == "The service ended at its start:"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", [os.environ.get("PATH", ""), "/nonexistent"], ids=["curl", "no curl"])
def test_the_whole_demo(path: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadingdock", "demo", "--json"],
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    said = json.loads(done.stdout)
    assert [check for check in said["checks"] if not check["ok"]] == []
    assert done.returncode == 0
    shown = {"conversation-files: a real PDF", "contact-load: bad rows", "kill -9 in the middle"}
    assert shown <= {check["act"] for check in said["checks"]}
    assert list(tmp_path.iterdir()) == []
