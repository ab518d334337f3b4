"""A backup of a server that is at work or killed, brought back and served again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadingdock.core.model.files import State
from tests.faults.flows import FLOWS, Receipt
from tests.service import PROGRAM, Desk, Service

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def load(service: Service, ledger: list[Receipt], *, deletes: bool = True) -> Iterator[Callable[[], int]]:
    """Uploads through every API and, with `deletes`, files that are deleted as soon as they came; how many came so far
    of whichever came less."""
    company = service.desk.company("load")
    flows = [flow(service.desk, company) for flow in FLOWS]
    headers = {"api-key": service.desk.key(company, "admin")}
    stop = threading.Event()
    short_lived = 0

    async def sends(connection: httpx.AsyncClient, number: int) -> None:
        while not stop.is_set():
            number += 1
            ledger.append(await flows[number % len(flows)].send(connection))

    async def come_and_go(connection: httpx.AsyncClient) -> None:
        nonlocal short_lived
        while not stop.is_set():
            made = await connection.post(
                "/api/v1/files", files={"file": ("a.txt", secrets.token_hex(999))}, headers=headers
            )
            gone = await connection.delete(f"/api/v1/files/{made.raise_for_status().json()['id']}", headers=headers)
            gone.raise_for_status()
            short_lived += 1

    async def all_of_them() -> None:
        async with service.async_client() as connection, asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(sends(connection, number))
                if deletes:
                    group.create_task(come_and_go(connection))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        yield lambda: min(short_lived, len(ledger)) if deletes else len(ledger)
    finally:
        stop.set()
        thread.join()
    assert short_lived or not deletes


def command(service: Service, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words, "--json"],
        env=service.environment | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@contextmanager
def served(data: Path) -> Iterator[Service]:
    """The installation that came back, with its server."""
    back = Service(data, {"public_url": "http://127.0.0.1:8080"})
    try:
        yield back.start()
    finally:
        back.close()


def all_there(desk: Desk, ledger: list[Receipt]) -> None:
    """Every acknowledged file came back, is looked into, and has the bytes that were sent."""
    for company in {receipt.flow.company.id: receipt.flow.company for receipt in ledger}.values():
        desk.settled(company)
    for receipt in ledger:
        file = receipt.file(desk)
        assert file.state is State.READY, f"{file.id} is {file.state}: {file.version.reason}"
        assert hashlib.sha256(desk.read(receipt.flow.company, file)).hexdigest() == receipt.sha256


def carried_out(service: Service, *words: str, **environment: str) -> Any:
    """What it said; it has ended well."""
    done = command(service, *words, **environment)
    assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def test_under_load(make_service: Callable[..., Service], tmp_path: Path) -> None:
    service = make_service().start()
    target, data = tmp_path / "backup", tmp_path / "back" / "data"
    ledger: list[Receipt] = []
    with load(service, ledger) as came:
        for least in (20, 60, 100):

            def enough(least: int = least) -> bool:
                return came() >= least

            service.until(enough)
            acknowledged = list(ledger)
            said = carried_out(service, "backup", str(target))
            assert said["ok"], said
        assert said["kept"]["blobs"], said
        carried_out(service, "fsck")
    service.stop()
    carried_out(service, "restore", str(target), LOADINGDOCK_DATA=str(data))
    carried_out(service, "fsck", LOADINGDOCK_DATA=str(data))
    with served(data) as back:
        carried_out(back, "fsck")  # beside the worker, which goes on where the other one stood
        back.desk.idle()
        all_there(back.desk, acknowledged)
        carried_out(back, "fsck")


# --- kill -9 -------------------------------------------------------------------------------------


def killed(service: Service, words: tuple[str, ...], after: float, **environment: str) -> bool:
    """Whether the command was killed before it came to its end."""
    running = subprocess.Popen(
        [*PROGRAM, *words, "--json"], env=service.environment | environment, stdout=subprocess.DEVNULL
    )
    try:
        running.wait(after)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        running.wait()
        return True
    return False


def test_kill_9(make_service: Callable[..., Service], tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    service = make_service().start()
    target, data = tmp_path / "backup", tmp_path / "back" / "data"
    ledger: list[Receipt] = []
    kills = 0
    with load(service, ledger) as came:
        service.until(lambda: came() >= 50)
        for turn in range(6):
            kills += killed(service, ("backup", str(target)), chance.uniform(0.3, 1.5))
            checked = command(service, "restore", str(target), "--dry-run")
            assert (checked.returncode == 0) == (target / "manifest.json").exists(), (turn, checked.stdout)
    assert command(service, "backup", str(target)).returncode == 0
    service.stop()
    for _ in range(4):
        kills += killed(service, ("restore", str(target)), chance.uniform(0.3, 1.2), LOADINGDOCK_DATA=str(data))
        if data.exists():
            break
    else:
        assert command(service, "restore", str(target), LOADINGDOCK_DATA=str(data)).returncode == 0
    assert kills
    assert [path.name for path in data.parent.iterdir()] == ["data"]
    with served(data) as back:
        all_there(back.desk, ledger)
        carried_out(back, "fsck")
