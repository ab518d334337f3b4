"""Users, keys and clients, the audit log and jobs, as an administrator of a company sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from loadingdock.core.ports.records import Unit
from loadingdock.web.services import Services
from tests import samples
from tests.acceptance.management import API, Office, client, office
from tests.service import Login, Service


@pytest.fixture
def admin(service: Service) -> Iterator[Office]:
    with office(service, "admin", legacy_md5="off") as opened:
        yield opened


def test_users_come_change_and_go(admin: Office) -> None:
    new = {"name": "anna", "password": "correct-horse-battery", "grants": ["files:read"]}
    added = admin.client.post("/users", json=new)
    assert added.status_code == 201
    assert added.json()["login"] == f"anna@{admin.company.code}"
    assert "password" not in added.text
    assert admin.client.post("/users", json=new).json()["code"] == "already_exists"

    with admin.service.client() as anna:

        def status(password: str) -> int:
            login = Login(f"anna@{admin.company.code}", password)
            return anna.get(f"{API}/files", headers={"authorization": login.header}).status_code

        assert status("correct-horse-battery") == 200
        admin.client.patch("/users/anna", json={"password": "another-horse-battery"})
        assert (status("correct-horse-battery"), status("another-horse-battery")) == (401, 200)
        admin.client.patch("/users/anna", json={"grants": ["contacts:read"]})
        assert status("another-horse-battery") == 403
        disabled = admin.client.patch("/users/anna", json={"disabled": True, "grants": ["files:read"]})
        assert disabled.json()["disabled_at"] is not None
        assert status("another-horse-battery") == 401
        admin.client.patch("/users/anna", json={"disabled": False})
        assert status("another-horse-battery") == 200
    assert [user["name"] for user in admin.client.get("/users").json()["items"]] == ["anna"]
    assert admin.client.get("/users/anna").json()["grants"] == ["files:read"]
    assert admin.client.patch("/users/anna", json={}).status_code == 400
    both = {"password": "third-horse-battery", "grants": ["everything"]}
    assert admin.client.patch("/users/anna", json=both).json()["field"] == "grant"
    with admin.service.client() as anna:
        assert anna.get(f"{API}/files", auth=(f"anna@{admin.company.code}", "another-horse-battery")).status_code == 200
    assert admin.client.patch("/users/nobody", json={"disabled": True}).status_code == 404
    assert admin.client.get("/users/nobody").status_code == 404


@pytest.mark.security(28)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users", {"name": "eve", "password": "correct-horse-battery", "grants": ["files:read"]}),
        ("/keys", {"grants": ["files:read"]}),
        ("/clients", {"grants": ["files:read"]}),
    ],
)
@pytest.mark.parametrize("field", ["company", "company_id", "tenant", "role", "permissions", "id", "created_at"])
def test_no_body_names_a_tenant_or_a_role(admin: Office, path: str, body: dict[str, object], field: str) -> None:
    answer = admin.client.post(path, json={**body, field: "other"})
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert "what can be given is" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "anna", "password": "\u0000\ud800", "grants": ["files:read"]}, None),
        ({"name": "anna", "password": "", "grants": ["files:read"]}, "password"),
        ({"name": "an:na", "password": "correct-horse-battery", "grants": ["files:read"]}, "name"),
        ({"name": "anna", "password": "correct-horse-battery", "grants": ["everything"]}, "grant"),
        ({"name": "anna", "password": "correct-horse-battery", "grants": []}, "grants"),
        ({"name": "anna", "password": 7, "grants": ["files:read"]}, "password"),
        ({"name": "anna", "grants": ["files:read"]}, "password"),
    ],
)
def test_what_is_wrong_with_a_user_is_said(admin: Office, body: dict[str, object], field: str | None) -> None:
    answer = admin.client.post("/users", content=json.dumps(body), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json().get("field")) == (400, field)


@pytest.mark.parametrize(
    ("content", "type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"a": 1, "a": 2}', "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b"[" * 50_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"\xff", "application/json", 400),
        (b'{"label": "\\ud800", "grants": ["files:read"]}', "application/json", 400),
    ],
)
def test_bodies_that_are_no_json_objects(admin: Office, content: bytes, type: str, status: int) -> None:
    answer = admin.client.post("/keys", content=content, headers={"content-type": type})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_keys_are_shown_once_and_end(admin: Office) -> None:
    made = admin.client.post("/keys", json={"label": "export", "grants": ["files:read"]}).json()
    id, secret = made["key"]["id"], made["api_key"]
    assert secret not in admin.client.get("/keys").text
    assert admin.client.get(f"/keys/{id}").json()["label"] == "export"
    with admin.service.client(headers={"api-key": secret}) as holder:
        assert holder.get(f"{API}/files").status_code == 200
        assert admin.client.delete(f"/keys/{id}").status_code == 204
        assert holder.get(f"{API}/files").status_code == 401
    assert admin.client.delete(f"/keys/{id}").status_code == 404
    assert admin.client.get(f"/keys/{id}").json()["revoked_at"] is not None


def test_clients_get_tokens_until_they_end(admin: Office) -> None:
    made = admin.client.post("/clients", json={"grants": ["files:read"], "ttl": 60}).json()
    form = {"grant_type": "client_credentials"}
    with admin.service.client() as holder:
        issued = holder.post("/oauth/token", data=form, auth=(made["client_id"], made["client_secret"]))
        assert issued.status_code == 200, issued.text
        bearer = {"authorization": f"Bearer {issued.json()['access_token']}"}
        assert holder.get(f"{API}/files", headers=bearer).status_code == 200
        assert holder.get(f"{API}/users", headers=bearer).status_code == 403
        assert admin.client.delete(f"/clients/{made['client_id']}").status_code == 204
        assert holder.get(f"{API}/files", headers=bearer).status_code == 401
    assert made["client_secret"] not in admin.client.get("/clients").text
    assert made["organization_id"] == str(admin.company.number)


def test_a_company_is_its_own_only(admin: Office) -> None:
    [mine] = admin.client.get("/companies").json()["items"]
    assert mine["code"] == admin.company.code
    assert mine["settings"]["type-policy"] == "strict"
    assert admin.client.get(f"/companies/{admin.company.code}").json() == mine
    other = admin.service.desk.company("other")
    assert admin.client.get(f"/companies/{other.code}").status_code == 404
    assert admin.client.patch(f"/companies/{admin.company.code}", json={"name": "x"}).status_code == 405
    assert admin.client.post("/companies", json={"code": "x"}).status_code == 405


def test_administration_needs_an_administrator(admin: Office) -> None:
    with client(admin.service, admin.company, "files:read", "files:write") as clerk:
        for path in ("/users", "/keys", "/clients", "/companies", "/audit", "/jobs"):
            answer = clerk.get(path)
            assert (answer.status_code, answer.json()["permission"]) == (403, "admin"), path
        # Before its body is looked at.
        assert clerk.post("/users", content=b"{").status_code == 403
    denials = admin.client.get("/audit", params={"action": "denial"}).json()["items"]
    assert {row["subject"] for row in denials} == {"admin"}


@pytest.mark.security(28)
def test_every_deed_has_its_row(admin: Office) -> None:
    shown = admin.upload()
    url = f"/files/{shown['id']}"
    admin.client.get(f"{url}/content")
    admin.client.get(f"{url}/text")
    admin.client.put(f"{url}/attachments/m1")
    admin.client.delete(f"{url}/attachments/m1")
    admin.client.patch(url, json={"name": "b.txt"})
    admin.client.delete(url)
    infected = admin.upload(samples.eicar(), "v.txt")
    with admin.service.client(headers={"authorization": Login(f"eve\r\n@{admin.company.code}", "x").header}) as eve:
        assert eve.get(f"{API}/files").status_code == 401
    rows = admin.client.get("/audit", params={"subject": shown["id"], "limit": 1000}).json()["items"]
    assert [row["action"] for row in reversed(rows)][-6:] == [
        "download",
        "download.text",
        "file.attach",
        "file.detach",
        "file.rename",
        "file.delete",
    ]
    assert all(row["actor"].startswith("key:") for row in rows if row["action"].startswith("file."))
    verdicts = admin.client.get("/audit", params={"subject": infected["id"]}).json()["items"]
    assert any(row["outcome"] == "infected" or "infected" in row["action"] for row in verdicts), verdicts
    everything = admin.client.get("/audit", params={"limit": 1000}).json()["items"]
    assert not any("\r" in str(row) or "\n" in str(row) for row in everything)
    assert admin.client.get("/audit", params={"action": "download", "limit": 1}).json()["next_cursor"] is None


def test_the_audit_log_comes_in_pages_newest_first(admin: Office) -> None:
    for _ in range(3):
        admin.client.post("/uploads", json={"name": "a.txt"})
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.client.get("/audit", params={"limit": 2, "action": "upload.initiate"} | cursor).json()
        seen += [row["at"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == 3
    assert seen == sorted(seen, reverse=True)


def test_a_dead_job_is_requeued_by_its_own_company(admin: Office) -> None:
    id = admin.service.desk.ask(lambda services: _dead_job(services, admin.company.id))
    [job] = admin.client.get("/jobs").json()["items"]
    assert (job["id"], job["state"], job["last_error"]) == (id, "dead", "it broke")
    with office(admin.service, "admin") as other:
        assert other.client.get("/jobs").json()["items"] == []
        assert other.client.post(f"/jobs/{id}/requeue").status_code == 404
    assert admin.client.post(f"/jobs/{id}/requeue").status_code == 204
    assert admin.client.get("/jobs").json()["items"] == []
    assert [one["id"] for one in admin.client.get("/jobs", params={"state": "waiting"}).json()["items"]] == [id]
    assert admin.client.post(f"/jobs/{id}/requeue").status_code == 404
    [deed] = admin.client.get("/audit", params={"action": "job.requeue"}).json()["items"]
    assert (deed["subject"], deed["outcome"]) == (id, "ok")


async def _dead_job(services: Services, company_id: int) -> str:
    """One of a kind that no worker knows, taken and buried here."""
    now = datetime.now(UTC)

    async def work(unit: Unit) -> None:
        await unit.jobs.enqueue("of-no-kind", "nothing", at=now)

    await services.records.write(company_id, work)
    [job] = await services.jobs.claim(
        "test", lease=timedelta(minutes=1), limit=1, cap=99, now=now, kinds=["of-no-kind"]
    )
    assert await services.jobs.bury(job, error="it broke", now=now)
    return job.id


@pytest.mark.parametrize("header", ["api-key", "authorization"])
def test_wrong_credentials_are_one_answer(admin: Office, header: str) -> None:
    with admin.service.client() as nobody:
        for value in ("", "nonsense", "Basic eDp5", "Bearer abc.def.ghi", "ldk_" + "A" * 43):
            answer = nobody.get(f"{API}/files", headers={header: value} if value else {})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert answer.json()["detail"] == "The credentials are missing or wrong."


def test_what_is_not_there_is_a_problem_too(admin: Office) -> None:
    def problem(answer: httpx.Response) -> tuple[int, str, str]:
        return answer.status_code, answer.headers["content-type"], answer.json()["code"]

    kind = "application/problem+json"
    assert problem(admin.client.get("/nothing")) == (404, kind, "not_found")
    assert problem(admin.client.put("/files")) == (405, kind, "method_not_allowed")
    assert set(admin.client.put("/files").headers["allow"].split(", ")) >= {"GET"}
