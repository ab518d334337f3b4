"""The management API's files: sent, found, read, kept and removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests import samples
from tests.acceptance.management import Office, client, office
from tests.service import Service


@pytest.fixture
def desk_clerk(service: Service) -> Iterator[Office]:
    with office(service) as opened:
        yield opened


def test_a_form_becomes_a_file(desk_clerk: Office) -> None:
    answer = desk_clerk.client.post("/files", files={"file": ("Ä report.txt", b"hello")}, data={"owner": "bob"})

    assert answer.status_code == 201
    shown = answer.json()
    assert answer.headers["location"] == f"/api/v1/files/{shown['id']}"
    assert (shown["name"], shown["owner"], shown["state"], shown["size"]) == ("Ä report.txt", "bob", "received", 5)
    assert shown["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert shown["version"] == 1
    assert shown["api"] == "management"


def test_a_raw_body_becomes_a_file(desk_clerk: Office) -> None:
    pdf = samples.pdf("statement")
    answer = desk_clerk.client.post(
        "/files", params={"name": "s.pdf"}, content=pdf, headers={"content-type": "application/pdf"}
    )
    assert answer.status_code == 201
    assert answer.json()["content_type"] == "application/pdf"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"content": b"x"}, "name"),
        ({"content": b"x", "params": {"name": "a.txt", "tenant": "other"}}, "tenant"),
        ({"files": {"document": ("a.txt", b"x")}}, "file"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"company": "other"}}, "company"),
        ({"files": {"file": ("../a.txt", b"x")}}, "name"),
        ({"files": {"file": (None, b"x")}}, "file"),
    ],
)
@pytest.mark.security(28)
def test_what_an_upload_may_not_say_is_named(desk_clerk: Office, request_: dict[str, object], field: str) -> None:
    answer = desk_clerk.client.post("/files", **request_)  # type: ignore[arg-type]  # httpx's own keywords
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert desk_clerk.client.get("/files").json()["items"] == []


def test_claimed_digests_are_checked(desk_clerk: Office) -> None:
    wrong = {"repr-digest": "sha-256=:" + "A" * 43 + "=:"}
    answer = desk_clerk.client.post("/files", params={"name": "a.txt"}, content=b"x", headers=wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "digest_mismatch")


def test_nothing_unscanned_is_readable_and_what_is_read_is_what_was_scanned(desk_clerk: Office) -> None:
    shown = desk_clerk.upload(b"0123456789")
    answer = desk_clerk.client.get(f"/files/{shown['id']}/content")
    assert answer.content == b"0123456789"
    assert answer.headers["etag"] == f'"{shown["sha256"]}"'

    infected = desk_clerk.upload(samples.eicar(), "virus.txt")
    assert infected["state"] == "infected"
    assert infected["reason"] is None  # what a scanner calls its find is not for clients
    refused = desk_clerk.client.get(f"/files/{infected['id']}/content")
    assert (refused.status_code, refused.json()["code"]) == (403, "infected")
    assert desk_clerk.client.get(f"/files/{infected['id']}/text").status_code == 403


def test_ranges_and_conditions(desk_clerk: Office) -> None:
    shown = desk_clerk.upload(b"0123456789")
    url = f"/files/{shown['id']}/content"

    part = desk_clerk.client.get(url, headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    same = desk_clerk.client.get(url, headers={"if-none-match": f'"{shown["sha256"]}"'})
    assert (same.status_code, same.content) == (304, b"")
    head = desk_clerk.client.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")
    assert desk_clerk.client.get(url, headers={"range": "bytes=10-"}).status_code == 416


@pytest.mark.security(15)
def test_ten_thousand_ranges_are_no_work(desk_clerk: Office) -> None:
    shown = desk_clerk.upload(b"0123456789")
    ranges = "bytes=" + ",".join("0-0" for _ in range(10_000))
    answer = desk_clerk.client.get(f"/files/{shown['id']}/content", headers={"range": ranges})
    assert answer.status_code in (200, 416)
    if answer.status_code == 200:
        assert answer.content == b"0123456789"
    assert answer.elapsed < timedelta(seconds=1)


@pytest.mark.security(15)
def test_derived_views_have_the_files_permission(desk_clerk: Office) -> None:
    shown = desk_clerk.upload(b"text in a file\n")
    views = ("", "/content", "/text", "/metadata", "/versions", "/attachments")
    assert desk_clerk.client.get(f"/files/{shown['id']}/text").text == "text in a file\n"
    with client(desk_clerk.service, desk_clerk.company, "contacts:read") as stranger:
        for view in views:
            refused = stranger.get(f"/files/{shown['id']}{view}")
            assert (refused.status_code, refused.json()["permission"]) == (403, "files:read"), view
    with client(desk_clerk.service, desk_clerk.company, "files:read/rewards") as narrow:
        for view in views:
            assert narrow.get(f"/files/{shown['id']}{view}").status_code == 403, view


@pytest.mark.security(14)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.html", b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>"),
        ("image.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("paper.pdf", samples.pdf("paper")),
    ],
)
def test_what_could_run_is_never_shown_in_place(desk_clerk: Office, name: str, content: bytes) -> None:
    shown = desk_clerk.upload(content, name)
    assert shown["state"] == "ready", shown
    answer = desk_clerk.client.get(f"/files/{shown['id']}/content")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_lists_are_narrowed_and_come_in_pages(desk_clerk: Office) -> None:
    for number in range(5):
        desk_clerk.client.post(
            "/files", files={"file": (f"page{number}.txt", b"%d" % number)}, data={"owner": f"user{number % 2}"}
        )
    desk_clerk.settle()
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = desk_clerk.client.get("/files", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
    assert sorted(seen) == [f"page{number}.txt" for number in range(5)]

    def names(**filters: str) -> list[str]:
        return sorted(item["name"] for item in desk_clerk.client.get("/files", params=filters).json()["items"])

    assert names(owner="user1") == ["page1.txt", "page3.txt"]
    assert names(search="PAGE3") == ["page3.txt"]
    assert names(sha256=hashlib.sha256(b"4").hexdigest()) == ["page4.txt"]
    assert names(state="ready") == sorted(seen)
    assert names(api="signed-url") == []
    for wrong in ({"statee": "ready"}, {"limit": "0"}, {"limit": "x"}, {"cursor": "nonsense"}, {"sha256": "zz"}):
        answer = desk_clerk.client.get("/files", params=wrong)
        assert (answer.status_code, answer.json()["field"]) == (400, next(iter(wrong)))


def test_files_of_other_apis_are_found_by_their_own_ids(desk_clerk: Office) -> None:
    login = desk_clerk.service.desk.user(desk_clerk.company, "files:upload")
    sent = desk_clerk.client.post(
        f"{desk_clerk.service.url}/dana/conversation/http/rest/file/upload",
        files={"file": ("statement.txt", b"balance")},
        headers={"authorization": login.header},
    )
    [found] = desk_clerk.client.get("/files", params={"alias": sent.json()["fileID"]}).json()["items"]
    assert (found["name"], found["api"], found["alias"]) == (
        "statement.txt",
        "conversation-files",
        sent.json()["fileID"],
    )
    assert found["expires_at"] is not None
    desk_clerk.settle()
    assert desk_clerk.client.get(f"/files/{found['id']}/content").content == b"balance"
    assert desk_clerk.client.put(f"/files/{found['id']}/attachments/message-1").status_code == 200
    assert desk_clerk.client.get("/files", params={"alias": "s3://WS/2021/6/" + "0" * 32}).json()["items"] == []


def test_an_end_user_has_only_their_own_files(desk_clerk: Office) -> None:
    bobs = desk_clerk.upload(b"of bob", **{"user-id": "bob"})
    assert bobs["owner"] == "bob"
    for method, path in (("GET", ""), ("GET", "/content"), ("PUT", "/attachments/m1"), ("DELETE", "")):
        answer = desk_clerk.client.request(method, f"/files/{bobs['id']}{path}", headers={"user-id": "alice"})
        assert answer.status_code == 404, path
    assert desk_clerk.client.get("/files", headers={"user-id": "alice"}).json()["items"] == []
    assert len(desk_clerk.client.get("/files", headers={"user-id": "bob"}).json()["items"]) == 1
    contradiction = desk_clerk.client.get("/files", params={"owner": "bob"}, headers={"user-id": "alice"})
    assert contradiction.status_code == 400


def test_attached_files_outlive_their_deletion(desk_clerk: Office) -> None:
    shown = desk_clerk.upload(b"kept")
    url = f"/files/{shown['id']}"
    first = desk_clerk.client.put(f"{url}/attachments/Ä message")
    again = desk_clerk.client.put(f"{url}/attachments/Ä message")
    assert first.json() == again.json()
    assert desk_clerk.client.get(url).json()["attachments"] == 1

    assert desk_clerk.client.delete(url).status_code == 204
    assert desk_clerk.client.get(url).status_code == 404
    assert desk_clerk.client.get(f"{url}/content").status_code == 404
    assert desk_clerk.client.get(f"{url}/attachments/Ä message/content").content == b"kept"
    assert desk_clerk.client.get(f"{url}/attachments/another/content").status_code == 404
    assert [one["reference"] for one in desk_clerk.client.get(f"{url}/attachments").json()["items"]] == ["Ä message"]
    # The same letters in another normal form are the same reference.
    assert desk_clerk.client.delete(f"{url}/attachments/A\u0308 message").status_code == 204
    assert desk_clerk.client.get(f"{url}/attachments/Ä message/content").status_code == 404
    assert desk_clerk.client.get(f"{url}/attachments").status_code == 404


def test_what_nobody_may_read_nobody_attaches(desk_clerk: Office) -> None:
    infected = desk_clerk.upload(samples.eicar(), "virus.txt")
    answer = desk_clerk.client.put(f"/files/{infected['id']}/attachments/m1")
    assert (answer.status_code, answer.json()["code"]) == (403, "infected")
    waiting = desk_clerk.client.post("/uploads", json={"name": "later.txt"}).json()["upload"]["file_id"]
    answer = desk_clerk.client.put(f"/files/{waiting}/attachments/m1")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_processing")


def test_life_is_extended_and_names_change(desk_clerk: Office) -> None:
    url = f"/files/{desk_clerk.upload()['id']}"
    until = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)

    extended = desk_clerk.client.post(f"{url}/extend", json={"expires_at": until.isoformat()})
    assert datetime.fromisoformat(extended.json()["expires_at"]) == until
    kept = desk_clerk.client.post(f"{url}/extend", json={"keep": True})
    assert kept.json()["expires_at"] is None
    for wrong in ({}, {"keep": True, "expires_at": until.isoformat()}, {"expires_at": "2020-01-01T00:00:00Z"}):
        assert desk_clerk.client.post(f"{url}/extend", json=wrong).status_code == 400

    renamed = desk_clerk.client.patch(url, json={"name": "b.txt"})
    assert renamed.json()["name"] == desk_clerk.client.get(url).json()["name"] == "b.txt"
    assert desk_clerk.client.patch(url, json={"name": "../b.txt"}).json()["code"] == "name_refused"


@pytest.mark.security(28)
@pytest.mark.parametrize("field", ["company", "company_id", "tenant", "status", "state", "path", "role", "id", "acl"])
def test_fields_that_are_not_the_clients_to_set_are_refused(desk_clerk: Office, field: str) -> None:
    url = f"/files/{desk_clerk.upload()['id']}"
    for answer in (
        desk_clerk.client.patch(url, json={"name": "b.txt", field: "x"}),
        desk_clerk.client.post(f"{url}/extend", json={"keep": True, field: "x"}),
        desk_clerk.client.post("/uploads", json={"name": "b.txt", field: "x"}),
    ):
        assert answer.status_code == 400
        assert answer.json()["field"] == field
        assert answer.json()["detail"].startswith(f"{field} cannot be given here; what can be given is: ")
    assert desk_clerk.client.get(url).json()["name"] == "a.txt"


def test_versions_go_one_by_one(service: Service) -> None:
    with office(service, "files:read", "files:write") as clerk:
        login = service.desk.user(clerk.company, "files:read", "files:write")
        for width in (1, 2, 3):
            sent = clerk.client.post(
                f"{service.url}/api_gateway/file-service/rewards/test.png",
                content=samples.png((width, 1)),
                headers={"authorization": login.header, "content-type": "image/png"},
            )
            assert sent.status_code == 200, sent.text
        clerk.settle()
        url = f"/files/{sent.json()['file']['file_handle']}"
        assert [version["number"] for version in clerk.client.get(f"{url}/versions").json()["items"]] == [3, 2, 1]
        assert clerk.client.get(f"{url}/content", params={"version": 2}).content == samples.png((2, 1))
        assert clerk.client.patch(url, json={"name": "other.png"}).status_code == 400

        assert clerk.client.delete(url, params={"versoin": 3}).status_code == 400
        assert clerk.client.delete(url, params={"version": 3}).status_code == 204
        assert clerk.client.get(url).json()["version"] == 2
        assert clerk.client.get(f"{url}/content", params={"version": 3}).status_code == 404
        assert clerk.client.delete(url, params={"version": 3}).status_code == 404

        # A number that was given is not given again.
        sent = clerk.client.post(
            f"{service.url}/api_gateway/file-service/rewards/test.png",
            content=samples.png((4, 1)),
            headers={"authorization": login.header, "content-type": "image/png"},
        )
        assert (sent.status_code, sent.json()["file"]["version"]) == (200, 4)
        clerk.settle()
        assert [version["number"] for version in clerk.client.get(f"{url}/versions").json()["items"]] == [4, 2, 1]
