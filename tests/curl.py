"""curl, as a person would type it."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import fresh_address


@dataclass(frozen=True)
class Answer:
    """The last answer that `curl -i` showed; `interim` are the statuses before it, such as 100. `said` is what curl
    wrote of the exchange where it was called with `-v`."""

    status: int
    headers: httpx.Headers
    body: bytes
    interim: tuple[int, ...]
    said: str

    def json(self) -> Any:
        return json.loads(self.body)


def curl(*arguments: str | Path, cwd: Path | None = None, address: str | None = None) -> Answer:
    """Runs `curl -i` with these arguments, from a loopback address of its own. Fails the test if curl fails."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        [program, "-sS", "-i", "--max-time", "60", "--interface", address or fresh_address(), *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        check=False,
        timeout=90,
    )
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"curl ended with {done.returncode}: {said}\n{done.stdout[:2000]!r}"
    return _parse(done.stdout, said)


def _parse(output: bytes, said: str) -> Answer:
    statuses: list[int] = []
    while True:
        head, _, rest = output.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/"), f"no answer in {output[:500]!r}"
        statuses.append(int(first.split()[1]))
        if statuses[-1] >= 200:
            pairs = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines]
            return Answer(statuses[-1], httpx.Headers(pairs), rest, tuple(statuses[:-1]), said)  # type: ignore[arg-type]  # pairs of two
        output = rest
