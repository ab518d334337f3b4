"""A real server in a real process, on a folder of its own: started, killed and restarted as an operator would. Its
`desk` makes those who use it."""

from __future__ import annotations

import itertools
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from loadingdock.bootstrap import FILES
from loadingdock.settings import Settings
from tests.desk import PASSWORD, Desk, Login, eventually
from tests.engines.backing import BACKING
from tests.engines.ports import Port

__all__ = ["PASSWORD", "PROGRAM", "Desk", "Login", "Port", "Service", "fresh_address"]

PROGRAM = (sys.executable, "-m", "loadingdock")
READY_WITHIN = 60.0  # seconds; generous, for machines that are busy with something else
# All that is asked here is plain HTTP; a client that is not given a context reads all certificate authorities first.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

_addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(64, 128), range(256), range(1, 255)))


def fresh_address() -> str:
    """A loopback address that no other test of this process has used: failures are counted by address, and one
    test's must not throttle another's."""
    return next(_addresses)


class Service:
    """`settings` are those of `loadingdock.settings`, by their names in lower case; values as an environment variable
    would have them. `wrapper` goes before the command: strace, prlimit; `program` is what is run in place of it;
    `options` are further ones of `serve`."""

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, object] | None = None,
        *,
        wrapper: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
        options: Sequence[str] = (),
    ) -> None:
        self.data = data
        self._port = Port()
        self._wrapper = wrapper
        self._program = program
        self._options = options
        self.url = f"http://127.0.0.1:{self._port.number}"
        self.chosen = BACKING.settings()  # where its records and bytes lie, for commands that are typed beside it
        values = {"public_url": self.url, "data": data, "log_level": "info", **self.chosen, **(settings or {})}
        self._settings: dict[str, str] = {name: str(value) for name, value in values.items()}
        self._log_path = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._desk: Desk | None = None

    # --- the process ---

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LOADINGDOCK_")}
        return clean | {f"LOADINGDOCK_{name.upper()}": value for name, value in self._settings.items()}

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the service was not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Service:
        self.data.mkdir(parents=True, exist_ok=True)
        command = [*self._program, "serve", "--host", "127.0.0.1", "--port", str(self._port.number), *self._options]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._wrapper, *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a process group of its own, so that `kill` takes its children too
                cwd=self.data,
            )
        if wait:
            self.wait_ready()
        return self

    def start_unready(self) -> Service:
        """Started with something missing that it needs to be ready: until it answers at all."""
        self.start(wait=False)
        self.wait_ready("/healthz")
        return self

    def wait_ready(self, path: str = "/readyz") -> None:
        """Until it says that it is ready. A process that ended meanwhile is shown with its log."""
        deadline = time.monotonic() + READY_WITHIN
        with httpx.Client(verify=_NO_TLS) as client:
            while time.monotonic() < deadline:
                if not self.running:
                    raise RuntimeError(f"the service ended with {self.process.returncode}:\n{self.log()}")
                try:
                    if client.get(self.url + path).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.02)  # nothing to await before the port is open
        raise TimeoutError(f"not ready after {READY_WITHIN} s:\n{self.log()}")

    def kill(self) -> None:
        """SIGKILL to the process and its children; what is not durable now is lost."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM, then the drain. Its exit code."""
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def restart(self) -> Service:
        """The same folder and address again, whether the last life ended well or not."""
        self.kill()
        return self.start()

    def close(self) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        self.kill()
        self._port.close()

    def log(self) -> str:
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    def stored(self) -> list[Path]:
        """Every file of the store, finished or under way; its probe of the disk is none."""
        return [path for path in (self.data / FILES).rglob("*") if path.is_file() and path.name != "probe"]

    until = staticmethod(eventually)

    # --- those who use it ---

    @property
    def settings(self) -> Settings:
        return Settings(**self._settings)  # type: ignore[arg-type]  # the texts are what pydantic reads

    @property
    def desk(self) -> Desk:
        if self._desk is None:
            self._desk = Desk(self.settings)
        return self._desk

    @contextmanager
    def client(self, **options: Any) -> Iterator[httpx.Client]:
        """An HTTP client with an address of its own."""
        transport = httpx.HTTPTransport(verify=_NO_TLS, local_address=fresh_address())
        with httpx.Client(base_url=self.url, transport=transport, timeout=30.0, **options) as client:
            yield client

    def async_client(self, connections: int = 100, **options: Any) -> httpx.AsyncClient:
        """For many requests at once: `async with service.async_client() as client`."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        transport = httpx.AsyncHTTPTransport(verify=_NO_TLS, local_address=fresh_address(), limits=limits)
        return httpx.AsyncClient(base_url=self.url, transport=transport, timeout=60.0, **options)
