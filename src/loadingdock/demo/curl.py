"""Requests as a person would type them: each is a curl command, shown before it is run.

Where there is no curl, httpx sends the same request, and the demo says so once.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Request:
    """`login` is `user:password` (Basic). At most one body: `form` is the file of a multipart part `file`, `file`
    its raw bytes, `data` a JSON text, `fields` an urlencoded form. `parts` are the other parts of a multipart form.
    Files are named as in their own folder."""

    method: str
    url: str
    login: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Path | None = None
    file: Path | None = None
    data: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """The curl command."""
        has_body = self.form or self.data is not None or self.fields
        implied = "PUT" if self.file and self.method == "PUT" else "POST" if has_body else "GET"
        words = ["curl", "-i"]
        if self.method != implied or self.form:
            words += ["-X", self.method]
        if self.login:
            words += ["-u", self.login]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        for name, value in self.fields.items():
            words += ["--data-urlencode", f"{name}={value}"]
        if self.data is not None:
            words += ["-d", self.data]
        for name, value in self.parts.items():
            words += ["--form-string", f"{name}={value}"]
        if self.form:
            words += ["-F", f"file=@{self.form.name}"]
        if self.file:
            words += ["-T", self.file.name] if self.method == "PUT" else ["--data-binary", f"@{self.file.name}"]
        return [*words, self.url]

    def __str__(self) -> str:
        return shlex.join(self.words())


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: there was none."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; an empty object if it is none, so that what was expected of it is simply missing."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


NONE = Answer(0, {}, b"")


def have_curl() -> bool:
    return shutil.which("curl") is not None


def send(request: Request) -> Answer:
    """As it was shown."""
    return _by_curl(request) if have_curl() else fetch(request)


def _by_curl(request: Request) -> Answer:
    """The command as shown, with its output split into files. The user's own ~/.curlrc is left out of it."""
    with tempfile.TemporaryDirectory(prefix="loadingdock-curl-") as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        words, place = request.words(), request.form or request.file
        words[1:2] = ["-q", "-sS", "-D", str(head), "-o", str(body), "--max-time", str(_TIMEOUT), "--noproxy", "*"]
        done = subprocess.run(  # noqa: S603 - words of our own, and no shell
            words, cwd=place.parent if place else None, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode or not head.exists():
            return NONE
        # The last block is the answer; others are "100 Continue".
        lines = head.read_bytes().decode("latin-1").strip().split("\r\n\r\n")[-1].split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return Answer(int(lines[0].split()[1]), headers, body.read_bytes() if body.exists() else b"")


@cache
def _client() -> httpx.Client:
    return httpx.Client(timeout=_TIMEOUT, trust_env=False)


def hang_up() -> None:
    """Closes what `fetch` keeps open."""
    _client().close()
    _client.cache_clear()


def fetch(request: Request) -> Answer:
    """The same without showing it: for what is asked often, or between the lines."""
    name, _, password = (request.login or "").partition(":")
    try:
        answer = _client().request(
            request.method,
            request.url,
            headers={name: value for name, value in request.headers.items() if not _boundless(value)},
            auth=(name, password) if request.login else None,
            files={"file": (request.form.name, request.form.read_bytes())} if request.form else None,
            data=dict(request.fields or request.parts) or None,
            content=request.file.read_bytes() if request.file else request.data,
        )
    except (httpx.TransportError, httpx.InvalidURL):
        return NONE
    return Answer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content)


def _boundless(value: str) -> bool:
    """curl completes this header of a form with its boundary; httpx makes its own."""
    return value == "multipart/form-data"
