"""Uploads that are promised first and sent to a signed URL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests import samples
from tests.acceptance.management import Office, client, office
from tests.service import Service


@pytest.fixture
def clerk(service: Service) -> Iterator[Office]:
    with office(service) as opened:
        yield opened


def test_what_was_promised_can_be_sent_without_credentials(clerk: Office) -> None:
    pdf = samples.pdf("promised")
    promise = {
        "name": "p.pdf",
        "content_type": "application/pdf",
        "size": len(pdf),
        "sha256": hashlib.sha256(pdf).hexdigest(),
        "owner": "bob",
    }
    made = clerk.client.post("/uploads", json=promise)
    assert made.status_code == 201
    upload, send = made.json()["upload"], made.json()["send"]
    assert made.headers["location"] == f"/api/v1/uploads/{upload['id']}"
    assert clerk.client.get(f"/files/{upload['file_id']}").json()["state"] == "awaiting_upload"

    with clerk.service.client() as anybody:
        sent = anybody.request(send["method"], send["url"], content=pdf, headers=send["headers"])
    assert sent.status_code == 200, sent.text
    assert clerk.client.get(f"/uploads/{upload['id']}").json()["state"] == "completed"
    clerk.settle()
    file = clerk.client.get(f"/files/{upload['file_id']}").json()
    assert (file["state"], file["owner"], file["sha256"]) == ("ready", "bob", promise["sha256"])
    assert clerk.client.delete(f"/uploads/{upload['id']}").json()["code"] == "already_uploaded"


def test_an_aborted_upload_is_gone(clerk: Office) -> None:
    made = clerk.client.post("/uploads", json={"name": "p.pdf"}).json()
    assert clerk.client.delete(f"/uploads/{made['upload']['id']}").status_code == 204
    assert clerk.client.get(f"/uploads/{made['upload']['id']}").status_code == 404
    assert clerk.client.get(f"/files/{made['upload']['file_id']}").status_code == 404
    with clerk.service.client() as anybody:
        late = anybody.put(made["send"]["url"], content=b"x", headers=made["send"]["headers"])
    assert late.status_code in (403, 404)


def test_an_end_user_has_only_their_own_uploads(clerk: Office) -> None:
    made = clerk.client.post("/uploads", json={"name": "p.pdf"}, headers={"user-id": "bob"}).json()
    url = f"/uploads/{made['upload']['id']}"
    assert clerk.client.get(url, headers={"user-id": "alice"}).status_code == 404
    assert clerk.client.delete(url, headers={"user-id": "alice"}).status_code == 404
    assert clerk.client.get(url, headers={"user-id": "bob"}).status_code == 200


def test_promising_needs_the_right_to_write(clerk: Office) -> None:
    with client(clerk.service, clerk.company, "files:read") as reader:
        assert reader.post("/uploads", json={"name": "a.txt"}).status_code == 403
        assert reader.post("/files", files={"file": ("a.txt", b"x")}).status_code == 403


@pytest.mark.parametrize("id", ["8f14e45f-ceea-467f-9a1d-2b1c3d4e5f60", "x", "..", "%00", "1" * 400, "%F0%9F%92%A9"])
def test_ids_outside_their_grammar_are_unknown(clerk: Office, id: str) -> None:
    for noun in ("uploads", "files"):
        answer = clerk.client.get(f"/{noun}/{id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("promise", "field"),
    [
        ({}, "name"),
        ({"name": "a.txt", "size": -1}, "size"),
        ({"name": "a.txt", "size": "5"}, "size"),
        ({"name": "a.txt", "sha256": "ABC"}, "sha256"),
        ({"name": "a.txt", "content_type": "pdf"}, "content_type"),
        ({"name": "a.txt", "expires_in": 0}, "expires_in"),
        ({"name": "a.txt", "expires_in": 604_801}, "expires_in"),
        ({"name": "a.txt", "owner": "a\u202eb"}, "owner"),
        ({"name": "a\nb.txt"}, "name"),
    ],
)
def test_what_is_wrong_with_a_promise_is_said(clerk: Office, promise: dict[str, object], field: str) -> None:
    answer = clerk.client.post("/uploads", json=promise)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_a_quota_is_kept(service: Service) -> None:
    with office(service, quota_bytes="10") as clerk:
        answer = clerk.client.post("/files", files={"file": ("a.txt", b"x" * 11)})
        assert (answer.status_code, answer.json()["code"]) == (413, "quota_exceeded")
        assert clerk.client.post("/files", files={"file": ("a.txt", b"x" * 10)}).status_code == 201
        assert clerk.client.post("/uploads", json={"name": "b.txt", "size": 1}).json()["code"] == "quota_exceeded"
