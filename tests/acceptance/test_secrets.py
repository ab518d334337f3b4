"""Ids that cannot be guessed, accounts that are not there, secrets that are told to nobody (SECURITY.md, line 26)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.acceptance.ways import CONVERSATION, FILE_SERVICE, FILE_UPLOAD, MANAGEMENT, SIGNED_URL, WAYS, Dock
from tests.service import PASSWORD, Login, Service

HEX = re.compile(r"[0-9a-f]+")
GUESSES = (
    *(("admin", "admin"), ("admin", "password"), ("root", "root"), ("loadingdock", "loadingdock")),
    *(("operator", "operator"), ("", "")),
)


def bits(texts: list[str]) -> float:
    """The least that these random texts can hold: of each position, how many different characters were seen there."""
    (length,) = {len(text) for text in texts}
    varied = sum(len({text[at] for text in texts}) > 8 for at in range(length))
    return varied * 4.0


@pytest.mark.slow
@pytest.mark.security(26)
def test_what_grants_something_has_128_random_bits(service: Service) -> None:
    """Four bits are counted for every character that varies among 48 of them, though most hold more."""
    dock = Dock(service)
    ids: list[str] = []
    signatures: list[str] = []
    with dock.client() as client:
        for _ in range(48):
            answer = client.post(CONVERSATION, files={"file": ("a.txt", b"hello")}, headers=dock.basic)
            ids.append(answer.json()["fileID"].rpartition("/")[2])
            target = WAYS[3].sending(dock, client, "a.txt").target
            signatures.append(target.rpartition("X-Amz-Signature=")[2])
    keys = [dock.desk.key(dock.company, "files:read") for _ in range(48)]
    blobs = [file.version.blob_key.rpartition("/")[2] for file in dock.files() if file.version.blob_key]
    clients = [dock.desk.oauth_client(dock.company, "files:read").secret for _ in range(48)]
    for texts in (ids, signatures, keys, blobs, clients):
        assert len(set(texts)) == len(texts) == 48
        assert bits(texts) >= 128
    assert all(HEX.fullmatch(text) for text in (*ids, *signatures))


@pytest.mark.slow
@pytest.mark.security(26)
def test_a_fresh_installation_knows_nobody(own_service: Service) -> None:
    service = own_service

    def companies() -> int:
        return len(service.desk.ask(lambda services: services.administration.companies()))

    assert companies() == 0
    for name, password in GUESSES:
        with service.client() as client:  # an address of its own, so that none is answered with 429
            for path, login in ((CONVERSATION, name), (f"{FILE_SERVICE}/a.png", f"{name}@{name}")):
                assert client.post(path, auth=(login, password)).status_code == 401
            for path in (f"{MANAGEMENT}/files", SIGNED_URL):
                headers = {"api-key": password or name or "key", "user-id": "anna"}
                assert client.get(path, headers=headers).status_code == 401
            form = {"grant_type": "client_credentials", "client_id": name, "client_secret": password}
            assert client.post("/oauth/token", data=form).status_code in (400, 401)
            bearer = {"authorization": f"Bearer {password or 'token'}"}
            assert client.post(FILE_UPLOAD, json={}, headers=bearer).status_code == 401
    assert companies() == 0


@pytest.mark.slow
@pytest.mark.security(26)
def test_no_error_no_metric_and_no_log_holds_a_secret(make_service: Callable[..., Service]) -> None:
    service = make_service(log_level="debug").start()
    dock = Dock(service)
    oauth = dock.desk.oauth_client(dock.company, "transactions:post")
    guess = "hunter2-wrong-guess"
    wrong_key = "ldk_" + "w" * 43
    with dock.client() as client:
        upload = WAYS[3].sending(dock, client, "note.txt")
        signature = upload.target.rpartition("X-Amz-Signature=")[2]
        client.put(upload.target, content=b"hello")
        told = [answer.text for answer in _strange(dock, client, upload.target, oauth.secret, guess, wrong_key)]
        told += [client.get("/metrics").text, client.get("/readyz").text, service.log()]
    secrets = [PASSWORD, dock.key, dock.token, oauth.secret, guess, wrong_key, signature]
    secrets += [dock.login.header.partition(" ")[2], dock.key[8:]]
    for text in told:
        for secret in secrets:
            assert secret not in text
        assert str(service.data) not in text or text is told[-1]
        assert "Traceback" not in text
        assert "SELECT" not in text


def _strange(
    dock: Dock, client: httpx.Client, target: str, client_secret: str, guess: str, wrong_key: str
) -> Iterator[httpx.Response]:
    """Requests that bring right and wrong secrets to where they do not belong, and fail."""
    own = [dock.basic, dock.end_user, {"authorization": f"Bearer {dock.token}"}]
    wrong = [
        {"authorization": Login(dock.login.name, guess).header},
        {"api-key": wrong_key, "user-id": "anna"},
        {"authorization": f"Bearer {dock.token[:-4]}AAAA"},
        {"authorization": f"Digest {guess}"},
    ]
    paths = (CONVERSATION, f"{FILE_SERVICE}/a.png", SIGNED_URL, FILE_UPLOAD, f"{MANAGEMENT}/files", "/nothing")
    for path in paths:
        for headers in (*own, *wrong):
            for method in ("GET", "POST", "BREW"):
                yield client.request(method, path, headers=headers, content=b"{")
    yield client.put(target, content=b"again")
    yield client.get(target)
    yield client.put(target + "&more=1", content=b"x")
    form = {"grant_type": "password", "client_id": "nobody", "client_secret": client_secret, "password": guess}
    yield client.post("/oauth/token", data=form)
    yield client.post("/v3/oauth/token/generate", json={"key": "nobody", "secret": client_secret})
    yield client.post(f"{MANAGEMENT}/users", json={"name": "x", "password": PASSWORD}, headers=dock.keyed)
