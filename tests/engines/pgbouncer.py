"""PgBouncer in front of a PostgreSQL, on a free port of the loopback (`apt-get install pgbouncer`).

It refuses to run as root; where the tests do, it runs as the user `postgres` of the server's package.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import absent
from tests.engines.daemon import Daemon
from tests.engines.postgres import Postgres

_READY_WITHIN = 30.0  # seconds
_USER = "postgres"
_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
max_client_conn = 200
default_pool_size = 50
"""


class PgBouncer(Daemon):
    def __init__(self, folder: Path, server: Postgres, mode: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._folder = folder
        (folder / "users").write_text(f'"{_USER}" ""\n')
        (folder / "pgbouncer.ini").write_text(
            _CONFIGURATION.format(server=server.port, port=self.port, folder=folder, mode=mode)
        )

    def start(self) -> PgBouncer:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            absent("postgres", "apt-get install --no-install-recommends pgbouncer")
        user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"] if os.geteuid() == 0 else []
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*user, program, str(self._folder / "pgbouncer.ini")], stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.02)
        self.kill()
        pytest.fail("PgBouncer did not start:\n" + (self._folder / "log").read_text())

    def url(self, name: str) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"


@contextlib.contextmanager
def pgbouncer(server: Postgres, mode: str) -> Iterator[PgBouncer]:
    """`mode` is session, transaction or statement."""
    with tempfile.TemporaryDirectory(prefix="dock-pgbouncer-") as folder:
        os.chmod(folder, 0o755)  # another user reads it
        running = PgBouncer(Path(folder), server, mode)
        try:
            yield running.start()
        finally:
            running.kill()
