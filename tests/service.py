"""A real server in a real process, on a folder of its own: started, killed and restarted as an operator would.

`Service` is the process; `Desk` makes the companies, users, keys and clients that a test needs, straight in the
records, so that no test waits for a command line to start.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from loadingdock.bootstrap import FILES, system
from loadingdock.core.administration import NewClient, operator
from loadingdock.core.model import Company, File, State
from loadingdock.core.ports import FileFilter, Unit
from loadingdock.settings import Settings
from loadingdock.web.services import Services

T = TypeVar("T")

_UNDER_WAY = frozenset({State.RECEIVED, State.PROCESSING})

PROGRAM = (sys.executable, "-m", "loadingdock")
READY_WITHIN = 60.0  # seconds; generous, for machines that are busy with something else
PASSWORD = "correct-horse-battery"

_addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(64, 128), range(256), range(1, 255)))


def fresh_address() -> str:
    """A loopback address that no other test of this process has used: failures are counted by address, and one
    test's must not throttle another's."""
    return next(_addresses)


@dataclass(frozen=True)
class Login:
    """Basic credentials: `auth=(login.name, login.password)`, `curl -u`, or the whole header value."""

    name: str
    password: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.name, self.password

    @property
    def curl(self) -> str:
        return f"{self.name}:{self.password}"

    @property
    def header(self) -> str:
        return "Basic " + base64.b64encode(self.curl.encode()).decode()


class Port:
    """A TCP port that stays ours while the server behind it comes and goes: bound but never listened on, so that
    nobody else is given it, and a server that sets SO_REUSEADDR may still take it."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


