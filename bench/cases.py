"""What is measured. Every case names who takes part and returns one figure a round; larger is better."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.servers import HERE, FastApiUploadFile, Loadingdock, NginxDav, Peer, Server, TusNode

MIB = 1024 * 1024
BASIC = "Basic " + base64.b64encode(b"u@bench:bench-password").decode()


@dataclass(frozen=True)
class Figure:
    """`value` in the case's unit; `cpu` the server's CPU seconds; `notes` what else was seen."""

    value: float
    cpu: float
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """Ours must reach `ratio` of the peer's median."""

    peer: str
    ratio: float


class Case(ABC):
    name: str
    unit: str
    peers: tuple[type[Server], ...]
    targets: tuple[Target, ...] = ()

    def __init__(self, size: int, source: Path) -> None:
        self.size = size
        self.source = source

    def servers(self, folder: Path, console: Console) -> Iterator[Peer]:
        """Started one after another; who measures them stops them."""
        for kind in self.peers:
            if missing := kind.missing():
                console.print(f"[yellow]{kind.name} is left out; to have it: {missing}")
            else:
                yield kind(folder / kind.name.replace("/", "_").replace(" ", "_"))

    @abstractmethod
    def measure(self, server: Peer) -> Figure: ...

    def timed(self, server: Peer, *commands: list[str]) -> Figure:
        """MiB a second over the commands together."""
        cpu, start = server.cpu_seconds(), time.perf_counter()
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        took = time.perf_counter() - start
        return Figure(self.size / MIB / took, server.cpu_seconds() - cpu)


def curl(*words: str) -> list[str]:
    return ["curl", "--fail", "--silent", "--show-error", "-H", "Expect:", *words]


def promised(server: Loadingdock, size: int) -> str:
    """A presigned URL for so many bytes."""
    answer = server.call("POST", "/api/v1/uploads", {"name": f"{secrets.token_hex(8)}.bin", "size": size})
    send: dict[str, str] = answer["send"]  # type: ignore[assignment]  # JSON
    return send["url"]


class PresignedPut(Case):
    name = "256 MiB PUT"
    unit = "MiB/s"
    peers = (Loadingdock, NginxDav, TusNode, FastApiUploadFile)
    targets = (Target("nginx DAV", 0.28), Target("@tus/server", 1.4), Target("FastAPI UploadFile", 1.4))

    def measure(self, server: Peer) -> Figure:
        put = ["-T", str(self.source), "-H", "Content-Type:"]
        match server:
            case Loadingdock():
                return self.timed(server, curl(*put, promised(server, self.size)))
            case NginxDav():
                return self.timed(server, curl(*put, f"{server.url}/{secrets.token_hex(8)}"))
            case TusNode():
                return self._tus(server)
        return self.timed(server, curl("-F", f"file=@{self.source}", f"{server.url}/upload"))

    def _tus(self, server: Peer) -> Figure:
        tus = ["-H", "Tus-Resumable: 1.0.0"]
        cpu, start = server.cpu_seconds(), time.perf_counter()
        created = subprocess.run(
            curl("-i", "-X", "POST", *tus, "-H", f"Upload-Length: {self.size}", f"{server.url}/files"),
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        location = re.search(r"(?im)^location: (\S+)", created)
        assert location, created
        patch = ["-X", "PATCH", *tus, "-H", "Upload-Offset: 0", "-H", "Content-Type: application/offset+octet-stream"]
        subprocess.run(curl(*patch, "-T", str(self.source), location[1]), check=True, capture_output=True)
        took = time.perf_counter() - start
        return Figure(self.size / MIB / took, server.cpu_seconds() - cpu)


class Multipart(Case):
    name = "256 MiB multipart"
    unit = "MiB/s"
    peers = (Loadingdock, NginxDav, FastApiUploadFile)
    targets = (Target("nginx DAV", 0.2), Target("FastAPI UploadFile", 1.2))

    def measure(self, server: Peer) -> Figure:
        form = ["-F", f"file=@{self.source}"]
        match server:
            case Loadingdock():
                path = "/dana/conversation/http/rest/file/upload"
                return self.timed(server, curl("-H", f"Authorization: {BASIC}", *form, server.url + path))
            case NginxDav():
                return self.timed(server, curl("-T", str(self.source), f"{server.url}/{secrets.token_hex(8)}"))
        return self.timed(server, curl(*form, f"{server.url}/upload"))


class Download(Case):
    name = "256 MiB download"
    unit = "MiB/s"
    peers = (Loadingdock, NginxDav)
    targets = (Target("nginx DAV", 0.5),)

    def measure(self, server: Peer) -> Figure:
        words = curl("-o", "/dev/null")
        if isinstance(server, Loadingdock):
            words += ["-H", f"api-key: {server.api_key}", f"{server.url}/api/v1/files/{self._ready(server)}/content"]
        else:
            if not (server.folder / "files/static").exists():
                subprocess.run(curl("-T", str(self.source), f"{server.url}/static"), check=True)
            words.append(f"{server.url}/static")
        return self.timed(server, words)

    def _ready(self, server: Loadingdock) -> str:
        """A file that has been looked into, by a worker that ends before anything is measured."""
        listed = server.call("GET", "/api/v1/files?state=ready&limit=1")
        items = listed["items"]
        if items:
            return str(items[0]["id"])  # type: ignore[index]  # JSON
        subprocess.run(curl("-T", str(self.source), "-H", "Content-Type:", promised(server, self.size)), check=True)
        worker = subprocess.Popen(
            [*server.command()[:3], "work"],
            env=server.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 300
            while not server.call("GET", "/api/v1/files?state=ready&limit=1")["items"]:
                assert time.monotonic() < deadline, "the file did not become ready"
                time.sleep(0.5)
        finally:
            worker.terminate()
            worker.wait()
        return self._ready(server)


class _Wrk(Case):
    unit = "requests/s"
    seconds = 4
    connections = 32

    def wrk(self, server: Peer, url: str, *words: str, **environment: str) -> Figure:
        cpu = server.cpu_seconds()
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{self.seconds}s", "--latency", *words, url]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, **environment}
        ).stdout
        used = server.cpu_seconds() - cpu
        failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done)
        assert not failed, done
        rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
        p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", done)
        assert rate, done
        assert p99, done
        ms = float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
        return Figure(float(rate[1]), used, {"p99 ms": ms})


