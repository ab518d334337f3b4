"""Callbacks of a running service, to a real receiver: seen, sent again, and not lost when the service is killed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.callbacks import Callback, CallbackState
from loadingdock.core.model.companies import Company
from loadingdock.core.ports.records import Unit
from loadingdock.web.services import Services
from tests.acceptance.management import Office, office
from tests.acceptance.operator import Operator
from tests.desk import eventually
from tests.papers import ROOT, read
from tests.receiver import Received, Receiver, hangs, says
from tests.service import Service

BODY = json.dumps({"result": "FINISHED", "name": "ü"}).encode()
ALLOWED = {"callback_allow": "127.0.0.1/32, hooks.internal"}


@pytest.fixture(scope="module")
def calling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose callbacks may reach this machine."""
    opened = Service(tmp_path_factory.mktemp("calling") / "data", ALLOWED)
    try:
        yield opened.start()
    finally:
        opened.close()


@pytest.fixture
def loader(calling: Service) -> Iterator[Office]:
    with office(calling, "contacts:load", "contacts:read") as opened:
        yield opened


def submit(service: Service, company: Company, url: str, subject: str = "9876") -> str:
    """The callback's id. What will submit them is a use case like this one: checked before, owed with its commit."""

    async def act(services: Services) -> str:
        checked = await services.callbacks.check_url(url)

        async def work(unit: Unit) -> Callback:
            return await services.callbacks.submit(unit, company, checked, "import.finished", BODY, subject)

        return (await services.records.write(company.id, work)).id

    return service.desk.ask(act)


def ended(office: Office, id: str) -> dict[str, object]:
    """As the API shows it once it has ended."""
    found: dict[str, object] = {}

    def over() -> bool:
        found.update(office.client.get(f"/callbacks/{id}").json())
        return found["callback"]["state"] != "pending"  # type: ignore[index]  # JSON

    eventually(over)
    return found


def test_what_became_of_it_is_shown(loader: Office) -> None:
    with Receiver(says(200, body=b"inner-secret")) as receiver:
        id = submit(loader.service, loader.company, receiver.url("/hook?key=hidden&x=1"))
        shown = ended(loader, id)
        (got,) = receiver.received
    assert got.body == BODY
    assert got.target == "/hook?key=hidden&x=1"
    callback, attempts = shown["callback"], shown["attempts"]
    assert callback == {
        "id": got.headers["webhook-id"],
        "event": "import.finished",
        "subject": "9876",
        "url": f"http://127.0.0.1:{receiver.port}/hook?key=***&x=***",
        "state": "delivered",
        "attempts": 1,
        "created_at": callback["created_at"],  # type: ignore[index]  # JSON
        "next_attempt_at": None,
        "give_up_at": callback["give_up_at"],  # type: ignore[index]  # JSON
        "ended_at": callback["ended_at"],  # type: ignore[index]  # JSON
    }
    (attempt,) = attempts  # type: ignore[misc]  # JSON
    assert (attempt["number"], attempt["status"], attempt["error"]) == (1, 200, None)
    listed = loader.client.get("/callbacks", params={"subject": "9876", "state": "delivered"}).json()
    assert listed == {"items": [callback], "next_cursor": None}
    log = loader.service.log()
    assert f"callback {id}, attempt 1: delivered 200" in log
    assert "hidden" not in log
    assert "inner-secret" not in log + json.dumps(shown)


