"""signed-url as its clients use it: a real server, real curl, real files."""

from __future__ import annotations

import asyncio
import json
import subprocess
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from loadingdock.core.administration import operator
from loadingdock.core.model.files import State
from tests import samples
from tests.acceptance.links import Holder
from tests.curl import curl
from tests.service import Service

# The source document's own sample. Its line was folded where the backslash stands, and it leaves the key out.
SAMPLE = """curl -X GET "https://example.com/v1/files/signed-url?filename=string" \\
 -H "user-id: 497f6eca-6276-4993-bfeb-53cbbbba6f08\""""
UNAUTHORIZED = {"error_code": "unauthorized", "detail": "Missing or invalid API key"}


@pytest.fixture
def holder(service: Service) -> Holder:
    return Holder(service)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def shell(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60, text=True).stdout


def test_the_sample_of_the_source_with_nothing_changed_but_the_host(holder: Holder) -> None:
    here = SAMPLE.replace("https://example.com", holder.service.url)
    assert json.loads(shell(here)) == UNAUTHORIZED
    with_key = f'{here} -H "api-key: {holder.key}"'
    refused = json.loads(shell(with_key))
    assert refused["error_code"] == "attachment_document_raised_an_error"
    assert refused["errors"][0]["parameter"] == "filename"  # "string" has no extension
    answer = json.loads(shell(with_key.replace("filename=string", "filename=report.pdf")))
    assert list(answer) == ["expires_in", "file_id", "file_limits", "file_url"]
    assert (answer["expires_in"], type(answer["expires_in"])) == (600, int)
    assert str(uuid.UUID(answer["file_id"])) == answer["file_id"]
    assert answer["file_limits"] == {
        "allowed_types": [
            "text/csv",
            "text/plain",
            "application/pdf",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ],
        "max_size": 10485760,
    }


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("report.pdf", samples.pdf("Hello from a PDF"), "Hello from a PDF"),
        ("letter.docx", samples.docx_file("Hello from a DOCX"), "Hello from a DOCX"),
        ("table.xlsx", samples.xlsx_file(), "Hello"),
        ("data.csv", samples.csv_file(), "customer 1,1.50"),
        ("note.txt", samples.text_file(), "Grüße aus einer Textdatei"),
    ],
)
def test_every_type_from_curl_to_its_text(
    holder: Holder, client: httpx.Client, tmp_path: Path, name: str, content: bytes, text: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    promise = holder.promise(client, name)
    assert curl("-T", path, promise.url).status == 200
    while (status := holder.status(client, promise.file_id, wait=20))["processing_status"] != "PROCESSED":
        assert status["processing_status"] in {"AWAITING_UPLOAD", "PROCESSING"}
    assert status["warnings"] == {"empty": False, "infected": False, "length": False}
    steps = [step["status"] for step in status["processing_steps"]]
    assert steps == ["ANTIVIRUS_SCANNING", "TYPE_DETECTION", "TEXT_EXTRACTION"]
    headers = ("-H", f"api-key: {holder.key}", "-H", "user-id: anna")
    read = curl(*headers, f"{holder.service.url}/v1/files/{promise.file_id}")
    assert (read.status, read.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert text in read.body.decode()
    assert curl(*headers, f"{holder.service.url}/v1/files/{promise.file_id}/content").body == content


async def test_waiting_ends_with_the_change(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    async with holder.service.async_client() as waiting:
        url = f"/v1/files/{promise.file_id}/status"
        asked = asyncio.create_task(waiting.get(url, headers=holder.headers | {"prefer": "wait=60"}))
        done, _ = await asyncio.wait({asked}, timeout=0.3)
        assert not done
        assert (await waiting.put(promise.url, content=b"hello")).status_code == 200
        async with asyncio.timeout(20):
            answer = await asked
    assert answer.headers["preference-applied"] == "wait=60"
    assert answer.json()["processing_status"] in {"PROCESSING", "PROCESSED"}


async def test_waiting_for_a_file_that_is_deleted_ends_with_404(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    async with holder.service.async_client() as waiting:
        url = f"/v1/files/{promise.file_id}"
        asked = asyncio.create_task(waiting.get(f"{url}/status", headers=holder.headers | {"prefer": "wait=60"}))
        await asyncio.wait({asked}, timeout=0.3)
        assert (await waiting.delete(url, headers=holder.headers)).status_code == 204
        async with asyncio.timeout(20):
            assert (await asked).status_code == 404


@pytest.mark.parametrize("persist", ["true", "false"])
def test_how_long_a_file_lives(holder: Holder, client: httpx.Client, persist: str) -> None:
    promise = holder.promise(client, persist=persist)
    assert client.put(promise.url, content=b"hello").status_code == 200
    file = holder.file(promise.file_id)
    if persist == "true":
        assert file.expires_at is None
    else:
        assert file.expires_at is not None
        # From the moment the bytes came.
        assert timedelta(hours=24) < file.expires_at - file.created_at < timedelta(hours=24, minutes=2)


@pytest.mark.slow
def test_a_promise_that_nobody_keeps_expires(make_service: Callable[..., Service]) -> None:
    service = make_service(sweep_every="PT0.2S").start()
    holder = Holder(service, signed_url__expires_in="1s")
    with service.client() as client:
        promise = holder.promise(client)
        service.until(lambda: holder.status(client, promise.file_id)["processing_status"] == "EXPIRED")
        late = client.put(promise.url, content=b"hello")
        assert late.status_code == 403
        assert b"Request has expired" in late.content
        gone = client.get(f"/v1/files/{promise.file_id}", headers=holder.headers)
        assert (gone.status_code, gone.json()["error_code"]) == (404, "attachment_document_does_not_exist")
        assert client.get("/v1/files", headers=holder.headers).json()["files"] == []


def test_an_attached_file_outlives_its_deletion(holder: Holder, client: httpx.Client) -> None:
    file = holder.ready(client, b"hello")
    principal = operator(holder.company)
    holder.desk.ask(lambda services: services.files.attach(principal, file, "message-1"))
    assert client.delete(f"/v1/files/{file.id}", headers=holder.headers).status_code == 204
    assert client.get(f"/v1/files/{file.id}", headers=holder.headers).status_code == 404
    assert holder.file(file.id).version.blob_key is not None
    holder.desk.ask(lambda services: services.files.detach(principal, file, "message-1"))
    assert holder.file(file.id).version.blob_key is None


@pytest.mark.security(17)
def test_an_infected_file_says_so_and_nothing_more(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client, "letter.docx")
    assert client.put(promise.url, content=samples.infected_docx()).status_code == 200
    holder.desk.settled(holder.company)
    status = holder.status(client, promise.file_id, wait=20)
    assert (status["processing_status"], status["warnings"]["infected"]) == ("FAILED", True)
    for path in (f"/v1/files/{promise.file_id}", f"/v1/files/{promise.file_id}/content"):
        assert client.get(path, headers=holder.headers).status_code == 409
    assert holder.file(promise.file_id).version.blob_key is None


@pytest.mark.security(13)
def test_a_file_that_turns_out_to_be_of_another_type_fails(holder: Holder, client: httpx.Client) -> None:
    """The first bytes are text; that the rest is none shows when the file is looked into whole."""
    promise = holder.promise(client, "note.txt")
    assert client.put(promise.url, content=b"hello dock\n" * 1000 + bytes(range(256)) * 1000).status_code == 200
    holder.desk.settled(holder.company)
    assert holder.file(promise.file_id).state is State.REJECTED
    assert holder.status(client, promise.file_id)["processing_status"] == "FAILED"
    refused = client.get(f"/v1/files/{promise.file_id}", headers=holder.headers)
    assert refused.status_code == 400
    assert refused.json()["error_code"] == "attachment_document_raised_an_error"
    assert refused.json()["errors"][0]["code"] == "rejected"


@pytest.mark.security(11)
@pytest.mark.parametrize("name", ["Grüße 報告.pdf", "a+b & c=d.pdf", "e\u0301te\u0301.pdf", "emoji 🚢.pdf"])
def test_names_of_any_script(holder: Holder, client: httpx.Client, name: str) -> None:
    promise = holder.promise(client, name)
    assert client.put(promise.url, content=samples.pdf()).status_code == 200
    shown = client.get("/v1/files", headers=holder.headers).json()["files"]
    assert shown == [{"file_id": promise.file_id, "file_name": unicodedata.normalize("NFC", name)}]


@pytest.mark.security(11)
@pytest.mark.parametrize("name", ["a\u202efdp.exe.pdf", "a\nb.pdf", "a\x00.pdf", "\u2066x.pdf", "x" * 252 + ".pdf"])
def test_names_that_hide_something(holder: Holder, client: httpx.Client, name: str) -> None:
    answer = client.get("/v1/files/signed-url", params={"filename": name}, headers=holder.headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == "filename"


@pytest.mark.security(25)
def test_the_same_user_id_of_two_companies_are_two_users(holder: Holder, client: httpx.Client) -> None:
    other = Holder(holder.service)
    file = holder.ready(client, b"hello")
    assert client.get("/v1/files", headers=other.headers).json()["total"] == 0
    unknown = str(uuid.uuid4())
    for method, path in (("GET", ""), ("GET", "/status"), ("GET", "/content"), ("HEAD", "/content"), ("DELETE", "")):
        foreign = client.request(method, f"/v1/files/{file.id}{path}", headers=other.headers)
        absent = client.request(method, f"/v1/files/{unknown}{path}", headers=other.headers)
        assert (foreign.status_code, foreign.content) == (absent.status_code, absent.content) == (404, absent.content)


@pytest.mark.security(10)
@pytest.mark.parametrize("id", ["1", "..%2Fx", "%00", "a" * 300, "360D942F-D861-4611-B4B3-227278C9E709", "x'--"])
def test_ids_outside_their_grammar_are_unknown(holder: Holder, client: httpx.Client, id: str) -> None:
    answer = client.get(f"/v1/files/{id}/status", headers=holder.headers)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "attachment_document_does_not_exist")


def test_a_wrong_user_id(holder: Holder, client: httpx.Client) -> None:
    for headers in ({}, {"user-id": ""}, {"user-id": "x" * 256}):
        answer = client.get("/v1/files", headers={"api-key": holder.key} | headers)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["parameter"] == "user-id"


@pytest.mark.slow
async def test_many_uploads_at_once(holder: Holder, client: httpx.Client) -> None:
    promises = [holder.promise(client, f"{n}.txt") for n in range(30)]
    async with holder.service.async_client() as many:
        answers = await asyncio.gather(
            *(many.put(promise.url, content=b"%d\n" % n * 1000) for n, promise in enumerate(promises))
        )
    assert {answer.status_code for answer in answers} == {200}
    files = holder.desk.settled(holder.company)
    assert {file.state for file in files} == {State.READY}
    assert len(files) == 30