class Service:
    """`settings` are those of `loadingdock.settings`, by their names in lower case; values as an environment variable
    would have them. `wrapper` goes before the command: strace, prlimit; `program` is what is run in place of it."""

    def __init__(
        self,
        data: Path,
        settings: Mapping[str, object] | None = None,
        *,
        wrapper: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.data = data
        self._port = Port()
        self._wrapper = wrapper
        self._program = program
        self.url = f"http://127.0.0.1:{self._port.number}"
        values = {"public_url": self.url, "data": data, "log_level": "info", **(settings or {})}
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
        command = [*self._program, "serve", "--host", "127.0.0.1", "--port", str(self._port.number)]
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
        with httpx.Client() as client:
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
        """Every file under the store's folder, finished or under way."""
        return [path for path in (self.data / FILES).rglob("*") if path.is_file()]

    @staticmethod
    def until(condition: Callable[[], bool], *, within: float = 30.0) -> None:
        """Waits for what no event tells of: files that go away on disk."""
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)

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
        transport = httpx.HTTPTransport(local_address=fresh_address())
        with httpx.Client(base_url=self.url, transport=transport, timeout=30.0, **options) as client:
            yield client

    def async_client(self, connections: int = 100, **options: Any) -> httpx.AsyncClient:
        """For many requests at once: `async with service.async_client() as client`."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        transport = httpx.AsyncHTTPTransport(local_address=fresh_address(), limits=limits)
        return httpx.AsyncClient(base_url=self.url, transport=transport, timeout=60.0, **options)


class Desk:
    """The records of a service, opened beside it, whether it runs or not.

    It works on a thread and a loop of its own, so its methods are plain calls in plain and in async tests alike.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="desk", daemon=True)
        self._thread.start()
        self._lifetime = system(settings)
        self.services: Services = self._run(self._lifetime.__aenter__()).services

    def close(self) -> None:
        self._run(self._lifetime.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        future: Future[T] = asyncio.run_coroutine_threadsafe(awaited(), self._loop)
        return future.result(timeout=60)

    def ask(self, question: Callable[[Services], Awaitable[T]]) -> T:
        """Any question to the use cases: `desk.ask(lambda s: s.files.get(principal, id))`."""
        return self._run(question(self.services))

    # --- companies and people ---

    def company(self, code: str = "", **settings: str) -> Company:
        """A company whose code begins with `code` and is free. Settings as an operator writes them, `-` and `.` in
        their keys as `_` and `__`: rate_limit="5/minute", retention__conversation_files="1d"."""
        values = {key.replace("__", ".").replace("_", "-"): value for key, value in settings.items()}
        return self.company_with(code, values)

    def company_with(self, code: str, settings: Mapping[str, str]) -> Company:
        name = f"{code or 'company'}-{secrets.token_hex(3)}"

        async def add(services: Services) -> Company:
            company = await services.administration.add_company(name)
            return await services.administration.set_company(operator(company), settings) if settings else company

        return self.ask(add)

    def set(self, company: Company, settings: Mapping[str, str]) -> Company:
        return self.ask(lambda services: services.administration.set_company(operator(company), settings))

    def user(self, company: Company, *grants: str, name: str = "anna", password: str = PASSWORD) -> Login:
        self.ask(lambda services: services.administration.add_user(operator(company), name, password, grants))
        return Login(f"{name}@{company.code}", password)

    def key(self, company: Company, *grants: str) -> str:
        """The secret."""
        made = self.ask(lambda services: services.administration.add_key(operator(company), "", grants))
        return made.secret

    def oauth_client(self, company: Company, *grants: str, others: Sequence[Company] = ()) -> NewClient:
        return self.ask(lambda services: services.administration.add_client(operator(company), grants, others=others))

    def token(self, client: NewClient, *, organization: str | None = None, scope: str | None = None) -> str:
        """An access token of the client, issued as the token endpoints issue theirs."""
        grant = self.ask(
            lambda services: services.access.grant(client.client.id, client.secret, organization, scope, address=None)
        )
        return grant.token

    def grant(self, company: Company, name: str, *grants: str) -> None:
        """Exactly these from now on."""
        self.ask(lambda services: services.administration.set_grants(operator(company), name, grants))

    # --- what became of files ---

    def file(self, company: Company, file_id: str) -> File:
        return self.ask(lambda services: services.files.get(operator(company), file_id, deleted=True))

    def by_alias(self, company: Company, alias: str) -> File:
        return self.ask(lambda services: services.files.by_alias(operator(company), alias))

    def expire_in(self, company: Company, alias: str, time: timedelta) -> None:
        file = self.by_alias(company, alias)
        self.ask(lambda services: services.files.extend(operator(company), file, services.clock.now() + time))

    def files(self, company: Company) -> tuple[File, ...]:
        page = self.ask(lambda services: services.files.list(operator(company), FileFilter(), limit=1000))
        return page.items

    def read(self, company: Company, file: File) -> bytes:
        """The latest version's bytes, through the use case that refuses what is not ready."""

        async def read(services: Services) -> bytes:
            content = await services.files.open(operator(company), file)
            return b"".join([piece async for piece in services.blobs.read(content.blob_key)])

        return self.ask(read)

    def orphans(self) -> frozenset[str]:
        """Keys of bytes, finished or under way, that no record points at."""

        async def look(services: Services) -> frozenset[str]:
            keys = [key async for key in services.blobs.list(before=services.clock.now() + timedelta(days=1))]

            async def known(unit: Unit) -> frozenset[str]:
                return await unit.housekeeping.known_blobs(keys)

            return frozenset(keys) - await services.records.read(None, known)

        return self.ask(look)

    def settled(self, company: Company, *, within: float = 60.0) -> tuple[File, ...]:
        """The company's files once every one that has bytes is ready, infected or rejected."""

        async def look(services: Services) -> tuple[File, ...] | None:
            page = await services.files.list(operator(company), FileFilter(), limit=1000)
            return None if any(file.state in _UNDER_WAY for file in page.items) else page.items

        return self._awaited(company, look, within)

    def idle(self, *, within: float = 60.0) -> None:
        """Until no job waits or runs."""

        def busy() -> bool:
            waiting, running, _, _ = self.ask(lambda services: services.jobs.depth(services.clock.now()))
            return bool(waiting or running)

        Service.until(lambda: not busy(), within=within)

    def until(self, company: Company, alias: str, state: State, *, within: float = 60.0) -> File:
        """The file of that alias once it is in that state."""

        async def look(services: Services) -> File | None:
            file = await services.files.by_alias(operator(company), alias)
            return file if file.state is state else None

        return self._awaited(company, look, within)

    def _awaited(self, company: Company, look: Callable[[Services], Awaitable[T | None]], within: float) -> T:
        """What `look` finds as soon as it finds something: asked again at each event of the company."""

        async def wait(services: Services) -> T:
            async with asyncio.timeout(within):
                while True:
                    last = await services.records.read(company.id, _last_event)
                    found = await look(services)
                    if found is not None:
                        return found
                    await services.records.watch(company.id, last, timedelta(seconds=5))

        return self.ask(wait)


async def _last_event(unit: Unit) -> int:
    return await unit.events.last()
