"""Killed at each system call that makes something durable, one after the other: no invariant breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.faults.check import fsck, verify
from tests.faults.flows import FLOWS, Flow, Receipt
from tests.faults.strace import DURABLE, strace
from tests.service import Service

POINTS = 12  # more than one upload has


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", FLOWS, ids=lambda flow: flow.__name__)
def test_every_crash_point(make_service: Callable[..., Service], tmp_path: Path, kind: type[Flow]) -> None:
    service = make_service(lease="3s")
    flow = kind(service.desk, service.desk.company("crash"))
    ledger: list[Receipt] = []
    lost = 0
    for point in range(1, POINTS + 1):
        service.start()
        inject = f"inject={DURABLE}:signal=SIGKILL:when={point}"
        with strace(service.pid, tmp_path / "trace", "-e", f"trace={DURABLE}", "-e", inject):
            try:
                ledger.append(asyncio.run(_send(service, flow)))
            except httpx.HTTPError:
                lost += 1
        service.kill()
        for receipt in ledger:
            assert receipt.file(service.desk).version.sha256 == receipt.sha256
    assert lost, "no point was hit before the acknowledgement"
    assert ledger, "no upload came through at all"
    service.start()
    verify(service.desk, ledger)
    service.stop()
    fsck(service.environment)


async def _send(service: Service, flow: Flow) -> Receipt:
    async with service.async_client() as client:
        return await flow.send(client)
