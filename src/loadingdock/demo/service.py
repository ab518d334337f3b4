"""The throwaway service: a real process on a free port and a folder of its own, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

_READY_WITHIN = 60.0  # seconds; generous, for machines that are busy
_ENDS_WITHIN = 40.0


class DemoFailed(Exception):
    """The demo cannot go on; the sentence says why."""


class Throwaway:
    """`loadingdock` in a process of its own. Whatever the environment says of a service is not taken over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LOADINGDOCK_")}
        self._environment = clean | {
            "LOADINGDOCK_DATA": str(folder / "data"),
            "LOADINGDOCK_PUBLIC_URL": self.url,
            "LOADINGDOCK_LOG_LEVEL": "warning",
            "LOADINGDOCK_CALLBACK_ALLOW": "127.0.0.1",  # where the demo listens for them
            "LOADINGDOCK_LEASE": "5s",  # so that nobody waits long for the jobs of a worker that was killed
        }
        self._log = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds until it was ready."""
        started = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - words of our own, and no shell
                [*_PROGRAM, "serve", "--port", str(self.port)],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that kill takes its children too
            )
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() - started < _READY_WITHIN:
                if self._process.poll() is not None:
                    raise DemoFailed(f"The service ended at its start:\n{self.log()}")
                try:
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return time.monotonic() - started
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
        raise DemoFailed(f"The service was not ready within {_READY_WITHIN:.0f} s:\n{self.log()}")

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def kill(self) -> None:
        """SIGKILL, to the process and its children: what is not durable now is lost."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> tuple[int, float]:
        """SIGTERM: (exit code, seconds)."""
        assert self._process is not None
        started = time.monotonic()
        self._process.terminate()
        try:
            return self._process.wait(_ENDS_WITHIN), time.monotonic() - started
        except subprocess.TimeoutExpired:
            self.kill()
            return -1, time.monotonic() - started

    def command(self, *words: str, secret: str | None = None) -> tuple[int, dict[str, Any]]:
        """An operator's command with `--json`: (exit code, its object)."""
        done = subprocess.run(  # noqa: S603 - words of our own, and no shell
            [*_PROGRAM, *words, "--json"],
            env=self._environment,
            cwd=self.folder,
            input=None if secret is None else secret.encode(),
            stdin=subprocess.DEVNULL if secret is None else None,
            capture_output=True,
            check=False,
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise DemoFailed(f"loadingdock {' '.join(words)} said: {done.stderr.decode(errors='replace')}") from None
        return done.returncode, answer

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


_PROGRAM = (sys.executable, "-m", "loadingdock")
