"""An acknowledged upload survives kill -9, whenever it comes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections.abc import Callable

import httpx
import pytest

from tests.faults.flows import FLOWS, Flow, Receipt, verify
from tests.service import PROGRAM, Service

CYCLES = int(os.environ.get("LOADINGDOCK_FAULT_CYCLES", "100"))
_CLIENTS = 8
_MOST = 6  # uploads of one client in one cycle


def fsck(service: Service) -> None:
    """Records and bytes agree, the ledger with both. Young bytes without a record are what a crash may leave."""
    done = subprocess.run(
        [*PROGRAM, "fsck", "--json"], env=service.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


async def load(service: Service, flows: list[Flow], ledger: list[Receipt], kill_after: float) -> None:
    """Clients that send until the server is killed under them."""
    acknowledged, killed = asyncio.Event(), asyncio.Event()

    async def client(number: int) -> None:
        async with service.async_client() as connection:
            for turn in range(_MOST):
                try:
                    ledger.append(await flows[(number + turn) % len(flows)].send(connection))
                    acknowledged.set()
                except httpx.HTTPError:
                    if killed.is_set():
                        return
                    raise

    async def kill() -> None:
        await acknowledged.wait()
        await asyncio.sleep(kill_after)
        killed.set()
        service.kill()

    async with asyncio.TaskGroup() as group:
        group.create_task(kill())
        for number in range(_CLIENTS):
            group.create_task(client(number))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_acknowledged_uploads_survive_kill_9(make_service: Callable[..., Service]) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    service = make_service(lease="3s").start()
    for _ in range(CYCLES):
        company = service.desk.company("kill")
        ledger: list[Receipt] = []
        flows = [flow(service.desk, company) for flow in FLOWS]
        asyncio.run(load(service, flows, ledger, chance.uniform(0, 0.4)))
        service.start()
        assert ledger
        verify(service.desk, ledger)
    service.stop()
    fsck(service)
