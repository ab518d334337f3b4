"""The end of a server: what was begun ends, what cannot end goes back, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from loadingdock.bootstrap import lifetime
from loadingdock.core.model.files import File, State
from loadingdock.core.model.jobs import JobState
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.settings import Settings
from loadingdock.web.app import Application
from loadingdock.web.services import Services
from tests.faults.check import fsck
from tests.service import Service
from tests.unit.fake_clamd import fake_clamd, hanging

WITHIN = 30.0  # seconds from SIGTERM to the end, as promised
UPLOAD = "/dana/conversation/http/rest/file/upload"
Make = Callable[..., Service]


class Body:
    """A form whose file stops halfway until it is let go on."""

    def __init__(self, name: str, content: bytes) -> None:
        boundary = "a-boundary"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        whole = head + content + f"\r\n--{boundary}--\r\n".encode()
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(len(whole))}
        self._whole = whole
        self.halfway = threading.Event()
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        middle = len(self._whole) // 2
        yield self._whole[:middle]
        self.halfway.set()
        self.go_on.wait(60)
        yield self._whole[middle:]


class Sending(threading.Thread):
    """A client that sends such a form; `status` is 0 if it got no answer."""

    def __init__(self, service: Service, login: tuple[str, str], body: Body) -> None:
        super().__init__(daemon=True)
        self._service, self._login, self.body = service, login, body
        self.status = 0
        self.start()

    def run(self) -> None:
        try:
            with self._service.client(auth=self._login) as client:
                self.status = client.post(UPLOAD, content=iter(self.body), headers=self.body.headers).status_code
        except httpx.TransportError:
            self.status = 0


def refuses(service: Service) -> bool:
    """Whether new connections are refused."""
    try:
        httpx.get(f"{service.url}/healthz", timeout=5)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


@pytest.mark.slow
def test_what_was_begun_ends_and_is_kept(make_service: Make) -> None:
    service = make_service().start()
    company = service.desk.company("acme")
    login = service.desk.user(company, "files:upload").pair
    content = b"%PDF-1.7\n" + os.urandom(1 << 20).hex().encode()
    sending = Sending(service, login, Body("late.pdf", content))
    assert sending.body.halfway.wait(30)
    started = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    service.until(lambda: refuses(service))
    assert service.running, "it waits for the one that was begun"
    sending.body.go_on.set()
    sending.join(30)
    assert sending.status == 200
    assert service.process.wait(WITHIN) == 0
    assert time.monotonic() - started < WITHIN
    (file,) = service.desk.files(company)
    assert (file.name, file.version.sha256) == ("late.pdf", hashlib.sha256(content).hexdigest())


@pytest.mark.slow
def test_who_takes_too_long_is_cut_off_and_leaves_nothing(make_service: Make) -> None:
    service = make_service(drain="1s").start()
    company = service.desk.company("acme")
    sending = Sending(service, service.desk.user(company, "files:upload").pair, Body("slow.txt", b"x" * (1 << 20)))
    assert sending.body.halfway.wait(30)
    assert service.stop(WITHIN) == 0
    sending.body.go_on.set()
    sending.join(30)
    assert sending.status != 200
    assert service.desk.files(company) == ()
    service.start()
    assert service.desk.files(company) == ()


@pytest.mark.slow
def test_a_job_that_cannot_end_goes_back(make_service: Make) -> None:
    """Its scanner hangs. The attempt that the end broke off is not counted, and the next life takes it up at once."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    scanner = fake_clamd(hanging)
    url = asyncio.run_coroutine_threadsafe(scanner.__aenter__(), loop).result(10)
    try:
        service = make_service(drain="1s", scanner_url=url, lease="1h").start(wait=False)
        company = service.desk.company("acme")
        login = service.desk.user(company, "files:upload").pair
        service.until(lambda: not refuses(service))
        with service.client(auth=login) as client:
            assert client.post(UPLOAD, files={"file": ("note.txt", b"a note")}).status_code == 200
        service.until(lambda: [file.state for file in service.desk.files(company)] == [State.PROCESSING])
        assert service.stop(WITHIN) == 0
        (job,) = service.desk.ask(lambda s: s.jobs.list(company_id=company.id))
        assert (job.state, job.attempts, job.last_error) == (JobState.WAITING, 0, "the worker stopped")
    finally:
        asyncio.run_coroutine_threadsafe(scanner.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_a_draining_service_is_alive_and_not_ready(tmp_path: Path) -> None:
    draining = asyncio.Event()
    settings = Settings(data=tmp_path / "data")
    application = Application(lifetime(settings, worker=False, draining=draining), draining=draining)
    state: dict[str, object] = {}
    inbox: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan", "state": state}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"

    async def with_state(scope: dict[str, object], receive: object, send: object) -> None:
        await application({**scope, "state": state}, receive, send)

    transport = httpx.ASGITransport(with_state)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/readyz")).status_code == 200
        draining.set()
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert (await client.get("/healthz")).status_code == 200
    await inbox.put({"type": "lifespan.shutdown"})
    await life


# --- how it starts and ends for whoever started it -----------------------------------------------


def started(tmp_path: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """The process and the first line on its standard output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOADINGDOCK_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "loadingdock", *words],
        cwd=tmp_path,
        env=clean,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    return process, process.stdout.readline() if ready else ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_serve_says_where_with_what_scanner_and_where_data_lie(number: signal.Signals, tmp_path: Path) -> None:
    process, line = started(tmp_path, "serve", "--port", "0", "--json")
    try:
        said = json.loads(line)
        assert httpx.get(f"{said['url']}/healthz").status_code == 200
        assert said["public_url"] == said["url"]
        assert (said["antivirus"], said["worker"]) == (False, True)
        assert said["data"] == str(tmp_path / "loadingdock-data")
        process.send_signal(number)
        rest, log = process.communicate(timeout=WITHIN)
        assert (process.returncode, rest) == (0, ""), log
        assert "error" not in log
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_port_that_is_taken(service: Service, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    process, line = started(tmp_path, "serve", "--port", port, "--json")
    process.communicate(timeout=60)
    error = json.loads(line)["error"]
    assert (process.returncode, error["code"]) == (1, "address")
    assert error["message"] == f"Cannot listen on 127.0.0.1 port {port}: Address already in use."


@pytest.mark.slow
def test_a_worker_alone(make_service: Make) -> None:
    """`serve --no-worker` takes in, `work` looks into it; each ends by itself."""
    service = make_service()
    service.data.mkdir(parents=True)
    environment = {**service.environment, "PYTHONUNBUFFERED": "1"}
    company = service.desk.company("acme")
    key = service.desk.user(company, "files:upload")
    port = service.url.rpartition(":")[2]
    command = [sys.executable, "-m", "loadingdock"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    serving = subprocess.Popen([*command, "serve", "--no-worker", "--port", port], env=environment, **pipes)
    working = None
    try:
        assert "Jobs wait for `loadingdock work`" in serving.stdout.readline()
        with service.client(auth=key.pair) as client:
            assert client.post(UPLOAD, files={"file": ("note.txt", b"a note")}).status_code == 200
        (file,) = service.desk.files(company)
        assert file.state is State.RECEIVED
        working = subprocess.Popen([*command, "work", "--port", "0"], env=environment, **pipes)
        said = re.fullmatch(r"Working as .* Metrics at (http://\S+)/metrics\.\n", working.stdout.readline())
        assert said is not None
        assert [file.state for file in service.desk.settled(company)] == [State.READY]
        with httpx.Client(base_url=said[1]) as beside:
            assert beside.get("/healthz").status_code == 200
            assert beside.get("/readyz").json()["status"] == "ready"
            assert 'loadingdock_scan_seconds_count{address="local"} 1.0' in beside.get("/metrics").text
            for path in ("/docs", "/oauth/token", "/v1/fileUpload", "/api/v1/files", "/objects/1/x"):
                assert beside.get(path).status_code == 404
                assert beside.post(path).status_code == 404
        for process in (working, serving):
            process.terminate()
            assert process.wait(WITHIN) == 0
    finally:
        for process in (serving, working):
            if process is not None:
                process.kill()
                process.communicate()


# --- again and again -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.cycles(20, all=100)
def test_ends_under_load_lose_nothing(make_service: Make, cycles: int) -> None:
    service = make_service()
    service.data.mkdir(parents=True)
    company = service.desk.company("acme")
    login = service.desk.user(company, "files:upload").pair
    acknowledged: dict[str, bytes] = {}
    lock = threading.Lock()
    longest = 0.0

    def send(cycle: int, sender: int, over: threading.Event) -> None:
        with service.client(auth=login) as client:
            for number in range(1000):
                if over.is_set():
                    return
                name = f"{cycle}-{sender}-{number}.txt"
                content = f"{name} {os.urandom(32).hex()}\n".encode() * 200
                try:
                    answer = client.post(UPLOAD, files={"file": (name, content)})
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    with lock:
                        acknowledged[answer.json()["fileID"]] = content

    for cycle in range(cycles):
        service.start()
        over = threading.Event()
        before = len(acknowledged)
        senders = [threading.Thread(target=send, args=(cycle, sender, over), daemon=True) for sender in range(4)]
        for thread in senders:
            thread.start()
        enough = before + 1 + cycle % 20
        service.until(lambda enough=enough: len(acknowledged) >= enough)
        at = time.monotonic()
        assert service.stop(WITHIN) == 0
        longest = max(longest, time.monotonic() - at)
        over.set()
        for thread in senders:
            thread.join(60)
    assert longest < WITHIN
    service.start()
    files = {file.alias: file for file in _all(service, company.id)}
    assert acknowledged.keys() <= files.keys()
    service.desk.settled(company, within=300)
    for alias, content in acknowledged.items():
        file = service.desk.by_alias(company, alias)
        assert file.state is State.READY
        assert service.desk.read(company, file) == content
    service.stop()
    fsck(service.environment)


def _all(service: Service, company_id: int) -> list[File]:
    """Every file of the company, page by page."""

    async def ask(services: Services) -> list[File]:
        found: list[File] = []
        cursor: str | None = None
        while True:

            async def page(unit: Unit, cursor: str | None = cursor) -> Page[File]:
                return await unit.files.list(FileFilter(), limit=1000, cursor=cursor)

            some = await services.records.read(company_id, page)
            found += some.items
            cursor = some.cursor
            if cursor is None:
                return found

    return service.desk.ask(ask)
