"""file-upload as its clients use it: a real server, real curl, tokens of ours and of an outside issuer."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import State
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.ports.records import Unit
from tests import samples
from tests.acceptance.links import code
from tests.curl import curl
from tests.service import Desk, Service

PATH = "/v1/fileUpload"
HEADERS = ("access-control-allow-origin", "access-control-allow-credentials", "x-trace-id")
# The source document's own sample.
SAMPLE = """\
curl \\
 --request POST 'https://rest.api.24sevenoffice.com/v1/fileUpload' \\
 --header "Content-Type: application/json" \\
 --header "Authorization: string" \\
 --data '{"contentType":"application/pdf"}'
"""


@pytest.fixture
def company(desk: Desk) -> Company:
    return desk.company("erp")


@pytest.fixture
def token(desk: Desk, company: Company) -> str:
    return desk.token(desk.oauth_client(company, "transactions:post"))


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def shell(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60, text=True).stdout


def initiate(client: httpx.Client, token: str, **body: object) -> httpx.Response:
    return client.post(PATH, json=body, headers={"authorization": f"Bearer {token}"})


def test_the_sample_of_the_source_with_nothing_changed_but_host_and_token(
    service: Service, token: str, desk: Desk, company: Company, tmp_path: Path
) -> None:
    here = SAMPLE.replace("https://rest.api.24sevenoffice.com", service.url)
    refused = json.loads(shell(here))
    assert (refused["status"], refused["title"]) == (401, "Unauthenticated")

    answer = json.loads(shell(here.replace("Authorization: string", f"Authorization: {token}")))

    assert list(answer) == ["uploadMethod", "uploadUrl", "fileId"]
    assert answer["uploadMethod"] == "PUT"
    assert type(answer["fileId"]) is int
    path = tmp_path / "invoice.pdf"
    path.write_bytes(samples.pdf("Invoice"))
    sent = curl("-X", answer["uploadMethod"], "-T", path, "-H", "Content-Type: application/pdf", answer["uploadUrl"])
    assert sent.status == 200
    desk.settled(company)
    file = desk.by_alias(company, str(answer["fileId"]))
    assert (file.state, file.version.content_type, file.name) == (
        State.READY,
        "application/pdf",
        f"{answer['fileId']}.pdf",
    )
    assert desk.read(company, file) == path.read_bytes()


def test_name_size_and_digest_are_kept(client: httpx.Client, token: str, desk: Desk, company: Company) -> None:
    content = samples.png()
    answer = initiate(
        client,
        token,
        contentType="image/png",
        fileName="Quittung März.png",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest().upper(),
        tenant="other",  # members that mean nothing here are ignored
    ).json()
    short = client.put(answer["uploadUrl"], content=content[:-1], headers={"content-type": "image/png"})
    assert (short.status_code, code(short.content)) == (400, "IncompleteBody")
    other = client.put(answer["uploadUrl"], content=content[:-1] + b"x", headers={"content-type": "image/png"})
    assert (other.status_code, code(other.content)) == (400, "BadDigest")
    assert client.put(answer["uploadUrl"], content=content, headers={"content-type": "image/png"}).status_code == 200
    desk.settled(company)
    assert desk.by_alias(company, str(answer["fileId"])).name == "Quittung März.png"


@pytest.mark.security(26)
def test_ids_tell_nothing_and_are_exact_in_json(client: httpx.Client, token: str) -> None:
    ids = [initiate(client, token, contentType="text/plain").json()["fileId"] for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(0 < id < 2**53 for id in ids)
    assert ids != sorted(ids)
    assert len({id.bit_length() for id in ids} & {51, 52, 53}) > 1


def test_the_id_as_a_string(client: httpx.Client, token: str, desk: Desk, company: Company) -> None:
    desk.set(company, {"file-upload.file-id-type": "string"})
    fresh = desk.token(desk.oauth_client(company, "transactions:post"))
    shown = initiate(client, fresh, contentType="text/plain").json()["fileId"]
    assert isinstance(shown, str)
    assert shown.isdecimal()
    assert desk.by_alias(company, shown).alias == shown


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "{}"])
def test_with_and_without_the_word_bearer(client: httpx.Client, token: str, form: str) -> None:
    headers = {"authorization": form.format(token)}
    assert client.post(PATH, json={"contentType": "text/plain"}, headers=headers).status_code == 200


@pytest.mark.security(24)
def test_what_is_no_token(client: httpx.Client, token: str, desk: Desk, company: Company) -> None:
    key = desk.key(company, "transactions:post")
    for value in (
        "",
        "Bearer",
        f"Token {token}",
        f"Bearer {token} x",
        f"Bearer {token}x",
        f"Bearer {key}",
        key,
    ):
        answer = client.post(PATH, json={"contentType": "text/plain"}, headers={"authorization": value})
        assert answer.status_code == 401, value
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.json()["title"] == "Unauthenticated"


def test_the_three_headers_are_on_every_response(client: httpx.Client, token: str) -> None:
    bearer = {"authorization": f"Bearer {token}"}
    answers = [
        client.post(PATH, json={"contentType": "text/plain"}, headers=bearer),
        client.post(PATH, json={}, headers=bearer),
        client.post(PATH, content=b"{", headers=bearer | {"content-type": "application/json"}),
        client.post(PATH, content=b"x", headers=bearer | {"content-type": "text/plain"}),
        client.post(PATH, content=b"x" * 70_000, headers=bearer | {"content-type": "application/json"}),
        client.post(PATH, json={"contentType": "text/plain"}),
        client.options(PATH),
        client.options(f"{PATH}/x"),
        client.get(PATH),
        client.delete(PATH, headers=bearer),
        client.post(f"{PATH}/1", headers=bearer),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 400, 415, 413, 401, 204, 404, 405, 405, 404]
    for answer in answers:
        assert all(name in answer.headers for name in HEADERS), answer
        assert answer.headers["access-control-allow-origin"] != "*"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert len(bytes.fromhex(answer.headers["x-trace-id"])) == 16
        if answer.is_error:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["traceId"] == answer.headers["x-trace-id"]
            assert answer.json()["status"] == answer.status_code


def test_a_web_page_uploads(client: httpx.Client, desk: Desk, company: Company) -> None:
    """What a browser does on behalf of a page of another origin, step by step."""
    origin = "https://app.example.com"
    desk.set(company, {"cors-origins": origin})
    token = desk.token(desk.oauth_client(company, "transactions:post"))
    page = {"origin": origin}

    def allowed(answer: httpx.Response) -> bool:
        return answer.headers["access-control-allow-origin"] == origin and "Origin" in answer.headers["vary"]

    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    preflight = client.options(PATH, headers=page | asked)
    assert allowed(preflight)
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= names(preflight.headers["access-control-allow-headers"])
    promised = client.post(PATH, json={"contentType": "text/plain"}, headers=page | {"authorization": token})
    assert allowed(promised)
    url = promised.json()["uploadUrl"]
    asked = {"access-control-request-method": "PUT", "access-control-request-headers": "content-type"}
    preflight = client.options(url, headers=page | asked)
    assert allowed(preflight)
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert {"content-type", "upload-complete"} <= names(preflight.headers["access-control-allow-headers"])
    sent = client.put(url, content=b"hello", headers=page | {"content-type": "text/plain"})
    assert allowed(sent)
    assert "etag" in names(sent.headers["access-control-expose-headers"])
    assert allowed(client.put(url, content=b"hello", headers=page | {"content-type": "text/plain"}))
    assert allowed(client.put(url + "0", content=b"hello", headers=page))


def names(value: str) -> set[str]:
    return {name.strip().lower() for name in value.split(",")}


@pytest.mark.slow
def test_an_outside_issuers_token(make_service: Callable[..., Service], tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    issuer = "https://login.example.com"
    service = make_service()
    service.data.mkdir(parents=True)
    (service.data / "loadingdock.toml").write_text(
        f"""
        [[issuers]]
        issuer = "{issuer}"
        audience = "loadingdock"
        jwks = "{jwks}"
        company_claim = "org"
        permissions = ["transactions:post"]
        permissions_claim = "roles"
        types = ["JWT"]
        algorithms = ["ES256"]
        """
    )
    service.start()
    company = service.desk.company("erp")

    def token(*, type: str = "JWT", **changes: object) -> str:
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": "loadingdock",
            "sub": "app-1",
            "org": company.code,
            "roles": ["transactions:post", "admin"],
            "iat": now,
            "exp": now + 300,
        }
        return jwt.encode({"alg": "ES256", "kid": "k1", "typ": type}, claims | changes, key)

    with service.client() as client:
        promised = initiate(client, token(), contentType="text/plain")
        assert promised.status_code == 200, promised.text
        url = promised.json()["uploadUrl"]
        assert client.put(url, content=b"hello", headers={"content-type": "text/plain"}).status_code == 200
        for changes in ({"aud": "other"}, {"exp": 1}, {"iss": "https://evil.example"}, {"org": "nobody"}):
            assert initiate(client, token(**changes), contentType="text/plain").status_code == 401
        assert initiate(client, token(type="at+jwt"), contentType="text/plain").status_code == 401
        assert initiate(client, token(roles=["files:read"]), contentType="text/plain").status_code == 403


@pytest.mark.security(8)
def test_who_may_not_is_refused_before_the_body(service: Service, desk: Desk, company: Company, tmp_path: Path) -> None:
    reader = desk.token(desk.oauth_client(company, "files:read"))
    path = tmp_path / "body"
    path.write_bytes(b" " * 60_000)
    for authorization, status in (("string", 401), (f"Bearer {reader}", 403)):
        answer = curl(
            *("-X", "POST", "-H", "Expect: 100-continue", "-H", f"Authorization: {authorization}"),
            *("-H", "Content-Type: application/json", "--data-binary", f"@{path}", service.url + PATH),
        )
        assert (answer.interim, answer.status) == ((), status)
    assert desk.files(company) == ()


@pytest.mark.security(28)
def test_deeds_and_refusals_are_written_down(client: httpx.Client, token: str, desk: Desk, company: Company) -> None:
    reader = desk.token(desk.oauth_client(company, "files:read"))
    assert initiate(client, reader, contentType="text/plain").status_code == 403
    url = initiate(client, token, contentType="text/plain").json()["uploadUrl"]
    assert client.put(url, content=b"hello", headers={"content-type": "text/plain"}).status_code == 200
    desk.settled(company)

    async def work(unit: Unit) -> tuple[AuditEntry, ...]:
        return (await unit.audit.list(limit=100)).items

    rows = desk.ask(lambda services: services.records.read(company.id, work))
    assert {"denial", "upload.initiate", "upload", "verdict"} <= {row.action for row in rows}
