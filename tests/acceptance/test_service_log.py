"""The log of a running service: one object a line, told apart by trace ids, and none of it a secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.service import Service


@pytest.mark.slow
@pytest.mark.security(22)
@pytest.mark.security(26)
def test_no_signature_password_or_key_is_in_it(make_service: Callable[..., Service]) -> None:
    """At its most talkative, with everything right once and wrong once."""
    service = make_service(log_level="debug").start()
    company = service.desk.company("acme")
    login = service.desk.user(company, "files:upload")
    key = service.desk.key(company, "files:read", "files:write")
    client = service.desk.oauth_client(company, "transactions:post")
    wrong = "guessed-by-somebody"
    secrets = [login.password, base64.b64encode(f"{login.name}:{login.password}".encode()).decode(), key, client.secret]
    with service.client() as http:
        form = {"grant_type": "client_credentials", "client_id": client.client.id}
        token = http.post("/oauth/token", data={**form, "client_secret": client.secret}).json()["access_token"]
        http.post("/oauth/token", data={**form, "client_secret": wrong})
        http.post("/v1/fileUpload", json={"contentType": "text/plain"}, headers={"Authorization": f"Bearer {token}"})
        http.post("/v1/fileUpload", json={}, headers={"Authorization": f"Bearer {token}x"})
        upload = "/dana/conversation/http/rest/file/upload"
        assert http.post(upload, files={"file": ("a.txt", b"a")}, auth=login.pair).status_code == 200
        http.post(upload, files={"file": ("a.txt", b"a")}, auth=(login.name, wrong))
        signed = {"api-key": key, "user-id": "somebody"}
        url = http.get("/v1/files/signed-url", params={"filename": "a.txt"}, headers=signed).json()["file_url"]
        http.get("/v1/files", headers={**signed, "api-key": wrong})
        assert http.put(url, content=b"a text").status_code == 200
        assert http.put(url, content=b"a text").status_code == 409
        assert http.put(url + "&more=1", content=b"a text").status_code == 403
        http.get(f"/none?api_key={key}&password={wrong}&token={token}")
        secrets += [wrong, token, parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]]
    service.desk.settled(company)
    assert service.stop() == 0
    log = service.log()
    assert [secret for secret in secrets if secret in log] == []


def test_a_refusal_is_one_object_with_the_request_it_belongs_to(service: Service) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with service.client() as http:
        http.get("/v1/files%0A{}", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    service.until(lambda: trace in service.log())  # the line is written once the answer is out
    lines = [line for line in service.log().splitlines() if trace in line]
    (refused,) = [json.loads(line) for line in lines]
    assert {"timestamp", "level", "event", "api", "method", "path", "status", "seconds", "address"} <= refused.keys()
    assert (refused["trace_id"], refused["method"]) == (trace, "GET")
