"""Presigned uploads through a real server: what a signature opens, and all that it does not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import URLLib3Session
from botocore.parsers import create_parser
from botocore.session import Session

from loadingdock.core.administration import operator
from loadingdock.core.model.files import Acl, File, State
from loadingdock.core.receiving import Declaration
from tests import samples
from tests.acceptance.links import Holder, Promise, code, raw
from tests.curl import curl
from tests.service import Service

HELLO = b"hello dock\n"
HELLO_SHA256 = hashlib.sha256(HELLO).hexdigest()


@pytest.fixture
def holder(service: Service) -> Holder:
    return Holder(service)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def nothing_published(holder: Holder, promise: Promise) -> bool:
    file = holder.file(promise.file_id)
    return file.state is State.AWAITING_UPLOAD and file.version.blob_key is None


# --- what works ----------------------------------------------------------------------------------


def test_curl_sends_a_file_and_reads_it_back(holder: Holder, client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(samples.pdf("Annual report"))
    promise = holder.promise(client, "report.pdf")

    sent = curl("-T", path, promise.url)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (sent.status, sent.headers["etag"], sent.body) == (200, f'"{digest}"', b"")
    holder.desk.settled(holder.company)
    file = holder.file(promise.file_id)
    assert (file.state, file.version.sha256) == (State.READY, digest)
    read = curl(holder.download_url(file))
    assert (read.status, read.headers["etag"], read.body) == (200, f'"{digest}"', path.read_bytes())


@pytest.mark.parametrize("option", ["--data-binary", "-T"])
def test_whatever_type_curl_says_of_its_own_accord(
    holder: Holder, client: httpx.Client, tmp_path: Path, option: str
) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(HELLO)
    argument = f"@{path}" if option == "--data-binary" else str(path)
    assert curl("-X", "PUT", option, argument, holder.promise(client).url).status == 200


def test_a_chunked_body(holder: Holder, client: httpx.Client) -> None:
    answer = client.put(holder.promise(client).url, content=iter([HELLO] * 1000))
    assert answer.status_code == 200
    assert answer.headers["etag"] == f'"{hashlib.sha256(HELLO * 1000).hexdigest()}"'


def test_an_amazon_client_understands_answer_and_error(holder: Holder, client: httpx.Client) -> None:
    """botocore's own HTTP session sends; botocore's own parser reads."""
    promise = holder.promise(client)
    model = Session().get_service_model("s3").operation_model("PutObject")
    parser = create_parser(model.service_model.protocol)
    for expected in (200, 409):
        request = AWSPreparedRequest("PUT", promise.url, {"Content-Length": str(len(HELLO))}, HELLO, False)
        answer = URLLib3Session().send(request)
        parsed = parser.parse(
            {"status_code": answer.status_code, "headers": answer.headers, "body": answer.content}, model.output_shape
        )
        assert parsed["ResponseMetadata"]["HTTPStatusCode"] == expected
        if expected == 200:
            assert parsed["ETag"] == f'"{HELLO_SHA256}"'
            assert base64.b64decode(parsed["ChecksumSHA256"]).hex() == HELLO_SHA256
        else:
            assert parsed["Error"]["Code"] == "ObjectAlreadyExists"
            assert parsed["ResponseMetadata"]["RequestId"] == answer.headers["x-amz-request-id"]


def test_a_url_signed_by_amazons_signer_is_as_good(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    assert client.put(holder.aws_url("PUT", promise), content=HELLO).status_code == 200


# --- once, and only once -------------------------------------------------------------------------


@pytest.mark.security(19)
async def test_of_many_puts_at_once_one_succeeds(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    async with holder.service.async_client() as many:
        answers = await asyncio.gather(*(many.put(promise.url, content=b"%d" % n * 1000) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    winner = next(answer for answer in answers if answer.status_code == 200)
    file = holder.file(promise.file_id)
    assert winner.headers["etag"] == f'"{file.version.sha256}"'
    assert {code(answer.content) for answer in answers if answer.status_code == 409} == {"ObjectAlreadyExists"}


@pytest.mark.security(19)
def test_a_finished_url_takes_nothing_more_and_the_served_digest_is_the_scanned_one(
    holder: Holder, client: httpx.Client
) -> None:
    promise = holder.promise(client)
    assert client.put(promise.url, content=HELLO).status_code == 200
    holder.desk.settled(holder.company)
    for begin in ({}, {"Upload-Complete": "?0"}, {"Upload-Complete": "?1"}):
        again = client.put(promise.url, content=b"something else", headers=begin)
        assert (again.status_code, code(again.content)) == (409, "ObjectAlreadyExists")
    file = holder.file(promise.file_id)
    served = client.get(holder.download_url(file))
    assert hashlib.sha256(served.content).hexdigest() == file.version.sha256 == HELLO_SHA256


# --- what the signature binds --------------------------------------------------------------------


@pytest.mark.security(20)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE"])
def test_another_method(holder: Holder, client: httpx.Client, method: str) -> None:
    promise = holder.promise(client)
    answer = raw(holder.service, method, promise.target)
    assert answer.status == 403
    assert method == "HEAD" or code(answer.content) == "SignatureDoesNotMatch"  # type: ignore[attr-defined]


@pytest.mark.security(20)
@pytest.mark.parametrize(
    "change",
    [
        lambda target: target.replace("/objects/", "//objects/", 1),
        lambda target: target.replace("/objects/", "/objects//", 1),
        lambda target: target.replace("/objects/", "/objects/./", 1),
        lambda target: target.replace("/objects/", "/objects/x/../", 1),
        lambda target: target.replace("/objects/", "/%6fbjects/", 1),
        lambda target: target.replace("-", "%2D", 1),
        lambda target: target.replace("?", "/?", 1),
        lambda target: "%2F".join(target.rsplit("/", 1)) if target.count("/") == 3 else target.replace("/", "%2F", 3),
        lambda target: target.replace("X-Dock-Max-Size=10485760", "X-Dock-Max-Size=99999999", 1),
        lambda target: target.replace("files%3Awrite", "admin", 1),
        lambda target: target.replace("X-Amz-Expires=600", "X-Amz-Expires=601", 1),
        lambda target: target + "&X-Dock-Max-Size=10485760",
        lambda target: target + "&x=1",
        lambda target: target + "&",
        lambda target: target.replace("&X-Amz-Expires=600", "", 1),
        lambda target: target[:-1] + ("0" if target[-1] != "0" else "1"),
        lambda target: target.replace("X-Amz-Signature=", "X-Amz-Signature=0", 1),
        lambda target: target.partition("?")[0],
    ],
)
def test_another_spelling_of_path_or_query(holder: Holder, client: httpx.Client, change: Callable[[str], str]) -> None:
    promise = holder.promise(client)
    changed = change(promise.target)
    assert changed != promise.target
    answer = raw(holder.service, "PUT", changed, HELLO)
    assert answer.status in {403, 404}
    if changed.startswith("/objects/"):
        assert (answer.status, code(answer.content)) == (403, "SignatureDoesNotMatch")  # type: ignore[attr-defined]
    assert nothing_published(holder, promise)


@pytest.mark.security(20)
def test_another_host_company_or_upload(holder: Holder, client: httpx.Client) -> None:
    promise, other = holder.promise(client), holder.promise(client)
    foreign = Holder(holder.service)
    targets = [
        (
            promise.target.replace(
                promise.target.split("/")[3].partition("?")[0], other.target.split("/")[3].partition("?")[0]
            ),
            {},
        ),
        (promise.target.replace(str(holder.company.number), str(foreign.company.number)), {}),
        (promise.target, {"host": "files.example.com"}),
    ]
    for target, headers in targets:
        answer = raw(holder.service, "PUT", target, HELLO, **headers)
        assert (answer.status, code(answer.content)) == (403, "SignatureDoesNotMatch")  # type: ignore[attr-defined]
    assert nothing_published(holder, promise)
    assert nothing_published(holder, other)


@pytest.mark.security(20)
def test_a_right_signature_of_a_foreign_company_opens_nothing(holder: Holder, client: httpx.Client) -> None:
    """Whoever may sign for one company signs an address of another."""
    promise, foreign = holder.promise(client), Holder(holder.service)
    theirs = foreign.promise(client)
    path = f"/objects/{holder.company.number}/" + promise.target.split("/")[3].partition("?")[0]
    url = foreign.presigner().url(
        "PUT",
        path,
        signer=theirs.signer,
        expires_in=timedelta(minutes=5),
        now=datetime.now(UTC),
        query={"X-Dock-Permission": "files:write"},
    )
    assert client.put(url, content=HELLO).status_code == 403
    own_path = url.replace(f"/{holder.company.number}/", f"/{foreign.company.number}/")
    assert client.put(own_path, content=HELLO).status_code == 403
    assert nothing_published(holder, promise)


@pytest.mark.security(21)
@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-meta-owner": "bert"},
        {"X-Amz-Acl": "public-read"},
        {"x-amz-checksum-sha256": "AAAA"},
        {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"},
        {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
        {"content-encoding": "aws-chunked"},
        {"x-amz-trailer": "x-amz-checksum-crc32"},
    ],
)
def test_unsigned_amazon_headers_and_streaming_payloads(
    holder: Holder, client: httpx.Client, headers: dict[str, str]
) -> None:
    promise = holder.promise(client)
    assert client.put(promise.url, content=HELLO, headers=headers).status_code == 403
    assert nothing_published(holder, promise)


@pytest.mark.security(21)
@pytest.mark.parametrize("expires", [0, -1, 604_801, "1e3", ""])
def test_lives_that_no_link_has(holder: Holder, client: httpx.Client, expires: object) -> None:
    promise = holder.promise(client)
    answer = client.put(holder.aws_url("PUT", promise, expires=expires), content=HELLO)
    assert answer.status_code == 403
    assert nothing_published(holder, promise)


@pytest.mark.security(21)
def test_after_its_time_a_link_says_that_it_has_expired(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    past = datetime.now(UTC) - timedelta(seconds=601)
    answer = client.put(holder.aws_url("PUT", promise, now=past), content=HELLO)
    assert (answer.status_code, code(answer.content)) == (403, "AccessDenied")
    assert "Request has expired" in answer.text
    future = datetime.now(UTC) + timedelta(hours=1)
    answer = client.put(holder.aws_url("PUT", promise, now=future), content=HELLO)
    assert (answer.status_code, code(answer.content)) == (403, "SignatureDoesNotMatch")


def test_a_longer_signature_does_not_prolong_the_promise(service: Service, client: httpx.Client) -> None:
    """The upload has an end of its own, which no signature can move."""
    holder = Holder(service, signed_url__expires_in="1s")
    promise = holder.promise(client)
    end = holder.desk.ask(
        lambda services: services.promises.look(holder.company.id, promise.target.split("/")[3].partition("?")[0])
    )[0].expires_at
    service.until(lambda: datetime.now(UTC) > end)
    answer = client.put(holder.aws_url("PUT", promise, expires=600), content=HELLO)
    assert answer.status_code in {403, 404}  # 404 once the sweep has taken the promise back


# --- what comes has to be what was promised ------------------------------------------------------


@pytest.mark.security(22)
def test_more_bytes_than_the_limit_however_they_come(service: Service, client: httpx.Client) -> None:
    holder = Holder(service, signed_url__max_size="1000B")
    for content in (bytes(b"a" * 1001), iter([b"a" * 500] * 3)):
        promise = holder.promise(client)
        before = len(service.stored())  # nobody looks into a file at this moment
        answer = client.put(promise.url, content=content)
        assert (answer.status_code, code(answer.content)) == (413, "EntityTooLarge")
        assert answer.headers["upload-limit"] == "max-size=1000"
        assert nothing_published(holder, promise)
        assert len(service.stored()) == before
        assert client.put(promise.url, content=b"a" * 1000).status_code == 200
        holder.desk.settled(holder.company)


@pytest.mark.security(22)
def test_bytes_of_another_type(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client, "report.pdf")
    for content, headers in (
        (samples.png(), {}),
        (HELLO, {}),
        (samples.pdf(), {"content-type": "image/png"}),
        (samples.zip_file({"a": b"b"}), {}),
    ):
        answer = client.put(promise.url, content=content, headers=headers)
        assert (answer.status_code, code(answer.content)) == (415, "UnsupportedMediaType")
        assert nothing_published(holder, promise)
    assert client.put(promise.url, content=samples.pdf()).status_code == 200


@pytest.mark.security(12)
@pytest.mark.security(22)
def test_a_claimed_digest_that_differs_keeps_nothing(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    sha256 = hashlib.sha256(b"other").digest()
    md5 = hashlib.md5(b"other").digest()
    b64 = base64.b64encode
    before = holder.desk.orphans()
    for headers in (
        {"content-md5": b64(md5).decode()},
        {"repr-digest": f"sha-256=:{b64(sha256).decode()}:"},
        {"content-digest": f"sha-256=:{b64(sha256).decode()}:"},
    ):
        answer = client.put(promise.url, content=HELLO, headers=headers)
        assert (answer.status_code, code(answer.content)) == (400, "BadDigest")
        assert nothing_published(holder, promise)
    unreadable = client.put(promise.url, content=HELLO, headers={"content-md5": "!"})
    assert (unreadable.status_code, code(unreadable.content)) == (400, "InvalidArgument")
    holder.service.until(lambda: holder.desk.orphans() <= before)
    right = {"content-md5": b64(hashlib.md5(HELLO).digest()).decode()}
    assert client.put(promise.url, content=HELLO, headers=right).status_code == 200


@pytest.mark.security(12)
def test_the_same_bytes_of_two_companies_are_two_blobs(holder: Holder, client: httpx.Client) -> None:
    other = Holder(holder.service)
    one, two = holder.ready(client, HELLO), other.ready(client, HELLO)
    assert one.version.sha256 == two.version.sha256
    assert one.version.blob_key != two.version.blob_key
    assert client.delete(f"/v1/files/{one.id}", headers=holder.headers).status_code == 204
    assert client.get(f"/v1/files/{two.id}/content", headers=other.headers).content == HELLO


def test_a_coded_body_is_not_stored_undecoded(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    answer = client.put(promise.url, content=HELLO, headers={"content-encoding": "gzip"})
    assert (answer.status_code, code(answer.content)) == (415, "UnsupportedMediaType")
    assert nothing_published(holder, promise)


def test_nothing_is_asked_for_of_a_body_that_is_refused(holder: Holder, client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"a" * (11 << 20))
    promise = holder.promise(client)
    for url, status in ((promise.url + "0", 403), (promise.url, 413)):
        answer = curl("-H", "Expect: 100-continue", "-T", path, url)
        assert (answer.interim, answer.status) == ((), status)


# --- when it is dead -----------------------------------------------------------------------------


@pytest.mark.security(22)
def test_a_link_dies_with_its_signer(holder: Holder, client: httpx.Client) -> None:
    promise, file = holder.promise(client), holder.ready(client, HELLO)
    url = holder.download_url(file)
    assert client.get(url).status_code == 200
    holder.revoke()
    for answer in (client.put(promise.url, content=HELLO), client.get(url)):
        assert (answer.status_code, code(answer.content)) == (403, "SignatureDoesNotMatch")
    assert nothing_published(holder, promise)


@pytest.mark.security(22)
def test_a_link_dies_with_its_right_and_its_company(holder: Holder, client: httpx.Client) -> None:
    """A user may lose a right and keep the others; a key cannot, so a user signs here."""
    desk, company = holder.desk, holder.company
    login = desk.user(company, "files:read", "files:write")
    file = holder.ready(client, HELLO)
    principal = desk.ask(lambda services: services.access.basic(login.name, login.password, address=None))
    url = desk.ask(
        lambda services: services.links.download_url(
            principal, file, file.version, permission="files:read", expires_in=timedelta(minutes=5)
        )
    )
    assert client.get(url).status_code == 200
    desk.ask(lambda services: services.administration.set_grants(operator(company), "anna", ["files:write"]))
    refused = client.get(url)
    assert (refused.status_code, code(refused.content)) == (403, "AccessDenied")
    desk.ask(lambda services: services.administration.set_grants(operator(company), "anna", ["files:read"]))
    assert client.get(url).status_code == 200
    desk.ask(lambda services: services.administration.disable_company(operator(company)))
    assert client.get(url).status_code == 403


@pytest.mark.security(22)
def test_a_link_dies_with_its_file(holder: Holder, client: httpx.Client) -> None:
    promise, file = holder.promise(client), holder.ready(client, HELLO)
    url = holder.download_url(file)
    for id in (promise.file_id, file.id):
        assert client.delete(f"/v1/files/{id}", headers=holder.headers).status_code == 204
    put, get = client.put(promise.url, content=HELLO), client.get(url)
    assert (put.status_code, code(put.content)) == (404, "NoSuchUpload")
    assert (get.status_code, code(get.content)) == (404, "NoSuchKey")


@pytest.mark.slow
@pytest.mark.security(22)
def test_no_log_holds_a_signature(make_service: Callable[..., Service]) -> None:
    service = make_service(log_level="debug").start()
    holder = Holder(service)
    with service.client() as client:
        promise = holder.promise(client)
        client.put(promise.url, content=HELLO)
        client.put(promise.url, content=HELLO)
        client.put(promise.url + "0", content=HELLO)
        location = client.put(holder.promise(client).url, headers={"Upload-Complete": "?0"}).headers["location"]
        client.patch(location, content=HELLO)
    service.stop()
    for url in (promise.url, location):
        assert url.rpartition("X-Amz-Signature=")[2] not in service.log()


# --- browsers, and everybody ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "methods"),
    [("u", "PUT"), ("u/a", "PATCH, HEAD, DELETE"), ("f/1/name.txt", "GET, HEAD")],
)
def test_preflights_of_every_address(holder: Holder, client: httpx.Client, path: str, methods: str) -> None:
    holder.desk.set(holder.company, {"cors-origins": "https://app.example.com"})
    for origin, named in (("https://app.example.com", "https://app.example.com"), ("https://evil.example", None)):
        answer = client.options(f"/objects/{holder.company.number}/{path}?X=1", headers={"origin": origin})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-methods"] == methods
        assert answer.headers["access-control-allow-origin"] == (named or "https://app.example.com")
        assert answer.headers["vary"] == "Origin"
        assert ("accept-patch" in answer.headers) == ("GET" not in methods)


def test_companies_that_are_not_there_answer_preflights_like_any(holder: Holder, client: httpx.Client) -> None:
    known = client.options(f"/objects/{holder.company.number}/u", headers={"origin": "https://x.example"})
    for number in ("1", "0", "x", "9" * 30):
        answer = client.options(f"/objects/{number}/u", headers={"origin": "https://x.example"})
        assert answer.headers["access-control-allow-origin"] == known.headers["access-control-allow-origin"]


def test_a_file_of_everybodys_needs_no_signature(holder: Holder, client: httpx.Client) -> None:
    principal = operator(holder.company)

    async def batches() -> AsyncIterator[list[bytes]]:
        yield [HELLO]

    def receive(name: str, acl: Acl) -> File:
        declaration = Declaration(api="test", name=name, max_size=1000, namespace="rewards", acl=acl)
        return holder.desk.ask(lambda services: services.uploads.receive(principal, declaration, batches()))

    file = receive("täglich #1.txt", Acl.PUBLIC_READ)
    receive("private.txt", Acl.PRIVATE)
    holder.desk.settled(holder.company)
    url = holder.desk.services.links.public_read_url(principal, file)
    answer = client.get(url)
    assert (answer.status_code, answer.content) == (200, HELLO)
    assert answer.headers["cache-control"] == "public, no-cache"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert client.get(url, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    assert client.head(url).headers["content-length"] == str(len(HELLO))
    base = f"/public/{holder.company.number}/rewards"
    for path in (
        f"{base}/private.txt",
        f"{base}/absent.txt",
        "/public/1/rewards/a",
        "/public/x/rewards/a",
        "/public/1",
    ):
        refused = client.get(path)
        assert (refused.status_code, code(refused.content)) == (404, "NoSuchKey")
    holder.desk.ask(lambda services: services.files.set_acl(principal, file, Acl.PRIVATE))
    assert client.get(url).status_code == 404