@pytest.mark.security(30)
def test_secrets_are_made_and_changed(loader: Office) -> None:
    def sign_with(count: int) -> Received:
        with Receiver() as receiver:
            ended(loader, submit(loader.service, loader.company, receiver.url()))
            (got,) = receiver.received
        assert len(got.headers["webhook-signature"].split()) == count
        return got

    with office(loader.service, "admin") as other:
        key = loader.service.desk.key(loader.company, "admin")
        admin = {"headers": {"api-key": key, "idempotency-key": "once"}}
        assert loader.client.post("/callback-secrets").status_code == 403
        first = loader.client.post("/callback-secrets", **admin).json()  # type: ignore[arg-type]  # httpx's options
        again = loader.client.post("/callback-secrets", **admin).json()  # type: ignore[arg-type]  # httpx's options
        assert first == again
        assert first["others_until"] is None
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", first["callback_secret"])
        Webhook(first["callback_secret"]).verify(sign_with(1).body, sign_with(1).headers)
        second = loader.client.post("/callback-secrets", headers={"api-key": key}).json()
        got = sign_with(2)
        for secret in (first, second):
            Webhook(secret["callback_secret"]).verify(got.body, got.headers)
        listed = loader.client.get("/callback-secrets", headers={"api-key": key})
        assert {item["id"] for item in listed.json()["items"]} == {first["secret"]["id"], second["secret"]["id"]}
        assert "whsec_" not in listed.text
        assert other.client.get("/callback-secrets").json()["items"] == []
    assert "whsec_" not in loader.service.log()


def test_the_pages_receiver_verifies_it(loader: Office) -> None:
    page = read(ROOT / "docs" / "howto" / "callbacks.md")
    (code,) = (block.text for block in page.blocks if block.language == "python")
    receiving: dict[str, Any] = {}
    exec(code, receiving)
    genuine = receiving["genuine"]
    admin = {"api-key": loader.service.desk.key(loader.company, "admin")}
    old, secret = (loader.client.post("/callback-secrets", headers=admin).json()["callback_secret"] for _ in range(2))
    with Receiver() as receiver:
        ended(loader, submit(loader.service, loader.company, receiver.url()))
        (got,) = receiver.received
    assert genuine(secret, got.headers, got.body)
    assert genuine(old, got.headers, got.body)
    assert not genuine("whsec_" + "A" * 44, got.headers, got.body)
    assert not genuine(secret, got.headers, got.body + b" ")
    assert not genuine(secret, {**got.headers, "webhook-timestamp": "1614265330"}, got.body)


def test_sent_again_by_the_api(loader: Office) -> None:
    with Receiver(says(410)) as receiver:
        id = submit(loader.service, loader.company, receiver.url())
        assert ended(loader, id)["callback"]["state"] == "gone"  # type: ignore[index]  # JSON
        for _ in range(2):
            again = loader.client.post(f"/callbacks/{id}/replay", headers={"idempotency-key": id})
            assert (again.status_code, again.json()["state"]) == (202, "pending")
        shown = ended(loader, id)
        assert [got.headers["webhook-id"] for got in receiver.received] == [id, id]
    assert [attempt["status"] for attempt in shown["attempts"]] == [410, 204]  # type: ignore[attr-defined]  # JSON
    with office(loader.service, "contacts:read") as reader:
        assert reader.client.post(f"/callbacks/{id}/replay").status_code == 403
        assert reader.client.get(f"/callbacks/{id}").status_code == 404


def test_sent_again_by_the_command_line(loader: Office) -> None:
    operator = Operator(loader.service.data, **loader.service.chosen, **ALLOWED)
    with Receiver() as receiver:
        id = submit(loader.service, loader.company, receiver.url("/?key=hidden"), "4711")
        ended(loader, id)
        (listed,) = operator.gets("callback", "list", loader.company.code, "--subject", "4711")["callbacks"]
        assert (listed["id"], listed["state"]) == (id, "delivered")
        assert operator.gets("callback", "list", loader.company.code, "--state", "failed")["callbacks"] == []
        assert operator.gets("callback", "replay", id)["state"] == "pending"
        receiver.until(lambda received: len(received) == 2)
        ended(loader, id)
    shown = operator.gets("callback", "show", id)
    assert [attempt["status"] for attempt in shown["attempts"]] == [204, 204]
    text = operator.types("callback", "show", id).out
    assert "hidden" not in text + str(shown)
    assert re.search(r"2\. \S+Z \d\.\d{3} s delivered \(204\)", text)
    assert operator.gets("callback", "secret", loader.company.code)["callback_secret"].startswith("whsec_")
    assert operator.types("callback", "show", "nonsense").code == 1
    assert operator.types("callback", "list", loader.company.code, "--state", "odd").code == 2


