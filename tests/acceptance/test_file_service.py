"""file-service as its clients use it: a real server, real curl, real files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import State
from tests import samples
from tests.curl import curl
from tests.service import PASSWORD, Desk, Login, Service

REWARDS = "/api_gateway/file-service/rewards"
TOKEN = "/v3/oauth/token/generate"
KEYS = [
    "name",
    "namespace",
    "version",
    "acl",
    "fileSize",
    "file_handle",
    "content_type",
    "s3_token",
    "latest_version",
    "last_modified",
    "s3_url",
]


@pytest.fixture
def company(desk: Desk) -> Company:
    return desk.company("till")


@pytest.fixture
def login(desk: Desk, company: Company) -> Login:
    return desk.user(company, "default")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "IMG_20220730_180352311.png"
    path.write_bytes(samples.png())
    return path


# --- the source's own request, by the ways in which `@path` can be meant ---------------------------


@pytest.mark.parametrize(
    "way",
    [
        "-F file=@{path}",
        "-F image=@{path}",
        "--data-binary @{path}",
        "--data-binary @{path} -H 'Content-Type: image/png'",
        "-T {path} -X POST",
        "-T - -X POST -H 'Transfer-Encoding: chunked' < {path}",
        "-F file=@{path} -H 'Expect: 100-continue'",
    ],
)
def test_an_image_comes_in(service: Service, desk: Desk, company: Company, login: Login, photo: Path, way: str) -> None:
    command = f"curl -sS -u {shlex.quote(login.curl)} {service.url}{REWARDS}/test.png {way.format(path=photo)}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=60)
    answer = httpx.Response(200, content=done.stdout).json()
    assert list(answer) == ["code", "status", "message", "file", "secureFilePath"]
    assert (answer["code"], answer["status"], answer["message"]) == (200, "true", "Successfully uploaded file")
    file = answer["file"]
    assert list(file) == KEYS
    assert (file["name"], file["namespace"], file["acl"]) == ("test.png", "rewards", "PRIVATE")
    assert file["fileSize"] == str(photo.stat().st_size)
    assert (file["version"], file["latest_version"]) == (1, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", file["last_modified"])
    assert file["s3_token"].startswith(f"rewards/{company.number}/")
    assert file["s3_url"] == f"s3://loadingdock/{file['s3_token']}"
    assert desk.file(company, file["file_handle"]).version.sha256 == hashlib.sha256(photo.read_bytes()).hexdigest()


def test_no_body_is_a_placeholder_until_the_next_upload(service: Service, login: Login, photo: Path) -> None:
    url = f"{service.url}{REWARDS}/later.png"
    empty = curl("-u", login.curl, "-X", "POST", url).json()["file"]
    filled = curl("-u", login.curl, "-F", f"file=@{photo}", url).json()["file"]
    second = curl("-u", login.curl, "-F", f"file=@{photo}", url).json()["file"]
    assert [(f["version"], f["fileSize"] == "0") for f in (empty, filled, second)] == [
        (1, True),
        (1, False),
        (2, False),
    ]
    assert len({f["file_handle"] for f in (empty, filled, second)}) == 1
    assert empty["s3_token"] == filled["s3_token"] != second["s3_token"]


# --- the link -------------------------------------------------------------------------------------


def test_the_secure_path_is_a_presigned_get_of_this_version(
    service: Service, desk: Desk, company: Company, login: Login
) -> None:
    first, second = samples.png((8, 8)), samples.png((9, 9))
    with service.client(auth=login.pair) as client:
        link = client.post(f"{REWARDS}/a.png", content=first).json()["secureFilePath"]
        client.post(f"{REWARDS}/a.png", content=second)
        desk.settled(company)
    query = parse_qs(urlsplit(link).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["3600"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    answer = curl(link)
    assert (answer.status, answer.body) == (200, first)
    assert answer.headers["content-type"] == "image/png"
    assert curl(link.replace("/1/", "/2/")).status == 403


@pytest.mark.slow
def test_before_the_scan_the_link_answers_409(make_service: Callable[..., Service]) -> None:
    """The scanner is a socket on which nobody answers: the scan cannot end."""
    service = make_service(scanner_url="clamd://127.0.0.1:9").start_unready()
    desk = service.desk
    company = desk.company()
    login = desk.user(company, "default")
    with service.client(auth=login.pair) as client:
        answer = client.post(f"{REWARDS}/a.png", content=samples.png()).json()
        assert client.get(f"{REWARDS}/a.png/content").status_code == 409
    assert curl(answer["secureFilePath"]).status == 409


def test_an_infected_file_is_readable_nowhere(service: Service, desk: Desk) -> None:
    company = desk.company_with("virus", {"file-service.namespaces": '[{"name": "letters"}]'})
    login = desk.user(company, "files:read", "files:write")
    with service.client(auth=login.pair) as client:
        letters = "/api_gateway/file-service/letters"
        answer = client.post(f"{letters}/letter.docx", content=samples.infected_docx()).json()
        client.put(f"{letters}/letter.docx/acl", json={"acl": "PUBLIC_READ"})
        (file,) = desk.settled(company)
        assert file.state is State.INFECTED
        assert client.get(f"{letters}/letter.docx/content").status_code == 403
        assert client.head(f"{letters}/letter.docx/content").status_code == 403
        assert curl(answer["secureFilePath"]).status == 403
        assert curl(f"{service.url}/public/{company.number}/letters/letter.docx").status == 404
        assert client.get(f"{letters}/letter.docx").json()["file"]["name"] == "letter.docx"


def test_a_public_file_has_a_stable_address(service: Service, desk: Desk, company: Company, login: Login) -> None:
    with service.client(auth=login.pair) as client:
        client.post(f"{REWARDS}/logo.png", content=samples.png())
        address = client.put(f"{REWARDS}/logo.png/acl", json={"acl": "PUBLIC_READ"}).json()["publicFilePath"]
        desk.settled(company)
        assert curl(address).body == samples.png()
        again = client.post(f"{REWARDS}/logo.png", content=samples.png((5, 5))).json()["publicFilePath"]
        desk.settled(company)
        assert (again, curl(address).body) == (address, samples.png((5, 5)))
        client.put(f"{REWARDS}/logo.png/acl", json={"acl": "PRIVATE"})
        assert curl(address).status == 404


# --- versions -------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_hundred_at_once_have_versions_without_gap_or_double(
    service: Service, desk: Desk, company: Company, login: Login
) -> None:
    images = [samples.png((n + 1, 1)) for n in range(100)]
    async with service.async_client(100, auth=login.pair) as client:
        answers = await asyncio.gather(*(client.post(f"{REWARDS}/one.png", content=image) for image in images))
    assert {answer.status_code for answer in answers} == {200}
    files = [answer.json()["file"] for answer in answers]
    assert sorted(file["version"] for file in files) == list(range(1, 101))
    assert len({file["file_handle"] for file in files}) == 1
    assert len({file["s3_token"] for file in files}) == 100
    desk.settled(company)
    with service.client(auth=login.pair) as client:
        for image, file in list(zip(images, files, strict=True))[::10]:
            content = client.get(f"{REWARDS}/one.png/content", params={"version": file["version"]})
            assert content.status_code in (200, 409), content.text  # older versions may still be looked into
            if content.status_code == 200:
                assert content.content == image
        assert len(client.get(f"{REWARDS}/one.png/versions").json()["versions"]) == 100


@pytest.mark.slow
async def test_a_hundred_at_once_fill_one_placeholder(service: Service, company: Company, login: Login) -> None:
    async with service.async_client(50, auth=login.pair) as client:
        await client.post(f"{REWARDS}/one.png")
        posts = [client.post(f"{REWARDS}/one.png", content=samples.png() if n % 2 else b"") for n in range(100)]
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} == {200}
        versions = (await client.get(f"{REWARDS}/one.png/versions")).json()["versions"]
    numbers = [version["version"] for version in versions]
    assert numbers == list(range(len(numbers), 0, -1))
    assert sum(version["fileSize"] != "0" for version in versions) == 50


def test_deleting_the_latest_version_brings_the_one_before_back(
    service: Service, desk: Desk, company: Company, login: Login
) -> None:
    before = desk.orphans()
    with service.client(auth=login.pair) as client:
        for side in (3, 4):
            client.post(f"{REWARDS}/a.png", content=samples.png((side, side)))
        desk.settled(company)
        assert client.delete(f"{REWARDS}/a.png", params={"version": 2}).json()["code"] == 200
        assert client.get(f"{REWARDS}/a.png").json()["file"]["version"] == 1
        assert client.get(f"{REWARDS}/a.png/content").content == samples.png((3, 3))
        assert client.delete(f"{REWARDS}/a.png", params={"version": 2}).status_code == 404
        assert client.delete(f"{REWARDS}/a.png", params={"version": 1}).status_code == 200
        assert client.get(f"{REWARDS}/a.png").status_code == 404
        assert client.post(f"{REWARDS}/a.png", content=samples.png()).json()["file"]["version"] == 1
    service.until(lambda: desk.orphans() <= before)


# --- who may ---------------------------------------------------------------------------------------


def test_tokens_with_real_curl(service: Service, desk: Desk, company: Company, photo: Path) -> None:
    client = desk.oauth_client(company, "default")
    body = f'{{"key": "{client.client.id}", "secret": "{client.secret}"}}'
    answer = curl("-H", "Content-Type: application/json", "-d", body, service.url + TOKEN)
    assert list(answer.json()) == ["data", "errors"]
    assert answer.json()["errors"] is None
    data = answer.json()["data"]
    assert list(data) == ["accessToken", "ttlSeconds"]
    assert data["ttlSeconds"] == 300
    url = f"{service.url}{REWARDS}/test.png"
    for header in (f"X-CAP-API-OAUTH-TOKEN: {data['accessToken']}", f"Authorization: Bearer {data['accessToken']}"):
        assert curl("-H", header, "-F", f"file=@{photo}", url).status == 200


def test_the_md5_of_a_password_counts_where_the_company_allows_it(service: Service, desk: Desk) -> None:
    md5 = hashlib.md5(PASSWORD.encode()).hexdigest()
    allowed, other = desk.company_with("tills", {"legacy-md5": "on"}), desk.company("others")
    for company, status in ((allowed, 200), (other, 401)):
        login = desk.user(company, "default")
        assert curl("-u", f"{login.name}:{md5}", f"{service.url}{REWARDS}").status == status
        assert curl("-u", login.curl, f"{service.url}{REWARDS}").status == 200


@pytest.mark.security(8)
def test_who_may_not_write_is_refused_before_the_body(
    service: Service, desk: Desk, company: Company, tmp_path: Path
) -> None:
    reader = desk.user(company, "files:read", name="reader")
    path = tmp_path / "large.png"
    path.write_bytes(bytes(5 << 20))
    answer = curl(
        "-u", reader.curl, "-H", "Expect: 100-continue", "-F", f"file=@{path}", f"{service.url}{REWARDS}/a.png"
    )
    assert (answer.interim, answer.status, answer.json()["code"]) == ((), 403, 403)


@pytest.mark.security(25)
def test_another_company_has_other_files_of_the_same_names(
    service: Service, desk: Desk, company: Company, login: Login
) -> None:
    other = desk.user(desk.company("other"), "default", "files:read", "files:write")
    with service.client(auth=login.pair) as client:
        mine = client.post(f"{REWARDS}/a.png", content=samples.png()).json()
    with service.client(auth=other.pair) as client:
        missing = client.get(f"{REWARDS}/never.png")
        for method, path in (
            ("GET", "/a.png"),
            ("GET", "/a.png/content"),
            ("GET", "/a.png/versions"),
            ("DELETE", "/a.png"),
            ("PUT", "/a.png/acl"),
        ):
            answer = client.request(method, REWARDS + path, json={"acl": "PUBLIC_READ"} if method == "PUT" else None)
            assert (answer.status_code, answer.json()) == (404, missing.json())
        theirs = client.post(f"{REWARDS}/a.png", content=samples.png()).json()
    assert theirs["file"]["version"] == 1
    assert theirs["file"]["file_handle"] != mine["file"]["file_handle"]


def test_a_link_dies_with_the_right_of_who_made_it(service: Service, desk: Desk, company: Company) -> None:
    login = desk.user(company, "default", name="temp")
    with service.client(auth=login.pair) as client:
        link = client.post(f"{REWARDS}/a.png", content=samples.png()).json()["secureFilePath"]
    desk.settled(company)
    assert curl(link).status == 200
    desk.grant(company, "temp")
    assert curl(link).status == 403


# --- what hostile input gets -----------------------------------------------------------------------


@pytest.mark.security(1)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_cap_leaves_nothing(service: Service, desk: Desk, chunked: bool) -> None:
    before = desk.orphans()
    company = desk.company_with("small", {"max-size": "100kB"})
    login = desk.user(company, "default")
    content = samples.png() + bytes(1_000_000)
    with service.client(auth=login.pair) as client:
        answer = client.post(f"{REWARDS}/a.png", content=iter([content]) if chunked else content)
        assert (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["code"]) == (
            413,
            413,
            "too_large",
        )
    assert desk.files(company) == ()
    service.until(lambda: desk.orphans() <= before)


@pytest.mark.security(5)
def test_an_encoded_body_is_refused(service: Service, login: Login) -> None:
    with service.client(auth=login.pair) as client:
        answer = client.post(f"{REWARDS}/a.png", content=samples.png(), headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (415, 415)


@pytest.mark.security(9)
@pytest.mark.security(11)
@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("%2e%2e%2f%2e%2e%2fevil.png", {400, 404}),
        ("..%5cevil.png", {400}),
        ("a%00.png", {400}),
        (quote("a" * 252 + ".png"), {400}),
        (quote("\u202egnp.png"), {400}),
        (quote("a\u2028.png"), {400}),
        ("%FF%FE.png", {200, 400}),
    ],
)
def test_names_that_cannot_be_kept_are_refused(
    service: Service, desk: Desk, company: Company, login: Login, name: str, statuses: set[int]
) -> None:
    with service.client(auth=login.pair) as client:
        answer = client.post(f"{REWARDS}/{name}", content=samples.png())
    assert answer.status_code in statuses, answer.text
    assert answer.json()["code"] == answer.status_code
    assert answer.status_code == 200 or desk.files(company) == ()


@pytest.mark.security(11)
@pytest.mark.parametrize(
    "name", ["日本語 写真.png", "ä.png", "a+b c&d=e.png", "100%.png", "semi;colon.png", "'quote'.png"]
)
def test_any_unicode_name_works_everywhere(
    service: Service, desk: Desk, company: Company, login: Login, name: str
) -> None:
    with service.client(auth=login.pair) as client:
        answer = client.post(f"{REWARDS}/{quote(name)}", content=samples.png()).json()
        assert answer["file"]["name"] == name
        desk.settled(company)
        assert client.get(f"{REWARDS}/{quote(name)}/content").content == samples.png()
    content = curl(answer["secureFilePath"])
    assert content.body == samples.png()
    assert f"filename*=UTF-8''{quote(name, safe='')}" in content.headers["content-disposition"].replace("%27", "'") or (
        name.isascii()
    )


@pytest.mark.security(13)
@pytest.mark.parametrize(
    ("name", "declared", "content"),
    [
        ("a.png", "image/png", samples.jpeg()),
        ("a.png", "image/jpeg", samples.png()),
        ("a.jpg", "", b"<html><script>alert(1)</script></html>"),
        ("a.php.png", "", samples.png()),
        ("a.svg", "", samples.pdf()),
        ("a.html", "", b"<html></html>"),
        ("a", "", samples.png()),
    ],
)
def test_extension_type_and_bytes_have_to_agree(
    service: Service, desk: Desk, company: Company, login: Login, name: str, declared: str, content: bytes
) -> None:
    before = desk.orphans()
    headers = {"Content-Type": declared} if declared else {}
    with service.client(auth=login.pair) as client:
        for answer in (
            client.post(f"{REWARDS}/{name}", content=content, headers=headers),
            client.post(f"{REWARDS}/{name}", files={"file": ("x", content, declared or None)}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (415, 415)
    assert desk.files(company) == ()
    service.until(lambda: desk.orphans() <= before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "extension", ["png", "jpg", "jpeg", "gif", "webp", "avif", "bmp", "tif", "tiff", "svg", "ico", "heic"]
)
def test_all_image_extensions_are_supported(
    service: Service, desk: Desk, company: Company, login: Login, extension: str
) -> None:
    makers: dict[str, Callable[[], bytes]] = {
        "jpg": samples.jpeg,
        "svg": samples.svg,
        "heic": lambda: samples.heic((64, 48)),
        "tif": lambda: samples.image("TIFF"),
    }
    makers["jpeg"] = makers["jpg"]
    content = makers.get(extension, lambda: samples.image(extension.upper()))()  # type: ignore[arg-type]  # Pillow's names
    with service.client(auth=login.pair) as client:
        answer = client.post(f"{REWARDS}/test.{extension}", content=content)
        assert answer.status_code == 200, answer.text
        desk.settled(company)
        assert client.get(f"{REWARDS}/test.{extension}/content").content == content


@pytest.mark.security(14)
def test_what_a_browser_could_run_is_an_attachment(service: Service, desk: Desk) -> None:
    company = desk.company_with("web", {"file-service.namespaces": '[{"name": "any"}]'})
    login = desk.user(company, "files:read", "files:write")
    with service.client(auth=login.pair) as client:
        for name, content, disposition in (
            ("a.html", b"<!DOCTYPE html><script>alert(1)</script>", "attachment"),
            ("a.svg", samples.svg(), "attachment"),
            ("a.pdf", samples.pdf(), "attachment"),
            ("a.png", samples.png(), "inline"),
        ):
            path = f"/api_gateway/file-service/any/{name}"
            link = client.post(path, content=content).json()["secureFilePath"]
            desk.settled(company)
            for answer in (client.get(f"{path}/content"), curl(link)):
                assert answer.headers["content-disposition"].startswith(disposition)
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
                assert answer.headers["cache-control"] == "private, no-store"
                assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.security(15)
def test_ten_thousand_ranges(service: Service, desk: Desk, company: Company, login: Login) -> None:
    with service.client(auth=login.pair) as client:
        client.post(f"{REWARDS}/a.png", content=samples.png())
        desk.settled(company)
        ranges = "bytes=" + ",".join("0-0" for _ in range(10_000))
        started = time.perf_counter()
        answer = client.get(f"{REWARDS}/a.png/content", headers={"Range": ranges})
        assert time.perf_counter() - started < 1
    assert answer.status_code in (200, 416, 431)


@pytest.mark.security(28)
def test_fields_that_name_what_is_not_theirs_are_ignored(
    service: Service, desk: Desk, company: Company, login: Login
) -> None:
    with service.client(auth=login.pair) as client:
        fields = {"acl": "PUBLIC_READ", "company": "other", "status": "ready", "version": "7", "file_handle": "x"}
        answer = client.post(f"{REWARDS}/a.png", data=fields, files={"file": ("a.png", samples.png())})
        file = answer.json()["file"]
        assert (file["acl"], file["version"]) == ("PRIVATE", 1)
        client.put(f"{REWARDS}/a.png/acl", json={"acl": "PUBLIC_READ", "namespace": "x", "owner": "x"})
    assert desk.file(company, file["file_handle"]).namespace == "rewards"


@pytest.mark.slow
async def test_what_was_acknowledged_survives_a_kill(make_service: Callable[..., Service]) -> None:
    service = make_service(lease="PT1S").start()
    company = service.desk.company()
    login = service.desk.user(company, "default")
    acknowledged: list[tuple[int, bytes]] = []

    async def send(client: httpx.AsyncClient) -> None:
        while True:
            image = samples.png() + os.urandom(100)
            answer = await client.post(f"{REWARDS}/one.png", content=image)
            acknowledged.append((answer.json()["file"]["version"], image))
            if len(acknowledged) == 30:
                service.kill()

    async with service.async_client(8, auth=login.pair) as client:
        ends = await asyncio.gather(*(send(client) for _ in range(8)), return_exceptions=True)
    assert all(isinstance(end, httpx.TransportError) for end in ends)

    service.start()
    service.desk.idle()
    with service.client(auth=login.pair) as again:
        for number, image in acknowledged:
            assert again.get(f"{REWARDS}/one.png/content", params={"version": number}).content == image
