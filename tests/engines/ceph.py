"""Ceph's RADOS gateway over one monitor and one object store in memory, on free ports of the loopback.

Needs Debian's packages (`apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common`).
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.engines import absent
from tests.engines.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, free_ports

_READY_WITHIN = 120.0  # seconds
_PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")

# No authentication between its parts, one copy of everything. Without `ms mon client mode` the gateway hangs then.
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2}/0,v1:127.0.0.1:{v1}/0]
public addr = 127.0.0.1
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind port min = {first}
ms bind port max = {last}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
log file = {folder}/log/$name.log
crash dir = {folder}/run
keyring = {folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
[mon]
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd max object name len = 256
osd max object namespace len = 64
[client]
rgw thread pool size = 64
rgw dns name = localhost
rgw gc obj min wait = 10
rgw gc processor period = 20
rgw s3 auth use keystone = false
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {kms_key}={secret}
"""
KMS_KEY = "key-of-the-tests"


class Ceph(S3Server):
    """Its parts run in the foreground of sessions of their own and end by SIGKILL."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._v1, self._v2, self._port, self._first = free_ports(4)
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.by_name = f"http://localhost:{self._port}"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> Ceph:
        if not all(map(shutil.which, _PROGRAMS)):
            absent("ceph", "apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common")
        for name in ("mon", "osd", "run", "log"):
            (self.folder / name).mkdir()
        fsid = str(uuid.uuid4())
        (self.folder / "ceph.conf").write_text(
            _CONFIGURATION.format(
                fsid=fsid,
                folder=self.folder,
                v1=self._v1,
                v2=self._v2,
                first=self._first,
                last=self._first + 90,
                kms_key=KMS_KEY,
                secret=b64encode(os.urandom(32)).decode(),
            )
        )
        mons, osd = f"[v2:127.0.0.1:{self._v2},v1:127.0.0.1:{self._v1}]", str(uuid.uuid4())
        (self.folder / "monmap").unlink(missing_ok=True)
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", mons, str(self.folder / "monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self.folder / "monmap"), "--keyring", "/dev/null")
        self._begin("ceph-mon", "-f", "-i", "a")
        self._until(lambda: self._asks("mon", "stat"))
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._begin("ceph-osd", "-f", "-i", "0")
        self._until(lambda: "1 up" in self._asks("osd", "stat"))
        self._begin("radosgw", "-f", "-n", "client.rgw.a", f"--rgw-frontends=beast endpoint=127.0.0.1:{self._port}")
        self._until(self._answers)
        user = ("--uid=ci", "--display-name=ci", f"--access-key={ACCESS_KEY}", f"--secret={SECRET_KEY}")
        self._run("radosgw-admin", "user", "create", *user)
        client = self.client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        return self

    def kill(self) -> None:
        for process in reversed(self._running):
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait()

    def _command(self, program: str, *args: str) -> list[str]:
        return [program, "-c", str(self.folder / "ceph.conf"), *args]

    def _begin(self, program: str, *args: str) -> None:
        with (self.folder / "log" / f"{program}.out").open("wb") as out:
            self._running.append(
                subprocess.Popen(self._command(program, *args), stdout=out, stderr=out, start_new_session=True)
            )

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(self._command(program, *args), capture_output=True, text=True, check=False)
        if done.returncode:
            self.kill()
            pytest.fail(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _asks(self, *question: str) -> str:
        done = subprocess.run(
            self._command("ceph", "--connect-timeout", "5", *question), capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    def _answers(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
            try:
                connection.request("GET", "/")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False

    def _until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not condition():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._running):
                self.kill()
                logs = (self.folder / "log").glob("*.out")
                pytest.fail("Ceph did not start:\n" + "\n".join(log.read_text()[-2000:] for log in logs))
            time.sleep(0.1)  # nothing to await before it answers


@contextmanager
def server() -> Iterator[Ceph]:
    with TemporaryDirectory(prefix="ceph-") as folder:
        running = Ceph(Path(folder))
        try:
            yield running.start()
        finally:
            running.kill()


@pytest.fixture(scope="session")
def ceph() -> Iterator[Ceph]:
    """One for all tests of a process."""
    with server() as running:
        yield running