def test_events_and_audit_rows_tell(loader: Office) -> None:
    with Receiver(says(410)) as receiver:
        id = submit(loader.service, loader.company, receiver.url())
        ended(loader, id)
    admin = {"api-key": loader.service.desk.key(loader.company, "admin")}
    (row,) = loader.client.get("/audit", params={"subject": id}, headers=admin).json()["items"]
    assert (row["actor"], row["action"], row["outcome"]) == ("system:worker", "callback", "gone")
    events = loader.service.desk.ask(
        lambda services: services.records.read(loader.company.id, lambda unit: unit.events.after(0, limit=99))
    )
    assert [(event.kind, event.subject) for event in events] == [("callback.gone", id)]


def test_attempts_and_what_is_owed_are_counted(calling: Service, loader: Office) -> None:
    with Receiver(says(200)) as receiver:
        ended(loader, submit(calling, loader.company, receiver.url()))
    with Receiver(hangs) as receiver:
        submit(calling, loader.company, receiver.url())
        receiver.until(lambda received: received)
        with calling.client() as anybody:
            shown = anybody.get("/metrics").text
    assert re.search(r'loadingdock_callback_seconds_count\{outcome="delivered"\} [1-9]', shown)
    assert re.search(r"loadingdock_callbacks_pending [1-9]", shown)
    assert re.search(r"loadingdock_callbacks_oldest_seconds [0-9.]+", shown)


@pytest.mark.security(29)
@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost/", "ftp://1.1.1.1/", "http://[::ffff:7f00:1]/"])
def test_nothing_inner_is_reached_unless_it_is_allowed(service: Service, url: str) -> None:
    company = service.desk.company("guarded")
    with pytest.raises(InvalidInput, match=r"^The callback URL cannot be used: "):
        submit(service, company, url)


def test_what_is_allowed_wrongly_is_said(tmp_path: Path) -> None:
    said = Operator(tmp_path, callback_allow="https://hooks.internal").types("company", "list")
    assert said.code == 1
    assert "neither a network such as 10.1.0.0/16 nor a host name" in said.err
    said = Operator(tmp_path, callback_ports="http").types("company", "list")
    assert said.code == 1
    assert "'http' is no port" in said.err


@pytest.mark.slow
def test_a_receiver_that_comes_back_gets_it(loader: Office) -> None:
    """By the true clock: the second attempt comes within 5 s."""
    with Receiver(says(500)) as receiver:
        id = submit(loader.service, loader.company, receiver.url())
        shown = ended(loader, id)
        assert [got.headers["webhook-id"] for got in receiver.received] == [id, id]
    assert [attempt["status"] for attempt in shown["attempts"]] == [500, 204]  # type: ignore[attr-defined]  # JSON


@pytest.mark.slow
def test_slow_receivers_leave_room_for_files(calling: Service) -> None:
    """As many hang as there are jobs at once, and a file is still looked into."""
    with Receiver(*[hangs] * 8) as receiver, office(calling) as files:
        for _ in range(4):
            company = calling.desk.company("slow")
            for _ in range(2):
                submit(calling, company, receiver.url())
        receiver.until(lambda received: len(received) >= 2)
        assert files.upload()["state"] == "ready"
        assert len(receiver.received) <= 4


@pytest.mark.slow
def test_nothing_is_lost_when_the_service_is_killed(make_service: Callable[..., Service]) -> None:
    service = make_service(lease="2s", **ALLOWED).start()
    company = service.desk.company("killed")
    with Receiver() as receiver:
        ids = set()
        for cycle in range(4):
            ids |= {submit(service, company, receiver.url()) for _ in range(15)}
            receiver.until(lambda received, cycle=cycle: len(received) >= 15 * cycle + 3)  # type: ignore[misc]
            service.restart()
        receiver.until(lambda received: {got.headers["webhook-id"] for got in received} == ids)

        async def left(services: Services) -> int:
            async def work(unit: Unit) -> int:
                page = await unit.callbacks.list(limit=1000, state=CallbackState.DELIVERED)
                return len(ids) - len(page.items)

            return await services.records.read(company.id, work)

        eventually(lambda: service.desk.ask(left) == 0)
