"""PostgreSQL on a free port of the loopback and a Unix socket, with a fresh database for whoever asks for one.

Needs Debian's `postgresql-15` or newer (`apt-get install --no-install-recommends postgresql`). The server refuses to
run as root; where the tests do, it runs as the system's user `postgres`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.engines import absent
from tests.engines.ports import Port

_USER = "postgres"
_CONFIGURATION = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 200
shared_buffers = 64MB
max_wal_size = 4GB
autovacuum = off
deadlock_timeout = 200ms
log_line_prefix = '%m [%p] '
shared_preload_libraries = '{preload}'
"""


class Postgres:
    """A server of one's own. `stop`, `kill` and `start` it as an operator, or a failing machine, would. It listens on
    `host`, and is run by the command `inside`: in another network namespace."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        self.folder = folder
        self._host = host
        self._data = folder / "data"
        self._numbers = count(1)
        self._as = [*inside]
        if os.geteuid() == 0:
            self._as += ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
        self._programs = _programs()
        self._held = Port()
        self.port = self._held.number

    def create(self, preload: str = "") -> Postgres:
        """`preload`: the libraries of extensions that need it."""
        self._own_folder()
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", _USER, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write(
                _CONFIGURATION.format(host=self._host, port=self.port, folder=self.folder, preload=preload)
            )
        with (self._data / "pg_hba.conf").open("a") as clients:
            clients.write("host all all samenet trust\n")
        return self

    def _own_folder(self) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(self.folder, user.pw_uid, user.pw_gid)

    def start(self) -> Postgres:
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", self.folder / "log", "start")
        return self

    @contextlib.contextmanager
    def standby(self) -> Iterator[Postgres]:
        """A second server that follows this one: what is committed here is on its disk first, so that nothing of it
        is lost with this one."""
        other = Postgres(Path(tempfile.mkdtemp(prefix="dock-pg-", dir=self.folder.parent)))
        try:
            other._own_folder()
            source = ("-h", self.folder, "-p", self.port, "-U", _USER)
            other._run("pg_basebackup", "-D", other._data, "-R", "-c", "fast", "--no-sync", *source)
            with (other._data / "postgresql.conf").open("a") as configuration:
                configuration.write(f"port = {other.port}\nunix_socket_directories = '{other.folder}'\n")
            other.start()
            self.ask("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.ask("SELECT pg_reload_conf()")
            yield other
        finally:
            other.close()

    def promote(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "promote")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` leaves at once, as at a power failure: the next start recovers from the log."""
        self._run("pg_ctl", "-D", self._data, "-w", "-m", mode, "stop")

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, template: str = "template1") -> str:
        """The URL of a fresh database, reached by the socket."""
        name = f"test{os.getpid()}_{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def drop(self, url: str) -> None:
        self.ask(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")

    def connections(self, url: str) -> int:
        """How many there are to that database."""
        return len(self.ask(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(url)}'"))

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def url(self, name: str = _USER) -> str:
        return f"postgresql://{_USER}@{self._host}:{self.port}/{name}"

    def ask(self, statement: str, name: str = _USER) -> list[tuple[object, ...]]:
        """By its socket, whatever became of the network."""
        url = f"postgresql://{_USER}@/{name}?host={self.folder}&port={self.port}"
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: object) -> None:
        command: Sequence[str] = [*self._as, f"{self._programs}/{program}", *map(str, arguments)]
        # To a file: a server that goes on keeps the pipe open that it was given.
        with (self.folder / "control.log").open("ab") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def _programs() -> Path:
    """Where initdb and pg_ctl are; Debian keeps them off the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb") or (str(versions[-1]) if versions else None)
    if found is None or (os.geteuid() == 0 and shutil.which("setpriv") is None):
        absent("postgres", "apt-get install --no-install-recommends postgresql")
    return Path(found).resolve().parent


@contextlib.contextmanager
def server(
    above: Path | None = None,
    *,
    memory: bool = True,
    preload: str = "",
    host: str = "127.0.0.1",
    inside: Sequence[str] = (),
) -> Iterator[Postgres]:
    """In memory where that can be: a fresh database, made durable, takes a tenth of the time there. Not under
    pytest's own folder: a socket's path is short, and every folder above must be open to the server's user."""
    above = above or Path("/dev/shm" if memory and os.access("/dev/shm", os.W_OK) else "/tmp")
    made = Postgres(Path(tempfile.mkdtemp(prefix="dock-pg-", dir=above)), host=host, inside=inside)
    try:
        yield made.create(preload).start()
    finally:
        made.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests that leave it running."""
    with server() as running:
        yield running
