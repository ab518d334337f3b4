"""Requests that are sent again with the same Idempotency-Key."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from loadingdock.web.services import Services
from tests.acceptance.management import API, Office, client, office
from tests.service import Service

pytestmark = pytest.mark.security(33)


@pytest.fixture
def clerk(service: Service) -> Iterator[Office]:
    with office(service, "files:read", "files:write", "admin") as opened:
        yield opened


def key() -> dict[str, str]:
    return {"idempotency-key": str(uuid.uuid4())}


def test_the_stored_answer_is_replayed(clerk: Office) -> None:
    headers = key()
    body = {"label": "export", "grants": ["files:read"]}
    first = clerk.client.post("/keys", json=body, headers=headers)
    # The same request in another spelling: the content counts, and quotes make no other key (RFC 9651 strings).
    quoted = {"idempotency-key": f'"{headers["idempotency-key"]}"'}
    again = clerk.client.post("/keys", json=dict(reversed(body.items())), headers=quoted)

    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    assert len(clerk.client.get("/keys").json()["items"]) == 2  # the clerk's own, and one more


def test_other_content_under_the_same_key_is_refused(clerk: Office) -> None:
    headers = key()
    clerk.client.post("/keys", json={"label": "one", "grants": ["files:read"]}, headers=headers)
    for other in (
        clerk.client.post("/keys", json={"label": "two", "grants": ["files:read"]}, headers=headers),
        clerk.client.post("/clients", json={"grants": ["files:read"]}, headers=headers),
        clerk.client.post("/uploads", json={"name": "a.txt"}, headers=headers),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_an_upload_is_bound_to_its_bytes(clerk: Office) -> None:
    headers = key()
    first = clerk.client.post("/files", files={"file": ("a.txt", b"same")}, headers=headers)
    again = clerk.client.post("/files", files={"file": ("a.txt", b"same")}, headers=headers)  # with another boundary
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    for other in ({"file": ("a.txt", b"othr")}, {"file": ("b.txt", b"same")}):
        refused = clerk.client.post("/files", files=other, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert len(clerk.client.get("/files").json()["items"]) == 1


@pytest.mark.slow
def test_what_was_received_only_to_be_compared_is_dropped(own_service: Service) -> None:
    with office(own_service) as clerk:
        headers = key()
        for content in (b"same", b"same", b"othr"):
            clerk.client.post("/files", files={"file": ("a.txt", content)}, headers=headers)
        [file] = own_service.desk.files(clerk.company)
        clerk.settle()
        [settled] = own_service.desk.files(clerk.company)
        stored = own_service.desk.ask(_stored)
    assert file.version.blob_key in stored
    assert stored == {settled.version.blob_key, settled.version.text_key}


async def _stored(services: Services) -> set[str | None]:
    later = datetime.now(UTC) + timedelta(days=1)
    return {name async for name in services.blobs.list(before=later)}


def test_a_failure_lets_the_key_go(clerk: Office) -> None:
    headers = key()
    wrong = clerk.client.post("/keys", json={"grants": ["files:everything"]}, headers=headers)
    assert wrong.status_code == 400
    right = clerk.client.post("/keys", json={"grants": ["files:read"]}, headers=headers)
    assert right.status_code == 201


def test_the_same_key_of_another_company_is_another_key(clerk: Office) -> None:
    headers = key()
    mine = clerk.client.post("/uploads", json={"name": "a.txt"}, headers=headers)
    with office(clerk.service) as other:
        theirs = other.client.post("/uploads", json={"name": "a.txt"}, headers=headers)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["upload"]["id"] != theirs.json()["upload"]["id"]
    assert "idempotency-replayed" not in theirs.headers


def test_a_replay_needs_the_same_right(clerk: Office) -> None:
    headers = key()
    clerk.client.post("/uploads", json={"name": "a.txt"}, headers=headers)
    with client(clerk.service, clerk.company, "files:read") as reader:
        assert reader.post("/uploads", json={"name": "a.txt"}, headers=headers).status_code == 403


async def test_of_two_at_once_one_is_worked_on(clerk: Office) -> None:
    headers = key() | dict(clerk.client.headers)
    async with clerk.service.async_client(headers=headers) as both:
        answers = await asyncio.gather(
            *(both.post(f"{API}/files", files={"file": ("a.txt", b"x" * 100_000)}) for _ in range(8))
        )
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {201, 409}
    assert codes.count(201) >= 1
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"request_in_progress"}
    assert len(clerk.client.get("/files").json()["items"]) == 1


def test_a_key_is_held_before_the_body_is_read(clerk: Office) -> None:
    headers = key()
    with socket.create_connection(("127.0.0.1", int(clerk.service.url.rpartition(":")[2])), timeout=30) as slow:
        head = (
            f"POST {API}/files?name=a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
            f"api-key: {clerk.client.headers['api-key']}\r\nIdempotency-Key: {headers['idempotency-key']}\r\n\r\n"
        )
        slow.sendall(head.encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 100 ")  # its body is asked for now, so the key is held
        busy = clerk.client.post("/files", params={"name": "a.txt"}, content=b"hello", headers=headers)
        assert (busy.status_code, busy.json()["code"]) == (409, "request_in_progress")
        slow.sendall(b"hello")
        assert slow.recv(100).startswith(b"HTTP/1.1 201 ")
    again = clerk.client.post("/files", params={"name": "a.txt"}, content=b"hello", headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")


def test_a_client_that_goes_away_lets_the_key_go(clerk: Office) -> None:
    headers = key()
    with socket.create_connection(("127.0.0.1", int(clerk.service.url.rpartition(":")[2])), timeout=30) as gone:
        head = (
            f"POST {API}/files?name=a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
            f"api-key: {clerk.client.headers['api-key']}\r\nIdempotency-Key: {headers['idempotency-key']}\r\n\r\n"
        )
        gone.sendall(head.encode())
        assert gone.recv(100).startswith(b"HTTP/1.1 100 ")
    answer = clerk.client.post("/files", params={"name": "a.txt"}, content=b"hello", headers=headers)
    deadline = time.monotonic() + 30
    while answer.status_code == 409 and time.monotonic() < deadline:
        answer = clerk.client.post("/files", params={"name": "a.txt"}, content=b"hello", headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("wrong", [b"", b"with space", b"x" * 256, "ä".encode()])
def test_what_is_no_key_is_refused(clerk: Office, wrong: bytes) -> None:
    answer = clerk.client.post("/uploads", json={"name": "a.txt"}, headers=[(b"idempotency-key", wrong)])
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")


def test_two_keys_are_none(clerk: Office) -> None:
    headers = [("idempotency-key", "one"), ("idempotency-key", "two")]
    assert clerk.client.post("/uploads", json={"name": "a.txt"}, headers=headers).status_code == 400
