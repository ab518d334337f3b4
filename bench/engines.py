"""Through us to PostgreSQL and SeaweedFS, beside boto3 straight to the same SeaweedFS: `python -m bench.engines`.

Then what more processes bring, and what a request costs in CPU and in statements: the figures of the page on scaling.
"""

from __future__ import annotations

import argparse
import http.client
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.cases import BASIC, MIB, Case, Figure, Target, curl
from bench.disk import disk
from bench.report import run
from bench.servers import HERE, Loadingdock, Peer, cpu_of, descendants, free_port, wait_for
from tests.engines import postgres, seaweedfs
from tests.engines.postgres import Postgres
from tests.engines.seaweedfs import BUCKET, SeaweedFS

SMALL = 16 * 1024
CONNECTIONS = 32
FORM = "/dana/conversation/http/rest/file/upload"


class Engines:
    """PostgreSQL and SeaweedFS on the measured disk."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.postgres: Postgres = stack.enter_context(postgres.server(folder, preload="pg_stat_statements"))
        self.store: SeaweedFS = stack.enter_context(seaweedfs.server(folder))

    def settings(self) -> dict[str, str]:
        """Of a service that has a database and a prefix of its own."""
        return {
            "database_url": self.postgres.database(),
            "store_url": self.store.fresh_url(),
            **self.store.settings,
        }

    def cpu_seconds(self) -> dict[str, float]:
        return {
            "PostgreSQL": cpu_of(descendants(self.postgres.pid)),
            "SeaweedFS": cpu_of(descendants(self.store.pid)),
        }


class OnEngines(Loadingdock):
    """`serve --no-worker` so many times, over the same engines."""

    def __init__(self, engines: Engines, folder: Path, *, processes: int = 1, direct: bool = False) -> None:
        self.engines = engines
        self.settings = engines.settings() | {"store_uploads": "direct" if direct else "through"}
        super().__init__(folder)
        self.urls = [self.url]
        self._others: list[subprocess.Popen[bytes]] = []
        for _ in range(processes - 1):
            port = free_port()
            command = [*self.command()[:-3], "--port", str(port), "--no-worker"]
            with (folder / "log").open("ab") as log:
                other = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment())
            self._others.append(other)
            wait_for(port, other)
            self.urls.append(f"http://127.0.0.1:{port}")

    def environment(self) -> dict[str, str]:
        return super().environment() | {f"LOADINGDOCK_{name.upper()}": value for name, value in self.settings.items()}

    def pids(self) -> list[int]:
        return super().pids() + [pid for other in self._others for pid in descendants(other.pid)]

    def stop(self) -> None:
        for other in self._others:
            other.terminate()
        for other in self._others:
            other.wait()
        super().stop()


class Straight:
    """boto3's own client, against the store that we use. `cpu_seconds` are the store's."""

    name = "boto3 to SeaweedFS"

    def __init__(self, engines: Engines, folder: Path) -> None:
        self.folder = folder
        self.url = engines.store.endpoint
        self.client = engines.store.client(max_pool_connections=CONNECTIONS)
        self._engines = engines

    def cpu_seconds(self) -> float:
        return self._engines.cpu_seconds()["SeaweedFS"]

    def stop(self) -> None:
        self.client.close()


class _EngineCase(Case):
    direct = False

    def __init__(self, engines: Engines, size: int, source: Path) -> None:
        super().__init__(size, source)
        self.engines = engines

    def servers(self, folder: Path, console: Console) -> Iterator[Peer]:
        yield OnEngines(self.engines, folder / "loadingdock", direct=self.direct)
        yield Straight(self.engines, folder)

    def straight(self, server: Straight) -> Figure:
        cpu, start = server.cpu_seconds(), time.perf_counter()
        server.client.upload_file(str(self.source), BUCKET, f"straight/{secrets.token_hex(8)}")
        return Figure(self.size / MIB / (time.perf_counter() - start), server.cpu_seconds() - cpu)


class Through(_EngineCase):
    name = "256 MiB PUT to PostgreSQL and SeaweedFS"
    unit = "MiB/s"
    targets = (Target(Straight.name, 0.8),)

    def measure(self, server: Peer) -> Figure:
        if isinstance(server, Straight):
            return self.straight(server)
        assert isinstance(server, OnEngines)
        url = f"{server.url}/api/v1/files?name={secrets.token_hex(8)}.bin"
        words = ["-X", "POST", "-H", f"api-key: {server.api_key}", "-H", "Content-Type: application/octet-stream"]
        return self.timed(server, curl(*words, "-T", str(self.source), url))


class Direct(_EngineCase):
    name = "256 MiB presigned PUT straight to SeaweedFS"
    unit = "MiB/s"
    direct = True
    targets = (Target(Straight.name, 0.95),)

    def measure(self, server: Peer) -> Figure:
        if isinstance(server, Straight):
            return self.straight(server)
        assert isinstance(server, OnEngines)
        name = f"{secrets.token_hex(8)}.bin"
        answer = server.call("POST", "/api/v1/uploads", {"name": name, "size": self.size})
        send: dict[str, Any] = answer["send"]  # type: ignore[assignment]  # JSON
        assert send["url"].startswith(self.engines.store.endpoint), send["url"]
        headers = [word for header in send["headers"].items() for word in ("-H", ": ".join(header))]
        return self.timed(server, curl(*headers, "-T", str(self.source), send["url"]))


class Small(_EngineCase):
    """Both by 32 threads of Python, each with a connection of its own."""

    name = "16 KiB, 32 connections, to PostgreSQL and SeaweedFS"
    unit = "uploads/s"
    targets = (Target(Straight.name, 0.5),)
    each = 30

    def measure(self, server: Peer) -> Figure:
        body = os.urandom(SMALL)
        send: Callable[[int], None]
        if isinstance(server, Straight):
            send = partial(self._put, server, body)
        else:
            assert isinstance(server, OnEngines)
            send = partial(self._post, server, body)
        cpu, start = server.cpu_seconds(), time.perf_counter()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(send, [self.each] * CONNECTIONS))
        took = time.perf_counter() - start
        return Figure(CONNECTIONS * self.each / took, server.cpu_seconds() - cpu)

    @staticmethod
    def _put(server: Straight, body: bytes, times: int) -> None:
        for number in range(times):
            server.client.put_object(Bucket=BUCKET, Key=f"straight/{threading.get_ident()}/{number}", Body=body)

    @staticmethod
    def _post(server: OnEngines, body: bytes, times: int) -> None:
        headers = {"api-key": server.api_key, "Content-Type": "application/octet-stream"}
        with closing(http.client.HTTPConnection(urlsplit(server.url).netloc)) as connection:
            for number in range(times):
                connection.request("POST", f"/api/v1/files?name=x{number}.bin", body, headers)
                response = connection.getresponse()
                answer = response.read()
                assert response.status == 201, answer


# --- what more processes bring ---


def wrk(urls: list[str], seconds: int, *words: str, **environment: str) -> float:
    """Requests a second, from 32 connections over all of the addresses."""
    started = [
        subprocess.Popen(
            ["wrk", "-t1", f"-c{CONNECTIONS // len(urls)}", f"-d{seconds}s", *words, url],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        for url in urls
    ]
    total = 0.0
    for each in started:
        output = each.communicate()[0]
        assert "Non-2xx" not in output, output
        total += float(output.partition("Requests/sec:")[2].split()[0])
    return total


@dataclass(frozen=True)
class Spent:
    """What has been used so far: seconds of CPU, statements, bytes of write-ahead log."""

    ours: float
    postgres: float
    store: float
    statements: int
    log: int

    @classmethod
    def by(cls, server: OnEngines, *others: int) -> Spent:
        """`others` are processes of ours besides."""
        engines, postgres = server.engines.cpu_seconds(), server.engines.postgres
        database = server.settings["database_url"].rpartition("/")[2]
        calls, log = postgres.ask(
            "SELECT COALESCE(SUM(calls), 0)::bigint, (pg_current_wal_lsn() - '0/0')::bigint FROM pg_stat_statements"
            f" WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '{database}')"
        )[0]
        ours = server.cpu_seconds() + cpu_of(pid for other in others for pid in descendants(other))
        return cls(ours, engines["PostgreSQL"], engines["SeaweedFS"], int(str(calls)), int(str(log)))

    def since(self, before: Spent, times: float) -> tuple[float, ...]:
        """Of one: milliseconds, milliseconds, milliseconds, statements, KiB."""
        return (
            (self.ours - before.ours) / times * 1000,
            (self.postgres - before.postgres) / times * 1000,
            (self.store - before.store) / times * 1000,
            (self.statements - before.statements) / times,
            (self.log - before.log) / times / 1024,
        )


def scale(engines: Engines, folder: Path, rounds: int, seconds: int, console: Console) -> None:
    """Prints as it goes: what one request or file costs, medians of the rounds."""
    table = Table(title="Processes over the same engines; of one request or file:", title_justify="left")
    for column in ("what", "processes", "a second", "ours", "PostgreSQL", "SeaweedFS", "statements", "log"):
        table.add_column(column)

    def add(name: str, processes: int, seen: list[tuple[float, ...]]) -> None:
        rate, *times, asked, log = (statistics.median(column) for column in zip(*seen, strict=True))
        costs = [f"{value:.2f} ms" for value in times]
        table.add_row(name, str(processes), f"{rate:,.0f}", *costs, f"{asked:.1f}", f"{log:.1f} KiB")

    for processes in (1, 2, 4):
        server = OnEngines(engines, folder / f"scale{processes}", processes=processes)
        try:
            for name, ask in _requests(server, seconds).items():
                add(name, processes, [_asked(server, ask, seconds) for _ in range(rounds)])
            add("file looked into", processes, [_looked_into(server, processes)])
        finally:
            server.stop()
            console.print(table)


def _requests(server: OnEngines, seconds: int) -> Mapping[str, Callable[[], float]]:
    form, put = [str(HERE / "peers" / name) for name in ("form.lua", "bytes.lua")]
    asked = server.call("GET", "/v1/files/signed-url?filename=a.pdf", user_id="u1")
    status = [f"{url}/v1/files/{asked['file_id']}/status" for url in server.urls]
    size = {"BENCH_SIZE": str(SMALL)}
    return {
        "16 KiB form": partial(wrk, [url + FORM for url in server.urls], seconds, "-s", form, BENCH_AUTH=BASIC, **size),
        "16 KiB body": partial(
            wrk,
            [f"{url}/api/v1/files?name=a.bin" for url in server.urls],
            seconds,
            *("-H", f"api-key: {server.api_key}", "-s", put),
            **size,
        ),
        "status": partial(wrk, status, seconds, "-H", f"api-key: {server.api_key}", "-H", "user-id: u1"),
    }


def _asked(server: OnEngines, ask: Callable[[], float], seconds: int) -> tuple[float, ...]:
    before = Spent.by(server)
    rate = ask()
    return rate, *Spent.by(server).since(before, rate * seconds)


def _looked_into(server: OnEngines, workers: int) -> tuple[float, ...]:
    """What was uploaded before, by workers alone: scanned by the rules that are built in, its type found out."""
    settings = server.environment() | {"LOADINGDOCK_WORKER_CONCURRENCY": "8"}
    server._cli("company", "set", "bench", "job-cap=64")
    waiting = _waiting(server)
    command = [sys.executable, "-m", "loadingdock", "work"]
    with (server.folder / "work.log").open("wb") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log, env=settings) for _ in range(workers)]
    try:
        while _waiting(server) > waiting * 0.9:  # they have started
            time.sleep(0.5)  # looking costs the database something too
        pids = [each.pid for each in running]
        start, first, before = time.perf_counter(), _waiting(server), Spent.by(server, *pids)
        while (left := _waiting(server)) > waiting * 0.2:
            time.sleep(0.5)
        done = first - left
        return done / (time.perf_counter() - start), *Spent.by(server, *pids).since(before, done)
    finally:
        for each in running:
            each.terminate()
        for each in running:
            each.wait()


def _waiting(server: OnEngines) -> int:
    name = server.settings["database_url"].rpartition("/")[2]
    (count,) = server.engines.postgres.ask("SELECT COUNT(*) FROM jobs WHERE state = 'waiting'", name)[0]
    return int(str(count))


CASES: tuple[type[Through] | type[Small] | type[Direct], ...] = (Through, Small, Direct)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over them")
    parser.add_argument("--size", type=int, default=256, help="MiB of a large file")
    parser.add_argument("--seconds", type=int, default=5, help="of each round of many requests")
    parser.add_argument("--only", default="", help="a word of the cases' names, or `scale`")
    parser.add_argument("--on", type=Path, help="folder whose disk is used (default: the temporary folder)")
    options = parser.parse_args()
    console = Console(width=140)
    with disk(options.on) as (folder, what), ExitStack() as stack:
        console.print(f"On {what}.")
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(options.size):
                file.write(os.urandom(MIB))
        engines = Engines(folder, stack)
        for number, kind in enumerate(CASES):
            if options.only.lower() in kind.name.lower():
                run(kind(engines, options.size * MIB, source), folder / f"case{number}", options.rounds, console)
        if options.only.lower() in "scale":
            engines.postgres.ask("CREATE EXTENSION pg_stat_statements")
            scale(engines, folder, options.rounds, options.seconds, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
