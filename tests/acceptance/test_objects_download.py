"""Presigned downloads through a real server: exactly one version, only once it has been scanned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from loadingdock.core.administration import operator
from loadingdock.core.model.files import File, State
from loadingdock.core.receiving import Declaration
from tests import samples
from tests.acceptance.links import Holder, code, raw
from tests.curl import curl
from tests.service import Service

HELLO = b"hello dock\n"


@pytest.fixture
def holder(service: Service) -> Holder:
    return Holder(service)


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with service.client() as opened:
        yield opened


def receive(holder: Holder, name: str, content: bytes, *, namespace: str = "") -> File:
    """A file received by the core itself: any type, any namespace."""

    async def batches() -> AsyncIterator[list[bytes]]:
        yield [content]

    declaration = Declaration(api="test", name=name, max_size=1 << 20, namespace=namespace)
    principal = operator(holder.company)
    file = holder.desk.ask(lambda services: services.uploads.receive(principal, declaration, batches()))
    holder.desk.settled(holder.company)
    return holder.file(file.id)


def alive(service: Service) -> bool:
    try:
        return httpx.get(f"{service.url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_curl_reads_whole_and_in_parts(holder: Holder, client: httpx.Client, tmp_path: Path) -> None:
    url = holder.download_url(holder.ready(client, HELLO))
    whole, part = curl(url), curl("-r", "6-9", url)
    assert (whole.status, whole.body) == (200, HELLO)
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"dock", "bytes 6-9/11")
    assert curl("-I", url).headers["content-length"] == "11"
    assert curl("-r", "99-", url).status == 416
    etag = whole.headers["etag"]
    assert curl("-H", f"If-None-Match: {etag}", url).status == 304
    assert curl("-H", 'If-Match: "other"', url).status == 412


def test_a_link_is_of_exactly_one_version(holder: Holder, client: httpx.Client) -> None:
    first = receive(holder, "plan.txt", b"first\n", namespace="rewards")
    one = holder.download_url(first, number=1)
    second = receive(holder, "plan.txt", b"second\n", namespace="rewards")
    assert second.version.number == 2
    assert client.get(one).content == b"first\n"
    assert client.get(holder.download_url(second, number=2)).content == b"second\n"
    assert client.get(one.replace("/1/plan.txt", "/2/plan.txt")).status_code == 403
    principal = operator(holder.company)
    holder.desk.ask(lambda services: services.files.delete(principal, second, 1))
    gone = client.get(one)
    assert (gone.status_code, code(gone.content)) == (404, "NoSuchVersion")


def test_names_of_any_script(holder: Holder, client: httpx.Client) -> None:
    for name in ("Übersicht 2026 (v1)+&=.txt", "報告書.txt", "a'b\"c;d.txt", "100%.txt", "emoji 🚢.txt"):
        file = holder.ready(client, HELLO, name)
        answer = client.get(holder.download_url(file))
        assert (answer.status_code, answer.content) == (200, HELLO), name


@pytest.mark.security(14)
@pytest.mark.parametrize(
    ("name", "content"),
    [("page.html", b"<!DOCTYPE html><script>alert(1)</script>"), ("logo.svg", samples.svg()), ("a.pdf", samples.pdf())],
)
def test_what_a_browser_could_run_is_an_attachment(
    holder: Holder, client: httpx.Client, name: str, content: bytes
) -> None:
    answer = client.get(holder.download_url(receive(holder, name, content)))
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_before_its_bytes_came(holder: Holder, client: httpx.Client) -> None:
    file = holder.file(holder.promise(client).file_id)
    answer = client.get(holder.download_url(file))
    assert (answer.status_code, code(answer.content)) == (409, "OperationAborted")


@pytest.mark.slow
def test_before_it_was_scanned(make_service: Callable[..., Service]) -> None:
    # Nobody listens there, so the service is never ready; it takes files in all the same.
    service = make_service(scanner_url="clamd://127.0.0.1:1").start(wait=False)
    service.until(lambda: alive(service), within=60)
    holder = Holder(service)
    with service.client() as client:
        promise = holder.promise(client)
        assert client.put(promise.url, content=HELLO).status_code == 200
        answer = client.get(holder.download_url(holder.file(promise.file_id)))
        assert (answer.status_code, code(answer.content)) == (409, "OperationAborted")


@pytest.mark.security(17)
def test_what_is_infected_nobody_reads(holder: Holder, client: httpx.Client) -> None:
    file = receive(holder, "eicar.com", samples.eicar())
    assert file.state is State.INFECTED
    answer = client.get(holder.download_url(file))
    assert (answer.status_code, code(answer.content)) == (403, "InvalidObjectState")


@pytest.mark.slow
def test_after_it_expired(make_service: Callable[..., Service]) -> None:
    service = make_service(sweep_every="PT0.2S").start()
    holder = Holder(service)
    with service.client() as client:
        file = holder.ready(client, HELLO)
        url = holder.download_url(file)
        soon = datetime.now(UTC) + timedelta(seconds=1)
        principal = operator(holder.company)
        holder.desk.ask(lambda services: services.files.extend(principal, file, soon))
        service.until(lambda: holder.file(file.id).state is State.EXPIRED)
        answer = client.get(url)
    assert (answer.status_code, code(answer.content)) == (410, "NoSuchKey")


@pytest.mark.security(20)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_another_method(holder: Holder, client: httpx.Client, method: str) -> None:
    url = holder.download_url(holder.ready(client, HELLO))
    answer = raw(holder.service, method, url.removeprefix(holder.service.url), b"x")
    assert (answer.status, code(answer.content)) == (403, "SignatureDoesNotMatch")  # type: ignore[attr-defined]


@pytest.mark.security(20)
def test_another_version_or_name(holder: Holder, client: httpx.Client) -> None:
    target = holder.download_url(holder.ready(client, HELLO)).removeprefix(holder.service.url)
    for changed in (
        target.replace("/1/note.txt", "/2/note.txt"),
        target.replace("/1/note.txt", "/01/note.txt"),
        target.replace("/1/note.txt", "/1/other.txt"),
        target.replace("/1/note.txt", "/1/note%2Etxt"),
        target.replace("/1/note.txt", "/1/x/../note.txt"),
        target.replace("/1/note.txt", "/1%2Fnote.txt"),
    ):
        assert changed != target
        answer = raw(holder.service, "GET", changed)
        assert (answer.status, code(answer.content)) == (403, "SignatureDoesNotMatch")  # type: ignore[attr-defined]
