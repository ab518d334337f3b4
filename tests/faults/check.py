"""What must hold after every fault: nothing acknowledged is lost or altered, nothing is done twice, nothing that was
not found clean is readable, records and bytes agree."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from loadingdock.core.errors import DockError
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import State
from loadingdock.core.model.jobs import Job, JobState
from loadingdock.core.model.journal import AuditEntry, Event
from loadingdock.core.ports.records import Unit
from loadingdock.web.services import Services
from tests.desk import Desk
from tests.faults.flows import Receipt
from tests.service import PROGRAM

_PAGE = 500


def verify(desk: Desk, ledger: Iterable[Receipt], *, within: float = 60.0) -> None:
    """Every acknowledged file is there, was looked into, and has the bytes that were sent; it is readable if it was
    found clean and only then."""
    receipts = tuple(ledger)
    for company in {receipt.flow.company.id: receipt.flow.company for receipt in receipts}.values():
        desk.settled(company, within=within)
    for receipt in receipts:
        file, company = receipt.file(desk), receipt.flow.company
        assert file.version.sha256 == receipt.sha256, f"{file.id} was altered"
        assert file.state is receipt.flow.ends, f"{file.id} is {file.state}: {file.version.reason}"
        if file.state is State.READY:
            assert hashlib.sha256(desk.read(company, file)).hexdigest() == receipt.sha256
        else:
            with pytest.raises(DockError):
                desk.read(company, file)


def once(desk: Desk, company: Company) -> None:
    """Every file of the company has one version and came into each of its states once; one verdict was written down;
    its one job is done."""
    jobs = jobs_done(desk, company)
    events = events_of(desk, company)
    told = Counter((event.subject, event.kind) for event in events)
    assert not {what: times for what, times in told.items() if times > 1}, "told more than once"
    verdicts = Counter(entry.subject for entry in desk.ask(lambda services: _audit(services, company, "verdict")))
    assert not {subject: times for subject, times in verdicts.items() if times > 1}, "judged more than once"
    ended = {event.subject for event in events if event.kind in {"file.ready", "file.infected"}}
    assert ended == set(verdicts)
    for file in desk.files(company):
        assert (file.version.number, file.version.state) == (1, file.state)
        assert file.state is State.AWAITING_UPLOAD or file.id in ended, f"{file.id} is {file.state}"
    assert Counter(job.subject for job in jobs) == Counter(ended)


def jobs_done(desk: Desk, company: Company, *, within: float = 120.0) -> tuple[Job, ...]:
    """The company's jobs once all of them are done. One whose result was committed may have been put off, as when the
    database was gone before the queue had heard of it."""
    deadline = time.monotonic() + within
    while True:
        jobs = jobs_of(desk, company)
        left = [(job.kind, job.state, job.last_error) for job in jobs if job.state is not JobState.DONE]
        if not left:
            return jobs
        assert not any(state is JobState.DEAD for _, state, _ in left), left
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def jobs_of(desk: Desk, company: Company) -> tuple[Job, ...]:
    return desk.ask(lambda services: services.jobs.list(company_id=company.id, limit=10_000))


def events_of(desk: Desk, company: Company) -> list[Event]:
    return desk.ask(lambda services: _events(services, company))


async def _events(services: Services, company: Company) -> list[Event]:
    found: list[Event] = []
    while True:
        last = found[-1].seq if found else 0

        async def page(unit: Unit, last: int = last) -> tuple[Event, ...]:
            return await unit.events.after(last, limit=_PAGE)

        some = await services.records.read(company.id, page)
        found += some
        if len(some) < _PAGE:
            return found


async def _audit(services: Services, company: Company, action: str) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    cursor: str | None = None
    while True:

        async def page(unit: Unit, cursor: str | None = cursor) -> tuple[tuple[AuditEntry, ...], str | None]:
            some = await unit.audit.list(limit=_PAGE, cursor=cursor, action=action)
            return tuple(some.items), some.cursor

        some, cursor = await services.records.read(company.id, page)
        found += some
        if cursor is None:
            return found


def fsck(environment: Mapping[str, str]) -> None:
    """Records and bytes agree, the ledger with both. Young bytes without a record are what a crash may leave."""
    done = subprocess.run([*PROGRAM, "fsck", "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)
