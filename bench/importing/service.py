"""Imports through a running service: `loadingdock serve` with its worker inside, asked by its management API."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.contactfile import KEY
from bench.importing.material import TABLE, declaration
from bench.servers import Loadingdock, Server, cpu_of, descendants
from tests.engines.postgres import Postgres, name_of

_CHILD = "loadingdock.adapters.contacts.importing.child"
_PATIENCE = 3600.0  # seconds for one import
_ENDED = frozenset({"finished", "finished_with_errors", "rejected", "failed", "cancelled"})


@dataclass(frozen=True)
class Done:
    """One import. Seconds: `whole` from the file's first byte to the end, `sent` until it was taken in, `steps` what
    looking into it took, `job` from the import's begin to its end. `rejects`: from its begin until a rejected record
    could be read, None where nobody looked. MiB at their peak: of the importer's process, of the server's."""

    whole: float
    sent: float
    steps: Mapping[str, float]
    job: float
    counts: Mapping[str, int]
    rejects: float | None
    importer: float
    server: float

    @property
    def waited(self) -> float:
        """For turns, and for whatever else is neither sent, looked into nor imported."""
        return self.whole - self.sent - sum(self.steps.values()) - self.job


class Founder(Loadingdock):
    """Makes the company, its user and its tables, and ends: what it leaves is copied for each measurement."""

    def __init__(self, folder: Path, database: str | None) -> None:
        self.database = database
        super().__init__(folder)
        for code in (TABLE, "warm"):
            self.call("POST", "/api/v1/tables", declaration(code))
        self.stop()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **({"LOADINGDOCK_DATABASE_URL": self.database} if self.database else {})}


class Service(Server):
    """`database`: a URL, or None for SQLite. Its table is empty."""

    name = "loadingdock"

    def __init__(self, folder: Path, founder: Founder, database: str | None) -> None:
        self._founder = founder
        self.database = database
        self.data = folder.with_name(f"{folder.name}-data")
        shutil.copytree(founder.folder / "data", self.data)
        super().__init__(folder)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "loadingdock", "serve", "--port", str(self.port)]

    def environment(self) -> dict[str, str]:
        settings = {"LOADINGDOCK_DATA": str(self.data), "LOADINGDOCK_PUBLIC_URL": f"http://127.0.0.1:{self.port}"}
        if self.database:
            settings["LOADINGDOCK_DATABASE_URL"] = self.database
        return {**os.environ, **settings, "LOADINGDOCK_LOG_LEVEL": "warning"}

    def call(self, method: str, path: str, body: object = None, *, content: Path | None = None) -> dict[str, Any]:
        headers = {"api-key": self._founder.api_key}
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc)) as connection:
            if content is not None:
                headers |= {"Content-Type": "text/csv", "Content-Length": str(content.stat().st_size)}
                with content.open("rb") as file:
                    connection.request(method, path, file, headers)
            elif body is not None:
                headers["Content-Type"] = "application/json"
                connection.request(method, path, json.dumps(body), headers)
            else:
                connection.request(method, path, headers=headers)
            response = connection.getresponse()
            text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {text.decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    # --- imports ---------------------------------------------------------------------------------

    def load(
        self,
        path: Path,
        *,
        table: str = TABLE,
        operation: str = "INSALL",
        strict: bool = False,
        watching: bool = False,
        begun: Callable[[], None] = lambda: None,
    ) -> Done:
        """To its end. `watching`: how soon a rejected record can be read. `begun` is called when it loads."""
        start = datetime.now(UTC)
        file = self.call("POST", f"/api/v1/files?name={path.name}", content=path)["id"]
        sent = datetime.now(UTC)
        key = {} if operation == "INSALL" else {"key": [KEY]}
        asked = {"table": table, "file": file, "operation": operation, "strict": strict, "quote": "", **key}
        number = self.call("POST", "/api/v1/imports", asked)["logID"]
        rejects, found = self._ended(number, watching, begun)
        began, ended = _time(found["started_at"]), _time(found["ended_at"])
        if found["state"] not in {"finished", "finished_with_errors"}:
            raise RuntimeError(f"the import is {found['state']}: {found['reason']}")
        metadata = self.call("GET", f"/api/v1/files/{file}/metadata")
        names = ("inserted", "updated", "unchanged", "skipped", "rejected")
        return Done(
            whole=(ended - start).total_seconds(),
            sent=(sent - start).total_seconds(),
            steps={
                step["name"]: (_time(step["ended_at"]) - _time(step["started_at"])).total_seconds()
                for step in metadata["steps"]
            },
            job=(ended - began).total_seconds(),
            counts={name: found[name] for name in names},
            rejects=None if rejects is None else (rejects - began).total_seconds(),
            importer=max(map(_peak, self.importers()), default=0.0),
            server=_peak(self.process.pid),
        )

    def _ended(self, number: int, watching: bool, begun: Callable[[], None]) -> tuple[datetime | None, dict[str, Any]]:
        rejects, told, pause = None, False, 0.02
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            found = self.call("GET", f"/api/v1/imports/{number}")
            if watching and rejects is None and found["started_at"]:
                rows = self.call("GET", f"/api/v1/imports/{number}/rejects?limit=1")["items"]
                rejects = datetime.now(UTC) if rows else None
            if not told and found["state"] == "loading":
                told = True
                begun()
            if found["state"] in _ENDED:
                return rejects, found
            time.sleep(pause)
            pause = 0.1 if watching else min(0.5, pause * 1.1)  # looking costs the server something too
        raise RuntimeError(f"the import is {found['state']} after {_PATIENCE} seconds")

    def importers(self) -> list[int]:
        return [pid for pid in self.pids() if _is_importer(pid)]

    def idle(self) -> None:
        """Returns when every file has been looked into."""
        deadline = time.monotonic() + _PATIENCE
        while any(self.call("GET", f"/api/v1/files?state={state}&limit=1")["items"] for state in _UNDER_WAY):
            if time.monotonic() > deadline:
                raise RuntimeError("files are still being looked into")
            time.sleep(0.2)


_UNDER_WAY = ("received", "processing")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _is_importer(pid: int) -> bool:
    try:
        return _CHILD in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _peak(pid: int) -> float:
    """MiB that were resident at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no peak is known of {pid}")


