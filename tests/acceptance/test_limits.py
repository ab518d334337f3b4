"""Quotas that hold when everybody comes at once, and rates with the word when to come again (SECURITY.md, line 27)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx
import pytest

from loadingdock.core.administration import operator
from loadingdock.core.model.companies import Usage
from loadingdock.core.ports.records import Unit
from tests.acceptance.ways import CONVERSATION, FILE_SERVICE, FILE_UPLOAD, MANAGEMENT, SIGNED_URL, WAYS, Dock
from tests.service import Service

AT_ONCE = 64
ROOM = 10
SIZE = 1000


def used(dock: Dock) -> Usage:
    async def work(unit: Unit) -> Usage:
        return await unit.ledger.get()

    return dock.desk.ask(lambda services: services.records.read(dock.company.id, work))


@pytest.mark.slow
@pytest.mark.security(27)
@pytest.mark.parametrize(
    ("name", "quota"),
    [
        ("conversation-files", {"quota-files": f"{ROOM}"}),
        ("signed-url", {"quota-files": f"{ROOM}"}),
        ("management body", {"quota-bytes": f"{ROOM * SIZE}B"}),
    ],
)
async def test_a_quota_for_ten_lets_ten_in(service: Service, name: str, quota: Mapping[str, str]) -> None:
    way = next(way for way in WAYS if way.name == name)
    dock = Dock(service, quota)
    before = dock.desk.orphans()
    with dock.client() as client:
        sendings = [way.sending(dock, client, f"{n}.txt") for n in range(AT_ONCE)]
    async with service.async_client(AT_ONCE) as together:
        answers = await asyncio.gather(
            *(
                together.request(one.method, one.target, headers=one.headers, content=one.body(b"a" * SIZE))
                for one in sendings
            )
        )
    refused = [answer for answer in answers if not answer.is_success]
    assert len(answers) - len(refused) == ROOM
    assert {way.refusal(answer) for answer in refused} == {"quota_exceeded"}
    assert {answer.status_code for answer in refused} <= {403, 413}
    assert len(dock.files()) == ROOM
    assert used(dock) == Usage(bytes=ROOM * SIZE, files=ROOM)
    service.until(lambda: dock.desk.orphans() <= before)

    first = dock.files()[0]
    dock.desk.ask(lambda services: services.files.delete(operator(dock.company), first))
    assert way.send(dock, b"a" * SIZE, "again.txt").is_success
    assert used(dock) == Usage(bytes=ROOM * SIZE, files=ROOM)


@pytest.mark.security(27)
def test_a_promise_that_could_not_be_kept_is_not_made(service: Service) -> None:
    dock = Dock(service, {"quota-files": "1"})
    assert WAYS[0].send(dock, b"hello").is_success
    with dock.client() as client:
        asked = client.get(f"{SIGNED_URL}/signed-url", params={"filename": "a.txt"}, headers=dock.end_user)
        assert (asked.status_code, asked.json()["errors"][0]["code"]) == (400, "quota_exceeded")
        asked = client.post(
            FILE_UPLOAD, json={"contentType": "text/plain"}, headers={"authorization": f"Bearer {dock.token}"}
        )
        assert (asked.status_code, asked.json()["type"]) == (413, "/docs/errors#quota_exceeded")


# --- rates ---------------------------------------------------------------------------------------

Ask = Callable[[Dock, httpx.Client], httpx.Response]


def _conversation(dock: Dock, client: httpx.Client) -> httpx.Response:
    return client.post(CONVERSATION, files={"file": ("a.txt", b"hello")}, headers=dock.basic)


def _file_service(dock: Dock, client: httpx.Client) -> httpx.Response:
    return client.get(FILE_SERVICE, headers=dock.basic)


def _signed_url(dock: Dock, client: httpx.Client) -> httpx.Response:
    return client.get(SIGNED_URL, headers=dock.end_user)


def _file_upload(dock: Dock, client: httpx.Client) -> httpx.Response:
    headers = {"authorization": f"Bearer {dock.token}"}
    return client.post(FILE_UPLOAD, json={"contentType": "text/plain"}, headers=headers)


def _management(dock: Dock, client: httpx.Client) -> httpx.Response:
    return client.get(f"{MANAGEMENT}/files", headers=dock.keyed)


ASKS: dict[str, tuple[Ask, Callable[[httpx.Response], object], object]] = {
    "conversation-files": (_conversation, lambda a: a.json()["error"]["code"], "rate_limited"),
    "file-service": (_file_service, lambda a: (a.json()["code"], a.json()["status"]), (429, "false")),
    "signed-url": (_signed_url, lambda a: a.json(), {"message": "Rate limit exceeded!"}),
    "file-upload": (_file_upload, lambda a: (a.json()["status"], bool(a.json()["traceId"])), (429, True)),
    "management": (
        _management,
        lambda a: (a.headers["content-type"], a.json()["code"]),
        ("application/problem+json", "rate_limited"),
    ),
}


def come_again(answer: httpx.Response) -> None:
    assert 1 <= int(answer.headers["retry-after"]) <= 3600


@pytest.mark.parametrize("api", ASKS)
def test_too_many_requests_are_told_when_to_come_again(service: Service, api: str) -> None:
    ask, shape, shown = ASKS[api]
    dock = Dock(service, {"key-rate-limit": "3/hour"})
    with dock.client() as client:
        assert all(ask(dock, client).is_success for _ in range(3))
        refused = ask(dock, client)
    assert (refused.status_code, shape(refused)) == (429, shown), refused.text
    come_again(refused)


def test_keys_have_rates_of_their_own_and_the_company_one_for_all(service: Service) -> None:
    dock = Dock(service, {"key-rate-limit": "3/hour", "rate-limit": "5/hour"})
    other = dock.desk.key(dock.company, "files:read")
    stranger = Dock(service)
    with dock.client() as client:

        def statuses(key: str, times: int) -> list[int]:
            answers = [client.get(f"{MANAGEMENT}/files", headers={"api-key": key}) for _ in range(times)]
            return [answer.status_code for answer in answers]

        assert statuses(dock.key, 4) == [200, 200, 200, 429]
        assert statuses(other, 3) == [200, 200, 429]
        assert statuses(stranger.key, 6) == [200] * 6


def test_signed_links_are_counted_too(service: Service) -> None:
    """S3's clients know SlowDown, with 503, as the word for it."""
    dock = Dock(service, {"rate-limit": "2/hour"})
    with dock.client() as client:
        sending = WAYS[3].sending(dock, client, "a.txt")
        assert client.put(sending.target, content=b"hello").status_code == 200
        refused = client.put(sending.target, content=b"hello")
    assert (refused.status_code, WAYS[3].refusal(refused)) == (503, "rate_limited")
    come_again(refused)
