"""An acknowledged upload survives kill -9, whenever it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.faults.check import fsck, verify
from tests.faults.flows import Flow, Receipt, flows
from tests.faults.load import Load
from tests.service import Service


async def killed_under_load(service: Service, senders: list[Flow], after: float) -> list[Receipt]:
    """What was acknowledged until the server was killed, so many seconds after the first."""
    async with Load(senders, service.async_client) as load:
        await load.goes_on(1)
        await asyncio.sleep(after)
        assert not load.broken
        service.kill()
    return load.ledger


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.cycles(15, all=500)
def test_acknowledged_uploads_survive_kill_9(
    make_service: Callable[..., Service], cycles: int, chance: random.Random
) -> None:
    service = make_service(lease="1s").start()
    for _ in range(cycles):
        company = service.desk.company("kill")
        ledger = asyncio.run(killed_under_load(service, flows(service.desk, company), chance.uniform(0, 0.4)))
        service.start()
        assert ledger
        verify(service.desk, ledger)
    service.stop()
    fsck(service.environment)
