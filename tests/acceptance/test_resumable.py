"""Resumable uploads at presigned URLs (draft-ietf-httpbis-resumable-upload), through a real server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import random
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from loadingdock.core.model.files import State
from tests import samples
from tests.acceptance.links import PARTIAL, Holder, Promise, code, raw
from tests.service import Service

BEGIN = {"Upload-Complete": "?0"}
TEXT = b"".join(b"line %d of a text that is sent in several parts\n" % n for n in range(50_000))  # some 2 MB


@pytest.fixture
def holder(service: Service) -> Holder:
    return Holder(service)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def begin(client: httpx.Client, url: str, content: bytes = b"", **headers: str) -> str:
    answer = client.put(url, content=content, headers=BEGIN | headers)
    assert answer.status_code == 201, answer.text
    assert answer.headers["upload-complete"] == "?0"
    assert answer.headers["upload-offset"] == str(len(content))
    return answer.headers["location"]


def append(
    client: httpx.Client, location: str, content: bytes, offset: int, *, last: bool = False, **headers: str
) -> httpx.Response:
    own = {"Upload-Offset": str(offset), "Upload-Complete": "?1" if last else "?0", "Content-Type": PARTIAL}
    return client.patch(location, content=content, headers=own | headers)


def offset_of(client: httpx.Client, location: str) -> int:
    answer = client.head(location)
    assert answer.status_code == 204, answer.text
    assert answer.headers["upload-complete"] == "?0"
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


# --- the protocol --------------------------------------------------------------------------------


def test_in_three_parts(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    location = begin(client, promise.url, TEXT[:1000])
    second = append(client, location, TEXT[1000:900_000], 1000)
    assert (second.status_code, second.headers["upload-offset"]) == (204, "900000")
    assert second.headers["upload-complete"] == "?0"
    done = append(client, location, TEXT[900_000:], 900_000, last=True)
    assert (done.status_code, done.headers["upload-complete"]) == (200, "?1")
    assert done.headers["etag"] == f'"{hashlib.sha256(TEXT).hexdigest()}"'
    holder.desk.settled(holder.company)
    file = holder.file(promise.file_id)
    assert file.state is State.READY
    assert holder.desk.read(holder.company, file) == TEXT
    after = client.head(location)
    assert (after.headers["upload-complete"], after.headers["upload-offset"]) == ("?1", str(len(TEXT)))
    assert after.headers["etag"] == done.headers["etag"]


def test_what_the_answers_say_of_limits_and_lengths(holder: Holder, client: httpx.Client) -> None:
    answer = client.put(holder.promise(client).url, headers=BEGIN | {"Upload-Length": "2000"})
    limits = re.fullmatch(r"max-size=10485760, max-age=(\d+)", answer.headers["upload-limit"])
    assert limits is not None
    assert 500 < int(limits[1]) <= 600
    assert answer.headers["upload-length"] == "2000"
    shown = client.head(answer.headers["location"])
    assert (shown.status_code, shown.headers["upload-length"]) == (204, "2000")
    assert shown.headers["upload-limit"].startswith("max-size=10485760, max-age=")


def test_a_put_that_says_it_is_whole_is_answered_so(holder: Holder, client: httpx.Client) -> None:
    answer = client.put(holder.promise(client).url, content=b"hello", headers={"Upload-Complete": "?1"})
    assert (answer.status_code, answer.headers["upload-complete"]) == (200, "?1")
    assert "location" not in answer.headers


def test_what_cannot_be_read_is_ignored(holder: Holder, client: httpx.Client) -> None:
    """The draft: other values cause the whole field to be ignored."""
    for value in ("0", "?2", "true", "", "?0, ?0"):
        answer = client.put(holder.promise(client).url, content=b"hello", headers={"Upload-Complete": value})
        assert (answer.status_code, answer.headers.get("location")) == (200, None)
    with_parameter = client.put(holder.promise(client).url, headers={"Upload-Complete": "?0;a=1;b"})
    assert with_parameter.status_code == 201


def test_a_last_append_may_be_empty(holder: Holder, client: httpx.Client) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    done = append(client, location, b"", 5, last=True)
    assert (done.status_code, done.headers["etag"]) == (200, f'"{hashlib.sha256(b"hello").hexdigest()}"')


def test_a_promised_type_and_length_hold_for_the_whole(service: Service, client: httpx.Client) -> None:
    desk = service.desk
    company = desk.company("erp")
    token = desk.token(desk.oauth_client(company, "transactions:post"))
    content = samples.pdf("Invoice")
    asked = {
        "contentType": "application/pdf",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    url = client.post("/v1/fileUpload", json=asked, headers={"authorization": token}).json()["uploadUrl"]
    location = begin(client, url, content[:100], **{"Content-Type": "application/pdf"})
    early = append(client, location, b"", 100, last=True)
    assert (early.status_code, code(early.content)) == (400, "IncompleteBody")
    assert offset_of(client, location) == 100
    done = append(client, location, content[100:], 100, last=True)
    assert done.status_code == 200
    (file,) = desk.settled(company)
    assert file.state is State.READY


# --- interrupted ---------------------------------------------------------------------------------


def broken_patch(service: Service, location: str, offset: int, content: bytes, claimed: int) -> None:
    """Sends a part of what it announced and goes away."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    target = location.removeprefix(service.url)
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"PATCH {target} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {PARTIAL}\r\nUpload-Complete: ?1\r\n"
            f"Upload-Offset: {offset}\r\nContent-Length: {claimed}\r\n\r\n"
        )
        connection.sendall(head.encode() + content)


