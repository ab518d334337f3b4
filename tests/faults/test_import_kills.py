"""Imports survive kill -9, whenever it comes and whomever it meets: the service, a worker, or the process that reads
and loads. None of a file's rows are in the table or all of them, and no attempt leaves anything behind."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import pytest

from loadingdock.core.model.imports import Import, ImportState
from tests.contract.processes import Watched, importers
from tests.desk import Desk
from tests.engines.postgres import Postgres, server
from tests.faults.check import fsck
from tests.faults.contactbase import ContactBase, InPostgres, MakeBase, made
from tests.faults.fleet import Worker
from tests.faults.imports import LENIENT, ROWS, STRICT, Loading, Onlooker, check_rest
from tests.receiver import Receiver
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

_WITHIN = 120.0  # seconds; generous


# --- when --------------------------------------------------------------------

Moment: TypeAlias = Callable[[Loading, Import], bool]


def _in(*states: ImportState) -> Moment:
    return lambda loading, now: now.state in states


def _settled(loading: Loading, now: Import) -> bool:
    """What it did is written down, or very soon; perhaps it is committed by now."""
    return now.state is ImportState.LOADING and now.counts.records == ROWS


def _committed(loading: Loading, now: Import) -> bool:
    return loading.committed is not None


MOMENTS: dict[str, tuple[Moment, float]] = {
    "waiting": (_in(ImportState.WAITING), 0.2),
    "checking": (_in(ImportState.CHECKING, ImportState.LOADING), 0.5),
    "loading": (_in(ImportState.LOADING), 0.8),
    "settled": (_settled, 0.0),
    "committing": (_settled, 0.05),
    "ending": (_committed, 0.02),
}
"""What is waited for, and by how many seconds at most the kill comes after it."""


def await_moment(loading: Loading, name: str, chance: random.Random) -> bool:
    """False if the import ended before."""
    reached, later = MOMENTS[name]
    deadline = time.monotonic() + _WITHIN
    while not (now := loading.now).ended:
        if reached(loading, now):
            time.sleep(chance.uniform(0, later))
            return True
        if name == "waiting" and now.state is not ImportState.WAITING:
            return True  # it waits no more: whatever it does now will do
        assert time.monotonic() < deadline, f"{now.state} for {_WITHIN} s"
        time.sleep(0.02)
    return False


# --- whom --------------------------------------------------------------------


class Killer:
    """Kills one of those who work, and sees to it that nobody of theirs is left over."""

    def __init__(self, work: Service | Worker) -> None:
        self._work = work

    def strike(self, chance: random.Random) -> str:
        """Who was killed."""
        children = importers(self._work.pid)
        if children and chance.random() < 0.4:
            victim = chance.choice(sorted(children))
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            return "child"
        watched = [Watched(pid) for pid in children]
        self._work.kill()
        for child in watched:
            asyncio.run(child.ended())
        self._work.start()
        return type(self._work).__name__.lower()


class Stopper:
    """Stops the database at once, as at a power failure, and starts it again."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def strike(self, chance: random.Random) -> str:
        self._postgres.stop("immediate")
        self._postgres.start()
        return "database"


# --- what for ----------------------------------------------------------------


class Campaign:
    def __init__(self, desk: Desk, base: ContactBase, killer: Killer | Stopper, chance: random.Random) -> None:
        self.met: Counter[tuple[str, str, str]] = Counter()
        self._desk = desk
        self._base = base
        self._killer = killer
        self._chance = chance

    def run(self, kills: int) -> None:
        with Receiver() as receiver:
            while (done := self.met.total()) < kills:
                self._round(kills - done, receiver)

    def _round(self, most: int, receiver: Receiver) -> None:
        """A strict import and a lenient one side by side, and kills until both have ended."""
        desk, base = self._desk, self._base
        company = desk.company("kill")
        loadings = [
            Loading.begun(desk, base, company, kindred, callback=receiver.url()) for kindred in (STRICT, LENIENT)
        ]
        with Onlooker(base, loadings):
            aims = [*loadings]
            while most and (aims := [loading for loading in aims if not loading.now.ended]):
                loading, moment = self._chance.choice(aims), self._chance.choice(sorted(MOMENTS))
                if await_moment(loading, moment, self._chance):
                    was = loading.now
                    whom = self._killer.strike(self._chance)
                    where = _where(loading, was)
                    self.met[whom, was.state, where] += 1
                    if where == "committed":
                        aims.remove(loading)  # once will do
                    most -= 1
            for loading in loadings:
                desk.imported(company, loading.number, within=_WITHIN)
            check_rest(desk, base, company, loadings, receiver)


def _where(loading: Loading, was: Import) -> str:
    if loading.committed is not None:
        return "committed"
    return "read" if was.counts.records == ROWS else "begun" if was.attempt else "new"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where those who are started make their temporary folders."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.mark.cycles(35, all=175)
def test_imports_survive_kill_9_of_the_service(
    tmp_path: Path, temporary: Path, make_base: MakeBase, cycles: int, chance: random.Random
) -> None:
    service, base = made(tmp_path, make_base)
    try:
        service.start()
        campaign = Campaign(service.desk, base, Killer(service), chance)
        campaign.run(cycles)
        print(campaign.met)
        assert not [*temporary.glob("loadingdock-job-*")]
        assert service.stop() == 0
        fsck(service.environment)
    finally:
        service.close()


@pytest.mark.cycles(15, all=75)
def test_imports_survive_kill_9_of_a_worker(
    tmp_path: Path, temporary: Path, make_base: MakeBase, cycles: int, chance: random.Random
) -> None:
    """Beside a service that goes on."""
    service, base = made(tmp_path, make_base, "--no-worker")
    worker = Worker(tmp_path / "dock", service.environment)
    try:
        service.start()
        worker.start()
        campaign = Campaign(service.desk, base, Killer(worker), chance)
        campaign.run(cycles)
        print(campaign.met)
        assert not [*temporary.glob("loadingdock-job-*")]
        assert worker.stop() == service.stop() == 0
        fsck(service.environment)
    finally:
        worker.kill()
        service.close()


@pytest.mark.engine("postgres")
@pytest.mark.cycles(5, all=50)
def test_imports_survive_an_immediate_stop_of_the_database(tmp_path: Path, cycles: int, chance: random.Random) -> None:
    """Nobody knows then whether what was being committed came about."""
    with server() as postgres:
        service, base = made(tmp_path, lambda _: InPostgres(postgres))
        try:
            service.start()
            campaign = Campaign(service.desk, base, Stopper(postgres), chance)
            campaign.run(cycles)
            print(campaign.met)
            assert service.stop() == 0
            fsck(service.environment)
        finally:
            service.close()
