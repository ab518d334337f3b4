"""Two workers and imports into one table: one that was stopped for longer than its lease changes nothing any more, and
who waits behind it has its turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from loadingdock.core.administration import operator
from loadingdock.core.loading import Counts
from loadingdock.core.model.imports import ImportState
from tests.contract.processes import importers
from tests.desk import eventually
from tests.faults.check import events_of, fsck, jobs_of
from tests.faults.contactbase import MakeBase, made
from tests.faults.fleet import Worker
from tests.faults.imports import Kindred, Loading
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# So that they are still under way when that was seen: progress is written three times a second.
LONG, LONG_LENIENT = Kindred(strict=True, rows=300_000), Kindred(strict=False, rows=400_000)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    """To be filled; they are ended, even where they are stopped."""
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.kill()


def another(folder: Path, service: Service) -> Worker:
    """On the same files and tables, with a log of its own."""
    folder.mkdir()
    (folder / "data").symlink_to(service.data)
    return Worker(folder, service.environment)


def everything(loading: Loading) -> tuple[Any, ...]:
    desk, company = loading.desk, loading.company
    imports = desk.ask(lambda services: services.imports.list(operator(company), limit=100))
    return imports.items, desk.files(company), jobs_of(desk, company), events_of(desk, company), loading.held


def test_a_worker_stopped_while_it_checks_changes_nothing(
    tmp_path: Path, make_base: MakeBase, workers: list[Worker]
) -> None:
    """With the process that reads. Somebody else does the import, and the one behind it."""
    service, base = made(tmp_path, make_base, "--no-worker", lease="2s")
    stale, other = another(tmp_path / "stale", service), another(tmp_path / "other", service)
    workers += stale, other
    try:
        service.start()
        stale.start()
        first = Loading.begun(service.desk, base, service.desk.company("stale"), LONG)
        eventually(lambda: first.now.state is ImportState.CHECKING)
        children = importers(stale.pid)
        stale.freeze()
        for child in children:
            os.kill(child, signal.SIGSTOP)
        behind = first.submit()
        other.start()
        service.desk.imported(first.company, first.number, within=200)
        second = service.desk.imported(first.company, behind, within=200)
        service.desk.idle()
        before = everything(first)
        assert first.now.counts == second.counts == LONG.counts
        assert first.held == (2 * LONG.rows, 2 * LONG.rows)

        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
        stale.thaw()
        eventually(lambda: "job lost to another worker" in stale.log())
        eventually(lambda: not (importers(stale.pid) & children))
        assert everything(first) == before
        assert stale.stop() == other.stop() == service.stop() == 0
        fsck(service.environment)
    finally:
        service.close()


def test_a_worker_stopped_while_it_loads_changes_nothing(
    tmp_path: Path, make_base: MakeBase, workers: list[Worker]
) -> None:
    """The process that loads goes on to where it would commit, and keeps the table from everybody else as long as
    nobody ends it."""
    service, base = made(tmp_path, make_base, "--no-worker", lease="2s")
    stale, other = another(tmp_path / "stale", service), another(tmp_path / "other", service)
    workers += stale, other
    try:
        service.start()
        stale.start()
        first = Loading.begun(service.desk, base, service.desk.company("stale"), LONG_LENIENT)
        eventually(lambda: first.now.progress.records)
        stale.freeze()
        behind = first.submit()
        other.start()
        eventually(lambda: first.now.attempt == 2)
        assert first.committed is None
        first.look()
        stale.thaw()
        eventually(lambda: "job lost to another worker" in stale.log())
        service.desk.imported(first.company, first.number, within=200)
        second = service.desk.imported(first.company, behind, within=200)
        service.desk.idle()
        service.desk.settled(first.company)
        first.check()
        bad = len(LONG_LENIENT.bad)
        assert second.counts == Counts(unchanged=LONG_LENIENT.rows - bad, rejected=bad)
        assert {job.fence for job in jobs_of(service.desk, first.company) if job.subject == str(behind)} == {1}
        assert stale.stop() == other.stop() == service.stop() == 0
        fsck(service.environment)
    finally:
        service.close()
