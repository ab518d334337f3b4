"""The token endpoint and its keys, through a real server and real curl."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from loadingdock.core.administration import NewClient, operator
from tests.curl import curl
from tests.service import Desk, Service

TOKEN = "/oauth/token"
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


@pytest.fixture
def erp(desk: Desk) -> NewClient:
    return desk.oauth_client(desk.company("acme"), "transactions:post", "files:read")


def form(erp: NewClient, **more: str) -> dict[str, str]:
    return GRANT | {"client_id": erp.client.id, "client_secret": erp.secret} | more


def refused(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "error_description"}
    description = answer.json()["error_description"]
    assert all(" " <= c <= "~" and c not in '"\\' for c in description)  # RFC 6749 5.2


def test_curl_gets_a_token_either_way(service: Service, erp: NewClient) -> None:
    by_form = curl(
        *("-d", "grant_type=client_credentials", "-d", f"client_id={erp.client.id}"),
        *("-d", f"client_secret={erp.secret}", service.url + TOKEN),
    )
    by_basic = curl("-u", f"{erp.client.id}:{erp.secret}", "-d", "grant_type=client_credentials", service.url + TOKEN)
    for answer in (by_form, by_basic):
        assert answer.status == 200
        assert list(answer.json()) == ["access_token", "token_type", "expires_in", "scope"]
        assert answer.json()["token_type"] == "Bearer"
        assert answer.json()["scope"] == "files:read transactions:post"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"


def test_the_published_keys_verify_the_token(service: Service, client: httpx.Client, erp: NewClient) -> None:
    answer = client.post(TOKEN, data=form(erp, scope="transactions:post")).json()
    published = client.get("/.well-known/jwks.json")
    assert published.headers["cache-control"] == "public, max-age=300"
    assert not any("d" in key for key in published.json()["keys"])
    token = jwt.decode(answer["access_token"], KeySet.import_key_set(published.json()), algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == service.url
    assert token.claims["scope"] == answer["scope"] == "transactions:post"
    assert token.claims["exp"] - time.time() <= answer["expires_in"]


def test_the_token_opens_what_its_scope_says(client: httpx.Client, erp: NewClient) -> None:
    for scope, status in (("transactions:post", 200), ("files:read", 403)):
        token = client.post(TOKEN, data=form(erp, scope=scope)).json()["access_token"]
        answer = client.post(
            "/v1/fileUpload", json={"contentType": "text/plain"}, headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == status


def test_credentials_are_form_encoded_within_basic(client: httpx.Client, erp: NewClient) -> None:
    """RFC 6749 2.3.1, which most clients forget and some do not."""
    encoded = (quote(erp.client.id, safe="").replace("a", "%61"), quote(erp.secret, safe=""))
    assert client.post(TOKEN, data=GRANT, auth=encoded).status_code == 200


@pytest.mark.security(23)
def test_wrong_clients_have_one_answer(client: httpx.Client, erp: NewClient, desk: Desk) -> None:
    company = desk.company()
    revoked = desk.oauth_client(company, "files:read")
    desk.ask(lambda services: services.administration.revoke_client(operator(company), revoked.client.id))
    answers = [
        client.post(TOKEN, data=GRANT | {"client_id": erp.client.id, "client_secret": "wrong"}),
        client.post(TOKEN, data=GRANT | {"client_id": "nobody", "client_secret": erp.secret}),
        client.post(TOKEN, data=GRANT, auth=(erp.client.id, "wrong")),
        client.post(TOKEN, data=GRANT, auth=("nobody", "wrong")),
        client.post(TOKEN, data=form(revoked)),
    ]
    for answer in answers:
        refused(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.security(23)
def test_guessing_is_slowed_down(service: Service, erp: NewClient) -> None:
    with service.client() as client:
        wrong = GRANT | {"client_id": erp.client.id, "client_secret": "wrong"}
        answers = [client.post(TOKEN, data=wrong) for _ in range(25)]
    assert answers[0].status_code == 401
    refused(answers[-1], 429, "temporarily_unavailable")
    assert int(answers[-1].headers["retry-after"]) > 0


def test_requests_that_are_wrong(client: httpx.Client, erp: NewClient) -> None:
    basic = (erp.client.id, erp.secret)
    for data, auth, error in (
        ({}, basic, "invalid_request"),
        ({"grant_type": "password"}, basic, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, basic, "unsupported_grant_type"),
        (form(erp), basic, "invalid_request"),  # 2.3: not more than one method
        (GRANT | {"client_id": "another"}, basic, "invalid_request"),
        (GRANT | {"scope": "admin"}, basic, "invalid_scope"),
        (GRANT | {"scope": "no such thing"}, basic, "invalid_scope"),
        (GRANT | {"organization_id": "nobody"}, basic, "invalid_request"),
        (GRANT | {"organization_id": "1", "login_organization": "2"}, basic, "invalid_request"),
    ):
        refused(client.post(TOKEN, data=data, auth=auth), 400, error)
    twice = b"grant_type=client_credentials&scope=files:read&scope=files:read"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    refused(client.post(TOKEN, content=twice, headers=headers, auth=basic), 400, "invalid_request")
    refused(client.post(TOKEN, json=GRANT, auth=basic), 400, "invalid_request")
    refused(client.post(TOKEN, data=form(erp), params={"client_secret": "x"}), 400, "invalid_request")
    refused(client.post(TOKEN, data=GRANT), 401, "invalid_client")
    refused(client.post(TOKEN, data=GRANT, headers={"authorization": "Bearer x"}), 401, "invalid_client")
    refused(client.get(TOKEN), 405, "invalid_request")
    refused(client.get("/oauth/authorize"), 404, "invalid_request")
    refused(client.post(TOKEN, data=form(erp, padding="x" * 20_000)), 413, "invalid_request")


def test_a_client_of_several_organizations_names_one(client: httpx.Client, desk: Desk) -> None:
    one, two = desk.company("one"), desk.company("two")
    both = desk.oauth_client(one, "transactions:post", others=[two])
    refused(client.post(TOKEN, data=form(both)), 400, "invalid_request")
    refused(client.post(TOKEN, data=form(both, organization_id=desk.company().code)), 400, "invalid_request")
    for name, value, company in (
        ("organization_id", str(one.number), one),
        ("login_organization", two.code, two),
        ("login_organization", str(two.number), two),
    ):
        token = client.post(TOKEN, data=form(both, **{name: value})).json()["access_token"]
        url = client.post(
            "/v1/fileUpload", json={"contentType": "text/plain"}, headers={"authorization": token}
        ).json()["uploadUrl"]
        assert f"/objects/{company.number}/" in url
