"""Seen from outside: file fsync, rename, folder fsync, database fdatasync, and only then the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.flows import FLOWS, Flow
from tests.faults.strace import DURABLE, Call, calls, strace
from tests.service import Service


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("kind", FLOWS, ids=lambda flow: flow.__name__)
def test_bytes_before_record_before_answer(
    make_service: Callable[..., Service], tmp_path: Path, kind: type[Flow], large: bool
) -> None:
    service = make_service().start()
    flow = kind(service.desk, service.desk.company("order"))
    if large:
        flow.body = lambda: kind.body(flow) + b" " * (3 << 20)  # type: ignore[method-assign]  # several batches
    log = tmp_path / "trace"
    with strace(service.pid, log, "-y", "-s", "64", "-e", f"trace={DURABLE},write,writev,sendto,sendmsg"):
        asyncio.run(_send(service, flow))
    seen = calls(log)
    rename = next(call for call in seen if call.name.startswith("rename") and "/files" in call.arguments)
    staged = [call for call in _syncs(seen, "/files/staging/") if call.ended < rename.began]
    folder = next(call for call in _syncs(seen, "/files/blobs/") if call.began > rename.ended)
    commit = next(call for call in _syncs(seen, "sqlite3-wal") if call.began > folder.ended)
    answer = next(call for call in seen if "HTTP/1.1 20" in call.arguments and call.began > rename.began)
    assert staged, "the file was renamed before it was synced"
    assert commit.ended < answer.began, "answered before the record was durable"


def _syncs(seen: list[Call], path: str) -> list[Call]:
    return [call for call in seen if call.name in {"fsync", "fdatasync"} and path in call.arguments]


async def _send(service: Service, flow: Flow) -> None:
    async with service.async_client() as client:
        await flow.send(client)
