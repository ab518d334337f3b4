"""Who loads or undoes an import is killed when that is committed and nobody has been told: the next one tells the same
numbers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loadingdock.core.administration import operator
from loadingdock.core.model.imports import Import, ImportState, Outcome
from tests.contract.processes import Watched, importers
from tests.faults.check import fsck
from tests.faults.contactbase import OWN, ContactBase, MakeBase, made
from tests.faults.fleet import Worker
from tests.faults.imports import OLD, Kindred, Loading

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_WITHIN = 60.0  # seconds; generous
FIRST, SINCE = Kindred(strict=False, rows=20_000), Kindred(strict=False, rows=1_000)
"""The one that is undone, and one that has changed some of its contacts since: so many that what is told of them does
not fit into a pipe."""


def test_what_a_load_did_is_known_though_its_worker_was_killed(tmp_path: Path, make_base: MakeBase) -> None:
    service, base = made(tmp_path, make_base, "--no-worker")
    worker = Worker(tmp_path / "dock", service.environment)
    try:
        desk = service.start().desk
        worker.start()
        company = desk.company("kill")
        loading = Loading.begun(desk, base, company, FIRST)
        while not kill_committed(worker, base, loading):
            loading = Loading.begun(desk, base, company, FIRST)
        worker.start()
        await_end(base, loading)
        loading.check()
        assert loading.now.attempt == 2
        assert worker.stop() == service.stop() == 0
        fsck(service.environment)
    finally:
        worker.kill()
        service.close()


def kill_committed(worker: Worker, base: ContactBase, loading: Loading) -> bool:
    """Between the commit of the contacts and the import's end; False if it came to that before."""
    until(lambda: loading.now.counts.records == FIRST.rows)
    with base.records_locked():
        if loading.now.ended:
            return False
        until(lambda: loading.committed is not None)
        assert not loading.now.ended
        worker.kill()
        return True


@pytest.mark.parametrize("victim", ["worker", "child"])
def test_what_an_undo_did_is_known_though_its_process_was_killed(
    tmp_path: Path, make_base: MakeBase, victim: str
) -> None:
    service, base = made(tmp_path, make_base, "--no-worker")
    worker = Worker(tmp_path / "dock", service.environment)
    try:
        desk = service.start().desk
        worker.start()
        company = desk.company("kill")
        loading = Loading.begun(desk, base, company, FIRST)
        desk.imported(company, loading.number)
        since = replace(loading, kindred=SINCE, seen=[])
        since.number = since.submit()
        desk.imported(company, since.number)

        with base.locked(loading.table):
            desk.ask(lambda services: services.imports.undo(operator(company), loading.number))
            until(lambda: any(base.waits(pid, loading.table) for pid in importers(worker.pid)))
            (child,) = (pid for pid in importers(worker.pid) if base.waits(pid, loading.table))
            os.kill(worker.pid, signal.SIGSTOP)
        asked = f'SELECT undone FROM {{0}}"{OWN}loads" WHERE number = {loading.number:d}'
        until(lambda: base.ask(company.id, asked)[0][0] is not None)
        assert loading.now.state is ImportState.UNDOING
        watched = Watched(child)
        if victim == "worker":
            worker.kill()
        else:
            os.kill(child, signal.SIGKILL)
        asyncio.run(watched.ended())
        if victim == "worker":
            worker.start()
        else:
            os.kill(worker.pid, signal.SIGCONT)
        await_end(base, loading)
        check(loading, since, loading.now)
        assert worker.stop() == service.stop() == 0
        fsck(service.environment)
    finally:
        worker.kill()
        service.close()


def check(loading: Loading, since: Loading, ended: Import) -> None:
    desk, company = loading.desk, loading.company
    first, second = _places(FIRST), _places(SINCE)
    updated = {id for id in first if id < OLD}
    changed = {id for id in updated & second.keys() if first[id] != second[id]}
    undone = ended.undone
    assert ended.state is ImportState.UNDONE
    assert undone is not None
    assert 900 < len(changed) <= 1_000
    assert (undone.removed, undone.restored, undone.left) == (
        FIRST.counts.inserted,
        len(updated - changed),
        len(changed),
    )
    assert loading.held == (OLD, len(changed | (second.keys() - first.keys())))
    assert undone.report_file is not None
    desk.settled(company)
    told = desk.read(company, desk.file(company, undone.report_file)).splitlines()
    assert {int(json.loads(line)["key"]["ID"]) for line in told} == changed
    rows = desk.ask(
        lambda services: services.imports.rows(operator(company), ended.number, outcome=Outcome.LEFT, limit=1_000)
    )
    assert {int(row.raw) for row in rows.items} == changed
    assert f"{OWN}undo_{ended.number}" not in loading.base.names(company.id)


def _places(kindred: Kindred) -> dict[int, int]:
    """What its good records bring, by their keys."""
    return {id: n for n, id in enumerate(kindred.ids, 1) if n not in {*kindred.bad}}


def await_end(base: ContactBase, loading: Loading) -> None:
    """Its job does not wait as long as it would."""

    def ended() -> bool:
        base.hurry()
        return loading.now.ended

    until(ended)


def until(true: Callable[[], bool]) -> None:
    """Nothing tells what happens in processes that are to be killed."""
    deadline = time.monotonic() + _WITHIN
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
