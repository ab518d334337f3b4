"""conversation-files as its clients use it: a real server, real curl, real files."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shlex
import socket
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from loadingdock.core.administration import operator
from loadingdock.core.model.files import State
from tests import samples
from tests.curl import curl
from tests.service import Desk, Service, fresh_address

UPLOAD = "/dana/conversation/http/rest/file/upload"
FILE_ID = re.compile(r"s3://WS/\d{4}/([1-9]|1[0-2])/[0-9a-f]{32}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# The source document's own sample, with nothing changed but host, login and path.
SAMPLE = """\
curl -i -X POST \\
-u {login}  \\
{host}/dana/conversation/http/rest/file/upload \\
-H 'Content-Type: multipart/form-data' \\
-H 'Accept: application/json' \\
-H 'X-DEBUG: 1' \\
-F file=@{path}
"""


def form(content: bytes, *, name: str = "a.txt", field: str = "file") -> dict[str, tuple[str, bytes]]:
    return {field: (name, content)}


def test_the_sample_of_the_source_works_verbatim(service: Service, desk: Desk, tmp_path: Path) -> None:
    company = desk.company("acme")
    login = desk.user(company, "files:upload", name="anna@example.com")
    path = tmp_path / "FileTest.pdf"
    path.write_bytes(samples.pdf("A statement of account"))
    command = SAMPLE.format(login=shlex.quote(login.curl), host=service.url, path=shlex.quote(str(path)))

    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60)

    head, _, body = done.stdout.decode().rpartition("\r\n\r\n")
    assert " 200 " in head.splitlines()[0]
    answer = httpx.Response(200, content=body).json()
    assert list(answer) == ["fileID", "fileName", "idCompany", "requestID"]
    assert FILE_ID.fullmatch(answer["fileID"])
    assert answer["fileName"] == "FileTest.pdf"
    assert answer["idCompany"] == company.code
    assert UUID.fullmatch(answer["requestID"])

    (file,) = desk.settled(company)
    assert (file.alias, file.state, file.version.content_type) == (answer["fileID"], State.READY, "application/pdf")
    stored = desk.read(company, file)
    assert stored == path.read_bytes()


def test_a_large_file_waits_for_100_continue(service: Service, desk: Desk, tmp_path: Path) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(5 << 20))

    answer = curl("-u", login.curl, "-H", "Expect: 100-continue", "-F", f"file=@{path}", service.url + UPLOAD)

    assert (answer.interim, answer.status) == ((100,), 200)
    assert desk.by_alias(company, answer.json()["fileID"]).version.size == 5 << 20


@pytest.mark.security(8)
def test_who_may_not_upload_is_refused_before_the_body(service: Service, desk: Desk, tmp_path: Path) -> None:
    company = desk.company()
    reader = desk.user(company, "files:read")
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(5 << 20))
    for login in (reader.curl, f"nobody@{company.code}:wrong"):
        answer = curl("-u", login, "-H", "Expect: 100-continue", "-F", f"file=@{path}", service.url + UPLOAD)
        assert (answer.interim, answer.status) == ((), 401)
        assert answer.headers["www-authenticate"].startswith('Basic realm="')
    assert desk.files(company) == ()


@pytest.mark.parametrize("what", ["user", "company"])
def test_who_is_disabled_is_as_if_unknown(service: Service, desk: Desk, what: str) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    if what == "user":
        desk.ask(lambda services: services.administration.disable_user(operator(company), "anna"))
    else:
        desk.ask(lambda services: services.administration.disable_company(operator(company)))
    with service.client(auth=login.pair) as client:
        answer = client.post(UPLOAD, files=form(b"hello"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.security(12)
def test_a_claimed_digest_that_differs_leaves_nothing(service: Service, desk: Desk) -> None:
    before = desk.orphans()
    company = desk.company()
    login = desk.user(company, "files:upload")
    claim = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    with service.client(auth=login.pair) as client:
        answer = client.post(UPLOAD, files=form(b"hello"), headers={"Repr-Digest": f"sha-256=:{claim}:"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "digest_mismatch")
    assert desk.files(company) == ()
    service.until(lambda: desk.orphans() <= before)


def test_a_file_expires_after_seven_days_or_as_the_company_says(service: Service, desk: Desk) -> None:
    for settings, kept in (
        ({}, timedelta(days=7)),
        ({"retention.conversation-files": "36h"}, timedelta(hours=36)),
        ({"retention.conversation-files": "never"}, None),
    ):
        company = desk.company_with("kept", settings)
        login = desk.user(company, "files:upload")
        with service.client(auth=login.pair) as client:
            answer = client.post(UPLOAD, files=form(b"hello")).json()
        file = desk.by_alias(company, answer["fileID"])
        assert (file.expires_at and file.expires_at - file.created_at) == kept


@pytest.mark.slow
def test_an_attached_file_outlives_its_time(make_service: Callable[..., Service]) -> None:
    service = make_service(sweep_every="PT0.2S").start()
    desk = service.desk
    company = desk.company()
    login = desk.user(company, "files:upload")
    with service.client(auth=login.pair) as client:
        kept, gone = (client.post(UPLOAD, files=form(b"hello")).json()["fileID"] for _ in range(2))
    desk.settled(company)
    file = desk.by_alias(company, kept)
    desk.ask(lambda services: services.files.attach(operator(company), file, "letter-1"))
    for alias in (kept, gone):
        desk.expire_in(company, alias, timedelta(milliseconds=500))

    assert desk.until(company, gone, State.EXPIRED).version.blob_key is None
    assert desk.by_alias(company, kept).state is State.READY

    desk.ask(lambda services: services.files.detach(operator(company), file, "letter-1"))
    assert desk.until(company, kept, State.EXPIRED).version.blob_key is None


def test_equal_files_have_ids_of_their_own(service: Service, desk: Desk) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    with service.client(auth=login.pair) as client:
        answers = [client.post(UPLOAD, files=form(b"the same")).json()["fileID"] for _ in range(3)]
    assert len(set(answers)) == 3


def test_an_infected_file_comes_in_and_is_never_readable(service: Service, desk: Desk) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    with service.client(auth=login.pair) as client:
        assert client.post(UPLOAD, files=form(samples.infected_docx(), name="letter.docx")).status_code == 200
    (file,) = desk.settled(company)
    assert file.state is State.INFECTED


@pytest.mark.slow
async def test_many_at_once_are_all_there(service: Service, desk: Desk) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    statement = samples.pdf()
    bodies = [statement + os.urandom(16 << 10) for _ in range(200)]
    async with service.async_client(32, auth=login.pair) as client:
        answers = await asyncio.gather(*(client.post(UPLOAD, files=form(body, name="a.pdf")) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    ids = {answer.json()["fileID"] for answer in answers}
    assert len(ids) == 200
    assert {file.alias for file in desk.files(company)} == ids


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill(make_service: Callable[..., Service]) -> None:
    service = make_service(lease="PT1S").start()  # jobs of the life that was killed are taken up when theirs ends
    company = service.desk.company()
    login = service.desk.user(company, "files:upload")
    acknowledged: dict[str, bytes] = {}

    async def send(client: httpx.AsyncClient) -> None:
        while True:
            body = os.urandom(8 << 10)
            answer = await client.post(UPLOAD, files=form(body, name="a.bin"))
            acknowledged[answer.json()["fileID"]] = body
            if len(acknowledged) == 50:
                service.kill()

    async with service.async_client(8, auth=login.pair) as client:
        ends = await asyncio.gather(*(send(client) for _ in range(8)), return_exceptions=True)
    assert all(isinstance(end, httpx.TransportError) for end in ends)

    service.start()
    files = {file.alias: file for file in service.desk.settled(company)}
    assert acknowledged.keys() <= files.keys()
    for file_id, body in acknowledged.items():
        assert service.desk.read(company, files[file_id]) == body


def test_a_client_that_goes_away_leaves_nothing(service: Service, desk: Desk) -> None:
    before = desk.orphans()
    company = desk.company()
    login = desk.user(company, "files:upload")
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), source_address=(fresh_address(), 0)) as connection:
        head = (
            f"POST {UPLOAD} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {login.header}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        )
        connection.sendall(head.encode() + bytes(500_000))
    with service.client(auth=login.pair) as client:  # a later upload by the same way: the first one's end is handled
        assert client.post(UPLOAD, files=form(b"hello", name="a.bin")).status_code == 200
    assert len(desk.files(company)) == 1
    service.until(lambda: desk.orphans() <= before)


# --- what hostile input gets ---------------------------------------------------------------------


@pytest.mark.security(1)
def test_a_body_over_the_cap_leaves_nothing(service: Service, desk: Desk) -> None:
    before = desk.orphans()
    company = desk.company_with("small", {"max-size": "100kB"})
    login = desk.user(company, "files:upload")
    boundary = "b"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'.encode()

    def chunks() -> object:
        yield head
        for _ in range(300):
            yield bytes(10_000)
        yield f"\r\n--{boundary}--\r\n".encode()

    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    for content in (chunks(), head + bytes(3_000_000) + b"\r\n--b--\r\n"):
        with service.client(auth=login.pair) as client:
            answer = client.post(UPLOAD, content=content, headers=headers)  # type: ignore[arg-type]  # a generator too
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert desk.files(company) == ()
    service.until(lambda: desk.orphans() <= before)


@pytest.mark.security(3)
def test_a_thousand_and_one_parts_are_refused(service: Service, desk: Desk) -> None:
    login = desk.user(desk.company(), "files:upload")
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    with service.client(auth=login.pair, headers={"Content-Type": "multipart/form-data; boundary=b"}) as client:
        answer = client.post(UPLOAD, content=part * 1001 + b"--b--\r\n")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_many")
    assert answer.elapsed < timedelta(seconds=1)


@pytest.mark.security(5)
@pytest.mark.parametrize(
    ("part_headers", "status", "name"),
    [
        ('Content-Disposition: form-data; name="file"; filename="a.txt"; filename*=UTF-8\'\'b.txt', 200, "a.txt"),
        ("Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''%E2%82%AC.txt", 200, "€.txt"),
        ('Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Transfer-Encoding: base64', 400, ""),
        (
            'Content-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain; charset=x-no',
            400,
            "",
        ),
    ],
)
def test_names_and_encodings_of_parts(service: Service, desk: Desk, part_headers: str, status: int, name: str) -> None:
    login = desk.user(desk.company(), "files:upload")
    content = f"--b\r\n{part_headers}\r\n\r\nhello\r\n--b--\r\n".encode()
    with service.client(auth=login.pair, headers={"Content-Type": "multipart/form-data; boundary=b"}) as client:
        answer = client.post(UPLOAD, content=content)
    assert answer.status_code == status, answer.text
    if name:
        assert answer.json()["fileName"] == name


@pytest.mark.security(9)
@pytest.mark.security(11)
@pytest.mark.parametrize(
    "name",
    [
        "../../evil.txt",
        "/etc/passwd",
        "..\\..\\evil.txt",
        "a\x00.txt",
        "..",
        "a" * 256 + ".txt",
        "\u202egnp.exe",
        "a\u2028.txt",
        "a\x1b[31m.txt",
    ],
)
def test_names_that_cannot_be_kept_are_refused(service: Service, desk: Desk, name: str) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    content = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n\r\nx\r\n--b--\r\n'
    )
    with service.client(auth=login.pair, headers={"Content-Type": "multipart/form-data; boundary=b"}) as client:
        answer = client.post(UPLOAD, content=content)
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error", "idCompany"]
    assert desk.files(company) == ()


@pytest.mark.security(9)
@pytest.mark.parametrize("name", ["%2e%2e%2fevil.txt", "CON", "~root", "$(id).txt", "; rm -rf", "日本語.txt", "-rf"])
def test_the_path_of_the_bytes_is_ours_alone(service: Service, desk: Desk, name: str) -> None:
    company = desk.company_with("names", {"type-policy": "lenient"})
    login = desk.user(company, "files:upload")
    with service.client(auth=login.pair) as client:
        answer = client.post(UPLOAD, files=form(b"hello", name=name))
    assert (answer.status_code, answer.json()["fileName"]) == (200, name)
    file = desk.by_alias(company, answer.json()["fileID"])
    assert file.version.blob_key is not None
    assert re.fullmatch(r"[0-9a-f/]{32,}", file.version.blob_key)
    assert not any(name in str(path) for path in service.stored())


@pytest.mark.security(11)
def test_decomposed_names_are_kept_composed(service: Service, desk: Desk) -> None:
    login = desk.user(desk.company(), "files:upload")
    with service.client(auth=login.pair) as client:
        names = {client.post(UPLOAD, files=form(b"x", name=n)).json()["fileName"] for n in ("ä.txt", "a\u0308.txt")}
    assert names == {"ä.txt"}


@pytest.mark.security(13)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("photo.png", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("photo.jpg", samples.pdf()),
        ("x.php.jpg", samples.jpeg()),
        ("statement.pdf", b"MZ" + bytes(100)),
    ],
)
def test_extension_and_bytes_have_to_agree(service: Service, desk: Desk, name: str, content: bytes) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    with service.client(auth=login.pair) as client:
        answer = client.post(UPLOAD, files=form(content, name=name))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "type_refused")
    assert desk.files(company) == ()


@pytest.mark.security(26)
def test_ids_are_random_and_never_a_hash_of_the_content(service: Service, desk: Desk) -> None:
    company = desk.company()
    login = desk.user(company, "files:upload")
    with service.client(auth=login.pair) as client:
        answer = client.post(UPLOAD, files=form(b"hello")).json()
    file = desk.by_alias(company, answer["fileID"])
    random = answer["fileID"].rpartition("/")[2]
    assert len(random) == 32
    assert random not in (file.version.sha256 or "")
    assert random not in (file.version.blob_key or "")