class Stage:
    """Fresh services and databases in a folder: `postgres` None for SQLite. Each begins as the founder left it."""

    def __init__(self, folder: Path, postgres: Postgres | None) -> None:
        self.folder = folder
        self.postgres = postgres
        self._made = 0
        self._template = postgres.database() if postgres else None
        self.founder = Founder(folder / "founder", self._template)

    @property
    def engine(self) -> str:
        return "PostgreSQL" if self.postgres else "SQLite"

    @contextmanager
    def database(self) -> Iterator[str | None]:
        """With the company's table in it."""
        if self.postgres is None or self._template is None:
            yield None
            return
        url = self.postgres.database(name_of(self._template))
        try:
            yield url
        finally:
            self.postgres.drop(url)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        self._made += 1
        folder = self.folder / f"scratch{self._made}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def service(self, warm: Path | None = None) -> Iterator[Service]:
        """With `warm`, a file that was imported into another table before."""
        with self.database() as url, self.scratch() as folder:
            service = Service(folder / "service", self.founder, url)
            try:
                if warm is not None:
                    service.load(warm, table="warm")
                yield service
            finally:
                service.stop()

    def settle(self, url: str | None, data: Path) -> None:
        """What was loaded is on the disk, and the planner knows it, as some time after any load."""
        if self.postgres is not None and url is not None:
            self.postgres.ask("VACUUM ANALYZE", name_of(url))
            self.postgres.ask("CHECKPOINT")
        else:
            for file in data.rglob("*.sqlite"):
                subprocess.run(["sqlite3", str(file), "PRAGMA wal_checkpoint"], check=True, capture_output=True)

    def cpu_seconds(self, *pids: int) -> float:
        """Of the database's server, and of those processes with their children."""
        engines = [self.postgres.pid] if self.postgres else []
        return cpu_of(pid for each in (*engines, *pids) for pid in descendants(each))

    def spent(self, service: Service) -> Mapping[str, float]:
        """CPU seconds so far of the database's server, the service's own process, the importer's and the others."""
        database, own, importer = self.cpu_seconds(), cpu_of([service.process.pid]), cpu_of(service.importers())
        others = self.cpu_seconds(service.process.pid) - database - own - importer
        return {"database": database, "server": own, "importer": importer, "others": others}
