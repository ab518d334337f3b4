"""ClamAV's daemon with a tiny signature set of our own, on a free port of the loopback and a Unix socket.

Needs Debian's `clamav-daemon` (`apt-get install --no-install-recommends clamav-daemon`); no signatures are downloaded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import absent
from tests.engines.daemon import Daemon
from tests.engines.ports import Port
from tests.samples import MARKER, eicar

STREAM = 8 << 20  # StreamMaxLength
ENTRY = 2 << 20  # MaxFileSize
SCAN = 32 << 20  # MaxScanSize
_READY_WITHIN = 30.0  # seconds

_CONFIGURATION = """\
DatabaseDirectory {folder}/db
LocalSocket {folder}/clamd.sock
TCPSocket {port}
TCPAddr 127.0.0.1
Foreground yes
LogFile {folder}/clamd.log
TemporaryDirectory {folder}/tmp
MaxThreads 4
MaxQueue 64
ReadTimeout 30
CommandReadTimeout 10
SelfCheck 0
StreamMaxLength {stream}
MaxFileSize {entry}
MaxScanSize {scan}
MaxRecursion 10
MaxFiles 2000
AlertExceedsMax {alerts}
AlertEncrypted {alerts}
Bytecode no
"""


class Clamd(Daemon):
    """`alerts=False` is how Debian configures it: what is encrypted or over a limit is then called OK."""

    def __init__(self, folder: Path, *, alerts: bool = True) -> None:
        self.folder = folder
        self._alerts = "yes" if alerts else "no"
        self._held = Port()
        self.port = self._held.number
        self.tcp = f"clamd://127.0.0.1:{self.port}"
        self.unix = f"clamd://{folder}/clamd.sock"

    def start(self) -> Clamd:
        program = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            absent("clamd", "apt-get install --no-install-recommends clamav-daemon")
        for name in ("db", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        # A name, any type of file, any offset, the bytes in hex: found inside archives and documents as well.
        signatures = {"Test.EICAR": eicar(), "Test.Marker": MARKER}
        lines = (f"{name}:0:*:{data.hex()}\n" for name, data in signatures.items())
        (self.folder / "db" / "local.ndb").write_text("".join(lines))
        configuration = self.folder / "clamd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self.folder, port=self.port, stream=STREAM, entry=ENTRY, scan=SCAN, alerts=self._alerts
            )
        )
        self._process = subprocess.Popen(
            [program, "-c", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()
        return self

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"zPING\0")
                if connection.recv(16) == b"PONG\0":
                    return
            time.sleep(0.02)
        self.kill()
        log = self.folder / "clamd.log"
        pytest.fail("clamd did not start:\n" + (log.read_text() if log.exists() else "no log"))


@pytest.fixture(scope="session")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """One daemon for all tests that leave it running."""
    daemon = Clamd(tmp_path_factory.mktemp("clamd"))
    try:
        yield daemon.start()
    finally:
        daemon.kill()
