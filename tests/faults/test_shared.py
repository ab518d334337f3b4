"""What several processes do once between them, and what one of them hears of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from loadingdock.core.model.files import State
from loadingdock.core.ports.records import Unit
from tests.acceptance.management import client
from tests.acceptance.test_management_events import follow
from tests.desk import eventually
from tests.engines.postgres import Postgres, name_of
from tests.faults.fleet import Fleet

pytestmark = [pytest.mark.slow, pytest.mark.engine("postgres"), pytest.mark.engine("s3")]

Make = Callable[..., Fleet]
UPLOAD = "/dana/conversation/http/rest/file/upload"

# Each time that a sweep was given to somebody.
_WATCH = (
    "CREATE TABLE given (name TEXT, at BIGINT)",
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN INSERT INTO given VALUES (NEW.name, NEW.last_at); RETURN NULL; END $$",
    "CREATE TRIGGER note AFTER INSERT OR UPDATE ON schedules FOR EACH ROW EXECUTE FUNCTION note()",
)


def test_a_sweep_runs_once_in_its_time_however_many_workers_there_are(make_fleet: Make, postgres: Postgres) -> None:
    every = timedelta(seconds=1)
    fleet = make_fleet(web=1, workers=3, sweep_every=f"{every.total_seconds():g}s")
    database = name_of(fleet.environment["LOADINGDOCK_DATABASE_URL"])
    desk = fleet.desk  # makes the tables
    for statement in _WATCH:
        postgres.ask(statement, database)
    fleet.start()
    company = desk.company("swept")
    login = desk.user(company, "files:upload")
    with fleet.web[0].client(auth=login.pair) as sender:
        for _ in range(20):
            alias = sender.post(UPLOAD, files={"file": ("a.txt", b"a note")}).raise_for_status().json()["fileID"]
            desk.expire_in(company, alias, timedelta(seconds=2))

    def given(name: str) -> list[int]:
        rows = postgres.ask(f"SELECT at FROM given WHERE name = '{name}' ORDER BY at", database)
        return [int(str(at)) for (at,) in rows]

    often = ("expire", "abandon", "arrivals")
    eventually(lambda: all(len(given(name)) >= 8 for name in often))
    eventually(lambda: all(file.state is State.EXPIRED for file in desk.files(company)))
    fleet.stop()
    for name in often:
        between = [timedelta(microseconds=b - a) for a, b in pairwise(given(name))]
        assert min(between) >= every, f"{name} ran twice in its time"
    assert len(given("orphans")) == len(given("forget")) == 1  # they come round once an hour

    async def told(unit: Unit) -> Counter[tuple[str, str]]:
        audit = await unit.audit.list(limit=1000, action="file.expire")
        events = await unit.events.after(0, limit=1000)
        return Counter((e.action, e.subject) for e in audit.items) + Counter((e.kind, e.subject) for e in events)

    counted = desk.ask(lambda services: services.records.read(company.id, told))
    assert set(counted.values()) == {1}
    assert sum(what == "file.expire" for what, _ in counted) == 20


def test_a_client_of_one_process_hears_what_others_do(make_fleet: Make) -> None:
    """It follows one, sends to another, and a third looks into what was sent."""
    fleet = make_fleet(web=2, workers=1).start()
    company = fleet.desk.company("heard")
    followed, other = fleet.web
    with (
        client(followed, company) as listening,
        client(other, company) as sending,
        follow(listening) as stream,
    ):
        for name in ("a.txt", "b.txt", "c.txt"):
            id = sending.post("/files", files={"file": (name, b"a note")}).raise_for_status().json()["id"]
            heard = [stream.next() for _ in range(3)]
            assert [(kind, data["subject"], data["name"]) for _, kind, data in heard] == [
                (f"file.{state}", id, name) for state in ("received", "processing", "ready")
            ]
            assert sending.get(f"/files/{id}/content").content == b"a note"
    fleet.stop()
