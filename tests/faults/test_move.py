"""An installation in use moves to PostgreSQL and an S3 store, and back: everything acknowledged arrives, reading goes
on all the time, and a move that was killed is gone on with."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import httpx
import psycopg
import pytest

from loadingdock.adapters.moving.postgres import PostgresDatabase
from loadingdock.bootstrap import DATABASE
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File
from tests.acceptance.importing import GOOD
from tests.acceptance.links import PARTIAL, Holder
from tests.acceptance.test_import_commands import Typist
from tests.desk import Desk, eventually
from tests.engines.postgres import Postgres, postgres
from tests.engines.seaweedfs import SECRET_KEY, SeaweedFS, seaweedfs
from tests.faults.check import fsck, once, verify
from tests.faults.flows import flows
from tests.faults.load import Load
from tests.service import PROGRAM, Service

__all__ = ["postgres", "seaweedfs"]

pytestmark = [pytest.mark.slow, pytest.mark.engine("postgres"), pytest.mark.engine("s3"), pytest.mark.timeout(400)]

TEXT = b"A line that is read all the time.\n" * 1000


class Moving(Service):
    """A service whose settings change between two of its lives."""

    def settle(self, **settings: object) -> None:
        self.close_desk()
        self._settings |= {name: str(value) for name, value in settings.items()}
        self._settings = {name: value for name, value in self._settings.items() if value}

    def close_desk(self) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None

    def command(self, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*PROGRAM, *words, "--json"], env=self.environment, stdout=pipe, stderr=pipe, text=True)

    async def moves(self, *words: str) -> Any:
        process = self.command("move", *words)
        out, err = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0, out + err
        assert SECRET_KEY not in out + err
        return json.loads(out)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Moving]:
    made = Moving(tmp_path / "data")
    try:
        yield made
    finally:
        made.close()


class Reading:
    """A client that reads a file by its link, and how it is, over and over. Any refusal is an error."""

    def __init__(self, service: Service, link: str, status: str, headers: dict[str, str]) -> None:
        self._service = service
        self._link, self._status, self._headers = link, status, headers
        self.times = 0
        self._more = asyncio.Condition()

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            if not isinstance(end, asyncio.CancelledError):
                raise end  # type: ignore[misc]  # it never returns

    async def further(self, times: int = 5) -> None:
        wanted = self.times + times
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: self.times >= wanted)

    async def _run(self) -> None:
        async with self._service.async_client() as client:
            while True:
                answer = await client.get(self._link)
                assert (answer.status_code, answer.content) == (200, TEXT), answer.text
                told = await client.get(self._status, headers=self._headers)
                assert told.status_code == 200, told.text
                async with self._more:
                    self.times += 1
                    self._more.notify_all()


def files(desk: Desk, companies: Sequence[Company]) -> list[tuple[File, ...]]:
    return [tuple(sorted(desk.files(company), key=lambda file: file.id)) for company in companies]


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(eventually, condition, within=60)


def arrived(service: Service) -> int:
    """What the ledger of the copying says; nothing before it has one."""
    for path in (service.data / "moving").glob("*.sqlite3"):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(10_000)  # the move writes into it
        try:
            if connection.table_exists("main", "blobs"):
                ((count,),) = connection.execute("SELECT count(*) FROM blobs WHERE sha256 IS NOT NULL").fetchall()
                return int(count)
        finally:
            connection.close()
    return 0


def begin(client: httpx.Client, url: str) -> str:
    answer = client.put(url, content=TEXT[:1000], headers={"Upload-Complete": "?0"})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def test_imports_are_undone_at_the_engines_and_back(tmp_path: Path, postgres: Postgres, seaweedfs: SeaweedFS) -> None:
    """One of two there, by way of the process that loads, and the other one when it is back."""
    database, store = postgres.database(), seaweedfs.fresh_url()
    settings = {"database_url": database, "store_url": store, **seaweedfs.settings}
    here = Typist(tmp_path / "here", tmp_path, "acme")
    there = Typist(tmp_path / "there", tmp_path, "acme", **settings)
    back = Typist(tmp_path / "back", tmp_path, "acme")
    here.gets("company", "add", "acme")
    here.prepares()
    first = str(here.loads(GOOD)["logID"])
    before = here.rows()
    changed = GOOD.replace("Anna", "Anna Maria") + "cleo@example.com;Cleo;01/03/2001\r\n"
    second = str(here.loads(changed, "--operation", "UPDINS")["logID"])
    words = [word for name, value in seaweedfs.settings.items() for word in ("--to", f"{name}={value}")]
    report = here.gets("move", "--to-database", database, "--to-store", store, *words)
    assert (report["done"], report["contacts"], report["undoable"]) == (True, 3, 2)
    undone = there.gets("import", "undo", second)["undone"]
    assert (undone["removed"], undone["restored"], undone["left"]) == (1, 1, 0)
    assert there.rows() == before
    third = str(there.loads(changed, "--operation", "UPDINS")["logID"])
    report = there.gets("move", "--to-database", f"sqlite://{back.data / DATABASE}", "--to-store", str(back.data))
    assert (report["done"], report["contacts"], report["undoable"]) == (True, 3, 2)
    assert back.gets("import", "show", second)["undone"] == undone
    for number in (third, first):
        assert back.gets("import", "undo", number)["undone"]["left"] == 0
    assert back.rows() == []


async def test_to_engines_and_back(service: Moving, tmp_path: Path, postgres: Postgres, seaweedfs: SeaweedFS) -> None:
    service.start()
    holder = Holder(service)
    companies = [holder.company, service.desk.company("beta"), service.desk.company("gamma")]
    all_flows = [flow for company in companies[1:] for flow in flows(service.desk, company)]
    with service.client() as client:
        read = holder.ready(client, TEXT)
        link = holder.download_url(read)
        promise = holder.promise(client)
        location = begin(client, promise.url)

    database, store = postgres.database(), seaweedfs.fresh_url()
    there = {"database_url": database, "store_url": store, **seaweedfs.settings}
    words = ["--to-database", database, "--to-store", store]
    words += [word for name, value in seaweedfs.settings.items() for word in ("--to", f"{name}={value}")]
    reading = Reading(service, link, f"/v1/files/{read.id}/status", holder.headers)

    async with reading.going_on():
        async with Load(all_flows, service.async_client, pause=1.0) as load:
            await load.goes_on(24)
            look = await service.moves(*words, "--dry-run")
            assert look["files"] > 20
            assert not look["problems"]

            # Killed while files are copied: nobody has noticed anything.
            process = service.command("move", *words)
            await until(lambda: arrived(service) >= 5)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.communicate)
            seen = load.refused
            await load.goes_on()
            assert load.refused == seen == 0

            # Killed while records are copied: they cannot, because somebody holds a table there.
            await asyncio.to_thread(PostgresDatabase(database).migrate)
            with psycopg.connect(database) as holding:
                holding.execute("LOCK TABLE companies IN EXCLUSIVE MODE")
                process = service.command("move", *words)
                await load.is_refused(3)
                await reading.further()
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.communicate)
                await reading.further()
                holding.rollback()
            with service.client() as client:
                doctor = await asyncio.to_thread(service.command("doctor").communicate)
                assert "sealed: moved, or being moved, to PostgreSQL" in doctor[0]
                assert client.get("/readyz").status_code == 200

            report = await service.moves(*words)
            assert report["done"]
            assert report["already"] >= 5
            assert report["uploads_to_begin_again"] == 1
        await reading.further()
        old = files(service.desk, companies)
        again = await service.moves(*words)
        assert again["log_rows_followed"] > 0

    assert load.broken == 0
    service.stop()
    service.settle(**there)
    assert files(service.desk, companies) == old
    service.start()
    verify(service.desk, load.ledger)
    for company in companies[1:]:
        once(service.desk, company)
    fsck(service.environment)
    with service.client() as client:
        assert client.get(link).content == TEXT
        append = {"Upload-Offset": "1000", "Upload-Complete": "?1", "Content-Type": PARTIAL}
        assert client.patch(location, content=TEXT[1000:], headers=append).status_code == 404
        whole = begin(client, promise.url)
        assert client.patch(whole, content=TEXT[1000:], headers=append).status_code == 200
    service.desk.settled(holder.company)

    # And back, into a folder, beside the running service.
    back = tmp_path / "back"
    words = ["--to-database", f"sqlite://{back / DATABASE}", "--to-store", str(back)]
    reading = Reading(service, link, f"/v1/files/{read.id}/status", holder.headers)
    async with reading.going_on(), Load(all_flows, service.async_client, pause=1.0) as load_there:
        await load_there.goes_on(20)
        report = await service.moves(*words)
        assert report["done"]
        await load_there.is_refused(3)
        await reading.further()
    old = files(service.desk, companies)
    service.stop()
    service.settle(data=back, **dict.fromkeys(there, ""))
    assert files(service.desk, companies) == old
    service.start()
    verify(service.desk, [*load.ledger, *load_there.ledger])
    for company in companies[1:]:
        once(service.desk, company)
    fsck(service.environment)
    with service.client() as client:
        assert client.get(link).content == TEXT
        upload = holder.promise(client)
        assert client.put(upload.url, content=TEXT).status_code == 200
