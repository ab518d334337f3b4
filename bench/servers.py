"""The servers that are compared: each is started on a folder of the same disk, and asked for its CPU seconds."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on {port}")


class Peer(Protocol):
    """Who is measured. `url` is where it is asked."""

    name: str
    url: str
    folder: Path

    def cpu_seconds(self) -> float: ...
    def stop(self) -> None: ...


def cpu_of(pids: Iterable[int]) -> float:
    """Seconds of the processes and what they waited for."""
    total = 0
    for pid in pids:
        with suppress(OSError):  # ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def descendants(pid: int) -> list[int]:
    """The process and those that it started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


class Server(ABC):
    """`name` is what the report calls it; `available` says why it cannot run here, or nothing."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True)
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=self.environment(), start_new_session=True
            )
        wait_for(self.port, self.process)

    @classmethod
    def missing(cls) -> str:
        return ""

    @abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def pids(self) -> list[int]:
        return descendants(self.process.pid)

    def cpu_seconds(self) -> float:
        return cpu_of(self.pids())

    def rss_bytes(self) -> int:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Loadingdock(Server):
    """Durable before it answers, with SHA-256. Its worker is left out: none of the others looks into files."""

    name = "loadingdock"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cli("company", "add", "bench")
        for setting in ("signed-url.max-size=1GiB", "max-size=10GiB"):
            self._cli("company", "set", "bench", setting)
        self._cli("user", "add", "u@bench", "--password-stdin", "--grant", "files:upload", stdin="bench-password")
        self.api_key = self._cli("key", "add", "bench", "--grant", "admin")["api_key"]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "loadingdock", "serve", "--port", str(self.port), "--no-worker"]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LOADINGDOCK_DATA": str(self.folder / "data"),
            "LOADINGDOCK_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "LOADINGDOCK_LOG_LEVEL": "warning",
        }

    def _cli(self, *words: str, stdin: str = "") -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "loadingdock", *words, "--json"],
            input=stdin.encode(),
            env=self.environment(),
            capture_output=True,
            check=True,
        )
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    def call(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, str]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("api-key", self.api_key)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        with urllib.request.urlopen(request) as response:
            answer: dict[str, str] = json.load(response)
            return answer


class NginxDav(Server):
    """nginx's DAV module: no digest, no sync, no record. One worker process, as we are one process."""

    name = "nginx DAV"

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("nginx") else "apt-get install nginx-light"

    def command(self) -> list[str]:
        files = self.folder / "files"
        for folder in (files, self.folder / "tmp"):
            folder.mkdir()
        config = self.folder / "nginx.conf"
        config.write_text(
            f"""
            {"user root;" if os.geteuid() == 0 else ""}
            daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log;
            events {{ worker_connections 512; }}
            http {{
              access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
              client_body_temp_path {self.folder}/tmp; client_body_buffer_size 1m; client_max_body_size 0;
              server {{
                listen 127.0.0.1:{self.port};
                root {files};
                location / {{ dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw; }}
              }}
            }}
            """
        )
        return ["nginx", "-c", str(config), "-p", str(self.folder)]


class TusNode(Server):
    """@tus/server with its file store."""

    name = "@tus/server"

    @classmethod
    def missing(cls) -> str:
        if not shutil.which("node"):
            return "node"
        return "" if (HERE / "peers/node_modules/@tus/server").exists() else "npm ci --prefix bench/peers"

    def command(self) -> list[str]:
        return ["node", str(HERE / "peers/tus.mjs"), str(self.folder / "files"), str(self.port)]


class FastApiUploadFile(Server):
    """FastAPI's UploadFile, copied to a file: no digest, no sync, no record."""

    name = "FastAPI UploadFile"

    @classmethod
    def missing(cls) -> str:
        return (
            "" if importlib.util.find_spec("python_multipart") else f"{sys.executable} -m pip install python-multipart"
        )

    def command(self) -> list[str]:
        (self.folder / "files").mkdir()
        options = ["--port", str(self.port), "--no-access-log", "--loop", "uvloop", "--http", "httptools"]
        return [sys.executable, "-m", "uvicorn", "bench.peers.uploadfile:app", "--log-level", "warning", *options]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "UPLOADFILE_FOLDER": str(self.folder / "files"), "TMPDIR": str(self.folder)}
