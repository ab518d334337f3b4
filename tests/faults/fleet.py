"""Several processes of the service side by side: `serve --no-worker` and `work`, on engines that they share. Nothing
else is shared: each has a folder of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.desk import Desk
from tests.engines.daemon import Daemon
from tests.service import PROGRAM, Service, fresh_address

_PUBLIC = "http://dock.test"  # what clients are told; each request goes to some process


class Worker(Daemon):
    """`loadingdock work`. `name` is what it signs its jobs with, another one in each life."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = ""
        self._folder = folder
        self._environment = {**environment, "LOADINGDOCK_DATA": str(folder / "data")}

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Worker:
        """Until it has opened what it stands on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, "work", "--json"],
                env={**self._environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                cwd=self._folder,
            )
        assert self._process.stdout is not None
        with self._process.stdout as said:
            line = said.readline()
        assert line, f"the worker did not start:\n{self.log()}"
        self.name = json.loads(line)["worker"]
        return self

    def kill(self) -> None:
        """With the children that it reads files in."""
        if self._process is not None and self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        self._signal(signal.SIGTERM)
        assert self._process is not None
        return self._process.wait(40)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")


class Fleet:
    """`settings` name the engines, as those of a `Service`. Made, not started."""

    def __init__(self, folder: Path, settings: Mapping[str, object], *, web: int, workers: int) -> None:
        common = {"public_url": _PUBLIC, **settings}
        self.web = [Service(folder / f"web{n}" / "data", common, options=("--no-worker",)) for n in range(web)]
        self.workers = [Worker(folder / f"worker{n}", self.environment) for n in range(workers)]
        self._desk: Desk | None = None

    @property
    def environment(self) -> dict[str, str]:
        """For commands that are typed beside it."""
        return self.web[0].environment

    @property
    def desk(self) -> Desk:
        if self._desk is None:
            self._desk = Desk(self.web[0].settings)
        return self._desk

    def start(self) -> Fleet:
        for service in self.web:
            service.start(wait=False)
        for worker in self.workers:
            worker.start()
        for service in self.web:
            service.wait_ready()
        return self

    def stop(self) -> None:
        """Ended well, all of them."""
        assert {worker.stop() for worker in self.workers} == {0}
        assert {service.stop() for service in self.web} == {0}

    def close(self) -> None:
        if self._desk is not None:
            self._desk.close()
        for worker in self.workers:
            worker.kill()
        for service in self.web:
            service.close()

    def client(self, chance: random.Random) -> httpx.AsyncClient:
        """Whose requests go to one process or another."""
        balancer = _Balancer([httpx.URL(service.url) for service in self.web], chance)
        return httpx.AsyncClient(base_url=_PUBLIC, transport=balancer, timeout=60.0)


class _Balancer(httpx.AsyncBaseTransport):
    """Sends each request to one of the places by chance, and leaves the name that it asked for."""

    def __init__(self, places: list[httpx.URL], chance: random.Random) -> None:
        self._places = places
        self._chance = chance
        self._inner = httpx.AsyncHTTPTransport(verify=False, local_address=fresh_address())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        place = self._chance.choice(self._places)
        url = request.url.copy_with(host=place.host, port=place.port)
        forwarded = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await self._inner.handle_async_request(forwarded)

    async def aclose(self) -> None:
        await self._inner.aclose()