def test_an_interrupted_append_goes_on_where_it_stood(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    location = begin(client, promise.url)
    at = 0
    for upto in (700_000, 1_400_000):
        broken_patch(holder.service, location, at, TEXT[at:upto], len(TEXT) - at)
        last = at
        holder.service.until(lambda last=last: offset_of(client, location) > last)  # type: ignore[misc]
        at = offset_of(client, location)
        assert at <= upto
    done = append(client, location, TEXT[at:], at, last=True)
    assert (done.status_code, done.headers["etag"]) == (200, f'"{hashlib.sha256(TEXT).hexdigest()}"')


@pytest.mark.slow
@pytest.mark.embedded  # what came is waited for in the folder
def test_asking_for_the_offset_ends_an_append_that_hangs(holder: Holder, client: httpx.Client) -> None:
    """Its client is thought to be gone; what came is kept, and the offset can be used at once."""
    location = begin(client, holder.promise(client).url)
    host, _, port = holder.service.url.removeprefix("http://").partition(":")
    target = location.removeprefix(holder.service.url)
    with socket.create_connection((host, int(port))) as hanging:
        head = (
            f"PATCH {target} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {PARTIAL}\r\nUpload-Complete: ?1\r\n"
            f"Upload-Offset: 0\r\nContent-Length: {len(TEXT)}\r\n\r\n"
        )
        hanging.sendall(head.encode() + TEXT[:1_500_000])
        staged = [path for path in holder.service.stored() if path.parent.name == "staging"]
        holder.service.until(lambda: any(path.stat().st_size > 1 << 20 for path in staged))
        at = offset_of(client, location)
        done = append(client, location, TEXT[at:], at, last=True)
        assert done.status_code == 200
        hanging.settimeout(30)
        assert b" 409 " in hanging.recv(65536).splitlines()[0]


@pytest.mark.slow
def test_an_upload_outlives_the_server(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    holder = Holder(service)
    with service.client() as client:
        promise = holder.promise(client)
        location = begin(client, promise.url, TEXT[:600_000])
        assert append(client, location, TEXT[600_000:900_000], 600_000).status_code == 204
    service.restart()
    with service.client() as client:
        assert offset_of(client, location) == 900_000
        assert append(client, location, TEXT[900_000:], 900_000, last=True).status_code == 200
        holder.desk.settled(holder.company)
        assert holder.desk.read(holder.company, holder.file(promise.file_id)) == TEXT


# --- races ---------------------------------------------------------------------------------------


async def test_of_twin_appends_at_one_offset_one_wins(holder: Holder, client: httpx.Client) -> None:
    for last in (False, True):
        promise = holder.promise(client)
        location = begin(client, promise.url, b"0" * 10)
        async with holder.service.async_client() as many:
            headers = {"Upload-Offset": "10", "Upload-Complete": "?1" if last else "?0", "Content-Type": PARTIAL}
            answers = await asyncio.gather(
                *(many.patch(location, content=b"%d" % n * 100_000, headers=headers) for n in range(1, 6))
            )
        won = [n for n, answer in enumerate(answers, 1) if answer.is_success]
        assert len(won) == 1
        assert {answer.status_code for answer in answers} == {200 if last else 204, 409}
        if not last:
            assert offset_of(client, location) == 100_010
            assert append(client, location, b"", 100_010, last=True).status_code == 200
        holder.desk.settled(holder.company)
        content = holder.desk.read(holder.company, holder.file(promise.file_id))
        assert content == b"0" * 10 + b"%d" % won[0] * 100_000


def test_another_offset_is_told_the_right_one(holder: Holder, client: httpx.Client) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    for offset in (0, 4, 6, 99):
        answer = append(client, location, b"x", offset)
        assert (answer.status_code, code(answer.content)) == (409, "MismatchingUploadOffset")
        assert (answer.headers["upload-offset"], answer.headers["upload-complete"]) == ("5", "?0")
    assert offset_of(client, location) == 5


def test_after_its_end_nothing_is_appended(holder: Holder, client: httpx.Client) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    assert append(client, location, b"", 5, last=True).status_code == 200
    for content in (b"", b"more"):
        answer = append(client, location, content, 5, last=True)
        assert (answer.status_code, code(answer.content)) == (409, "ObjectAlreadyExists")
        assert answer.headers["upload-complete"] == "?1"
    assert client.delete(location).status_code == 409


# --- ended, and begun anew -----------------------------------------------------------------------


def test_cancelled_the_bytes_go_and_the_promise_stays(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    location = begin(client, promise.url, TEXT[:1000])
    assert client.delete(location).status_code == 204
    for answer in (client.get(location), append(client, location, b"x", 1000)):
        assert answer.status_code in {403, 404}
    assert client.head(location).status_code == 404
    assert client.delete(location).status_code == 404
    holder.service.until(lambda: not holder.desk.orphans())
    assert client.put(promise.url, content=b"hello").status_code == 200


def test_a_new_put_begins_anew(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    first = begin(client, promise.url, b"first ")
    second = begin(client, promise.url, b"second ")
    assert client.head(first).status_code == 404
    assert append(client, first, b"x", 6).status_code == 404
    done = append(client, second, b"try", 7, last=True)
    assert done.headers["etag"] == f'"{hashlib.sha256(b"second try").hexdigest()}"'


def test_a_whole_put_ends_what_was_begun(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    location = begin(client, promise.url, b"begun")
    assert client.put(promise.url, content=b"whole").status_code == 200
    assert append(client, location, b"x", 5).status_code == 409
    holder.service.until(lambda: not holder.desk.orphans())


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.security(20)
@pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
def test_the_address_admits_three_methods(holder: Holder, client: httpx.Client, method: str) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    answer = raw(holder.service, method, location.removeprefix(holder.service.url), b"x")
    assert (answer.status, code(answer.content)) == (403, "SignatureDoesNotMatch")  # type: ignore[attr-defined]
    assert offset_of(client, location) == 5


@pytest.mark.security(20)
@pytest.mark.parametrize("method", ["PATCH", "HEAD", "DELETE"])
def test_the_address_is_bound_byte_by_byte(holder: Holder, client: httpx.Client, method: str) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    path, _, query = location.removeprefix(holder.service.url).partition("?")
    for changed in (
        path.rpartition("/")[0] + "?" + query,
        path[:-1] + ("0" if path[-1] != "0" else "1") + "?" + query,
        path + "?" + query.replace("X-Amz-Expires=", "X-Amz-Expires=1"),
        path + "?" + query + "&a=b",
        path.replace("/objects/", "/objects//", 1) + "?" + query,
    ):
        assert raw(holder.service, method, changed).status == 403
    assert offset_of(client, location) == 5


def test_an_append_without_its_headers(holder: Holder, client: httpx.Client) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    right = {"Upload-Offset": "5", "Upload-Complete": "?0", "Content-Type": PARTIAL}
    for name, value, status, expected in (
        ("Upload-Offset", None, 400, "InvalidArgument"),
        ("Upload-Offset", "-5", 400, "InvalidArgument"),
        ("Upload-Offset", "5.0", 400, "InvalidArgument"),
        ("Upload-Complete", None, 400, "InvalidArgument"),
        ("Upload-Complete", "yes", 400, "InvalidArgument"),
        ("Content-Type", "application/octet-stream", 415, "UnsupportedMediaType"),
        ("Content-Type", None, 415, "UnsupportedMediaType"),
        ("Content-Encoding", "gzip", 415, "UnsupportedMediaType"),
    ):
        headers = {k: v for k, v in (right | {name: value}).items() if v is not None}
        answer = client.patch(location, content=b"x", headers=headers)
        assert (answer.status_code, code(answer.content)) == (status, expected), (name, value)
    assert offset_of(client, location) == 5


def test_lengths_that_contradict_each_other(holder: Holder, client: httpx.Client) -> None:
    promise = holder.promise(client)
    location = begin(client, promise.url, b"hello", **{"Upload-Length": "10"})
    for answer in (
        append(client, location, b"x", 5, **{"Upload-Length": "11"}),
        append(client, location, b"1234", 5, last=True),
        append(client, location, b"123456", 5, last=True),
    ):
        assert answer.status_code == 400
        assert code(answer.content) in {"InvalidArgument", "IncompleteBody"}
    assert offset_of(client, location) == 5
    assert append(client, location, b"12345", 5, last=True).status_code == 200


@pytest.mark.security(1)
def test_more_than_the_length_ends_the_attempt(holder: Holder, client: httpx.Client) -> None:
    """The draft: the upload resource is then invalid. A chunked body cannot be refused by its header."""
    promise = holder.promise(client)
    location = begin(client, promise.url, b"hello", **{"Upload-Length": "10"})
    headers = {"Upload-Offset": "5", "Upload-Complete": "?0", "Content-Type": PARTIAL}
    answer = client.patch(location, content=iter([b"123", b"456"]), headers=headers)
    assert (answer.status_code, code(answer.content)) == (400, "IncompleteBody")
    assert client.head(location).status_code == 404
    assert client.put(promise.url, content=b"hello").status_code == 200


@pytest.mark.security(1)
def test_more_than_the_limit(service: Service, client: httpx.Client) -> None:
    holder = Holder(service, signed_url__max_size="1000B")
    promise = holder.promise(client)
    location = begin(client, promise.url, b"a" * 900)
    by_header = append(client, location, b"a" * 101, 900)
    assert (by_header.status_code, code(by_header.content)) == (413, "EntityTooLarge")
    assert by_header.headers["upload-limit"] == "max-size=1000"
    assert offset_of(client, location) == 900
    announced = client.put(promise.url, headers=BEGIN | {"Upload-Length": "1001"})
    assert announced.status_code == 413
    assert offset_of(client, location) == 900
    headers = {"Upload-Offset": "900", "Upload-Complete": "?0", "Content-Type": PARTIAL}
    streamed = client.patch(location, content=iter([b"a" * 50] * 3), headers=headers)
    assert streamed.status_code == 413
    assert client.head(location).status_code == 404


@pytest.mark.security(13)
def test_a_type_that_shows_itself_late_is_refused_all_the_same(holder: Holder, client: httpx.Client) -> None:
    """The first part is too small to tell; the whole is not."""
    promise = holder.promise(client, "report.pdf")
    png = samples.png((64, 64))
    location = begin(client, promise.url, b"")
    assert append(client, location, png[:4], 0).status_code in {204, 415}
    if client.head(location).status_code == 204:
        answer = append(client, location, png[4:], 4, last=True)
        assert (answer.status_code, code(answer.content)) == (415, "UnsupportedMediaType")
        assert answer.headers["upload-complete"] == "?1"
    assert holder.file(promise.file_id).state is State.AWAITING_UPLOAD
    assert client.put(promise.url, content=samples.pdf()).status_code == 200


@pytest.mark.security(12)
def test_digests_of_parts_and_of_the_whole(holder: Holder, client: httpx.Client) -> None:
    def sha256(content: bytes) -> str:
        return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"

    promise = holder.promise(client)
    location = begin(
        client, promise.url, b"hello ", **{"Content-Digest": sha256(b"hello "), "Repr-Digest": sha256(b"hello dock")}
    )
    wrong_part = append(client, location, b"dock", 6, last=True, **{"Content-Digest": sha256(b"other")})
    assert (wrong_part.status_code, code(wrong_part.content)) == (400, "BadDigest")
    assert offset_of(client, location) == 6
    done = append(client, location, b"dock", 6, last=True, **{"Content-Digest": sha256(b"dock")})
    assert done.status_code == 200

    promise = holder.promise(client)
    location = begin(client, promise.url, b"hello ", **{"Repr-Digest": sha256(b"hello dock")})
    wrong_whole = append(client, location, b"door", 6, last=True)
    assert (wrong_whole.status_code, code(wrong_whole.content)) == (400, "BadDigest")
    assert wrong_whole.headers["upload-complete"] == "?1"
    assert client.head(location).status_code == 404
    assert holder.file(promise.file_id).state is State.AWAITING_UPLOAD
    holder.service.until(lambda: not holder.desk.orphans())


@pytest.mark.security(22)
def test_the_address_dies_with_its_signer(holder: Holder, client: httpx.Client) -> None:
    location = begin(client, holder.promise(client).url, b"hello")
    holder.revoke()
    assert append(client, location, b"x", 5).status_code == 403
    assert client.head(location).status_code == 403


@pytest.mark.slow
@pytest.mark.security(6)
def test_empty_appends_do_not_keep_an_upload_alive(make_service: Callable[..., Service]) -> None:
    service = make_service(sweep_every="PT0.2S").start()
    holder = Holder(service, signed_url__expires_in="3s")
    with service.client() as client:
        promise = holder.promise(client)
        location = begin(client, promise.url, b"hello")
        end = end_of(holder, promise)
        statuses = []

        def dead() -> bool:
            statuses.append(append(client, location, b"", 5).status_code)
            return statuses[-1] != 204

        service.until(dead)
        assert datetime.now(UTC) > end - timedelta(seconds=1)  # links end with the second that theirs began in
        assert statuses[-1] == 403
        service.until(lambda: holder.file(promise.file_id).state is State.EXPIRED)
        service.until(lambda: not any(path.parent.name == "staging" for path in service.stored()))
        assert holder.status(client, promise.file_id)["processing_status"] == "EXPIRED"


def end_of(holder: Holder, promise: Promise) -> datetime:
    upload_id = promise.target.split("/")[3].partition("?")[0]
    upload, _ = holder.desk.ask(lambda services: services.promises.look(holder.company.id, upload_id))
    return upload.expires_at


def test_random_cuts_give_the_same_file(holder: Holder, client: httpx.Client) -> None:
    content = TEXT[:300_000]
    cuts = sorted({0, len(content), *random.sample(range(1, len(content)), 12)})
    promise = holder.promise(client)
    location = begin(client, promise.url)
    for start, end in itertools.pairwise(cuts):
        answer = append(client, location, content[start:end], start, last=end == len(content))
        assert answer.is_success, answer.text
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