class SmallForms(_Wrk):
    name = "16 KiB forms, 32 connections"
    peers = (Loadingdock, NginxDav, FastApiUploadFile)
    targets = (Target("nginx DAV", 0.2),)

    def measure(self, server: Peer) -> Figure:
        size = str(16 * 1024)
        form, put = str(HERE / "peers/form.lua"), str(HERE / "peers/put.lua")
        match server:
            case Loadingdock():
                url = f"{server.url}/dana/conversation/http/rest/file/upload"
                return self.wrk(server, url, "-s", form, BENCH_SIZE=size, BENCH_AUTH=BASIC)
            case NginxDav():
                prefix = f"/{secrets.token_hex(4)}-"
                return self.wrk(server, server.url, "-s", put, BENCH_SIZE=size, BENCH_PREFIX=prefix)
        return self.wrk(server, f"{server.url}/upload", "-s", form, BENCH_SIZE=size)


class Status(_Wrk):
    """Requests a second of the server's CPU, which is what one core would give."""

    name = "/v1/files/{id}/status"
    unit = "requests per CPU second"
    peers = (Loadingdock,)

    def measure(self, server: Peer) -> Figure:
        assert isinstance(server, Loadingdock)
        asked = server.call("GET", "/v1/files/signed-url?filename=a.pdf", user_id="u1")
        url = f"{server.url}/v1/files/{asked['file_id']}/status"
        figure = self.wrk(server, url, "-H", f"api-key: {server.api_key}", "-H", "user-id: u1")
        per_cpu = figure.value * self.seconds / figure.cpu
        return Figure(per_cpu, figure.cpu, {**figure.notes, "requests/s": figure.value})


class Memory(Case):
    """How much the resident set grows, in MiB; smaller is better."""

    name = "RSS growth: 4 x 256 MiB at once, then 5 GiB"
    unit = "MiB"
    peers = (Loadingdock,)

    def measure(self, server: Peer) -> Figure:
        assert isinstance(server, Loadingdock)
        before, cpu = server.rss_bytes(), server.cpu_seconds()
        puts = [curl("-T", str(self.source), "-H", "Content-Type:", promised(server, self.size)) for _ in range(4)]
        four = self._peak(server, puts) - before
        with tempfile.NamedTemporaryFile(dir=server.folder.parent) as large:
            large.truncate(5 * 1024**3)
            put = curl("-T", large.name, "-H", "Content-Type:", promised(server, 5 * 1024**3))
            one = self._peak(server, [put]) - before
        return Figure(max(four, one) / MIB, server.cpu_seconds() - cpu, {"four": four / MIB, "5 GiB": one / MIB})

    @staticmethod
    def _peak(server: Server, commands: list[list[str]]) -> int:
        peak = 0
        with ThreadPoolExecutor(len(commands)) as pool:
            running = [pool.submit(subprocess.run, command, check=True, capture_output=True) for command in commands]
            while not all(done.done() for done in running):
                peak = max(peak, server.rss_bytes())
                time.sleep(0.02)
            for done in running:
                done.result()
        return peak


CASES: tuple[type[Case], ...] = (PresignedPut, Multipart, SmallForms, Status, Download, Memory)


def dump(results: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
