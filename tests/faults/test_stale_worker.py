"""A worker that was stopped for longer than its lease finds its job done by another one when it goes on, and changes
nothing any more: neither the verdict nor the bytes, nor what was told and written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State
from loadingdock.core.model.jobs import JobState
from loadingdock.core.ports.records import Unit
from loadingdock.web.services import Services
from tests.desk import Desk, eventually
from tests.engines.postgres import Postgres, name_of
from tests.faults.check import fsck, jobs_of
from tests.faults.fleet import Fleet
from tests.faults.scanner import StagedClamd, staged_clamd

pytestmark = [pytest.mark.slow, pytest.mark.engine("postgres"), pytest.mark.engine("s3")]

UPLOAD = "/dana/conversation/http/rest/file/upload"
CONTENT = b"a note of some length\n" * 100


@pytest.fixture
def clamd() -> Iterator[StagedClamd]:
    with staged_clamd() as staged:
        yield staged


def everything(desk: Desk, company: Company) -> tuple[Any, ...]:
    """All that is known of the company's files, and their bytes."""

    async def told(unit: Unit) -> tuple[object, ...]:
        events = await unit.events.after(0, limit=1000)
        audit = await unit.audit.list(limit=1000)
        return (*events, *audit.items)

    async def bytes_of(file: File, services: Services) -> bytes:
        return b"".join([piece async for piece in services.blobs.read(file.version.blob_key or "")])

    files = desk.files(company)
    bodies = [desk.ask(partial(bytes_of, file)) for file in files]
    return files, bodies, jobs_of(desk, company), desk.ask(lambda s: s.records.read(company.id, told))


INFECTED, CLEAN = b"stream: Late.Finding FOUND\0", b"stream: OK\0"


@pytest.mark.parametrize(
    ("by", "reply"),
    [("time", INFECTED), ("the database", INFECTED), ("the database", CLEAN)],
    ids=["by time", "infected", "clean"],
)
def test_a_worker_stopped_past_its_lease_changes_nothing(
    make_fleet: Callable[..., Fleet], postgres: Postgres, clamd: StagedClamd, by: str, reply: bytes
) -> None:
    """Its lease runs out by time, and then its first heartbeat stops it; or only the database knows of that, and then
    it goes on to where it would have written."""
    lease = "2s" if by == "time" else "1h"
    fleet = make_fleet(web=1, workers=2, lease=lease, scanner_url=clamd.url)
    stale, other = fleet.workers
    (web,) = fleet.web
    web.start()
    stale.start()
    desk = fleet.desk
    company = desk.company("stale")
    login = desk.user(company, "files:upload")
    with web.client(auth=login.pair) as client:
        client.post(UPLOAD, files={"file": ("a.txt", CONTENT)}).raise_for_status()
        late = clamd.held()
        assert [job.worker for job in jobs_of(desk, company)] == [stale.name]
        stale.freeze()
        if by == "the database":
            url = fleet.environment["LOADINGDOCK_DATABASE_URL"]
            postgres.ask("UPDATE jobs SET lease_until = 1 WHERE state = 'running'", name_of(url))
        other.start()
        again = clamd.held()
        assert again.content == CONTENT
        again.answer()
        (file,) = desk.settled(company)
        assert file.state is State.READY
        desk.idle()
        before = everything(desk, company)
        assert [(job.state, job.worker, job.fence) for job in before[2]] == [(JobState.DONE, other.name, 2)]

        late.answer(reply)  # to a socket that nobody reads yet
        stale.thaw()
        eventually(lambda: "job lost to another worker" in stale.log())
        assert "its lease had run out" in stale.log()
        assert everything(desk, company) == before

        assert other.stop() == 0
        client.post(UPLOAD, files={"file": ("b.txt", CONTENT)}).raise_for_status()
        clamd.held().answer()  # it is of use again
        assert [file.state for file in desk.settled(company)] == [State.READY, State.READY]
    assert stale.stop() == web.stop() == 0
    fsck(fleet.environment)
