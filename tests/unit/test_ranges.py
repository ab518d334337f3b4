from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.datastructures import Headers

from loadingdock.adapters.blobs.local import LocalBlobs
from loadingdock.core.errors import NotFound
from loadingdock.core.files import Content
from loadingdock.core.model.files import File, State, Version
from loadingdock.testing.blobs.material import MIB, material, put
from loadingdock.web.ranges import content_response
from tests.unit.bodies import request

AT = datetime(2026, 11, 22, 5, 17, 3, tzinfo=UTC)
DATA = material(2 * MIB + 100)


@dataclass
class Answer:
    status: int = 0
    headers: Headers = field(default_factory=Headers)
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


@pytest_asyncio.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[LocalBlobs]:
    store = LocalBlobs(tmp_path)
    yield store
    await store.close()


async def content_of(
    blobs: LocalBlobs, data: bytes = DATA, *, type: str = "application/pdf", name: str = "report.pdf"
) -> Content:
    ref = await put(blobs, data)
    version = Version(
        file_id="f",
        number=1,
        company_id=1,
        state=State.READY,
        created_at=AT,
        updated_at=AT,
        size=ref.size,
        sha256=ref.sha256,
        blob_key=ref.key,
    )
    file = File(id="f", company_id=1, api="test", name=name, created_at=AT, version=version)
    return Content(file, version, ref.key, ref.size, type, f'"{ref.sha256}"')


async def ask(
    blobs: LocalBlobs,
    content: Content,
    fields: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    leaves_after: int | None = None,
) -> Answer:
    """What a client is answered; one that leaves is gone once it has had so many pieces."""
    asked = request((fields or {}).items(), method=method)
    answer = Answer()
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = Headers(raw=message["headers"])
            return
        answer.pieces.append(message.get("body", b""))
        answer.ended = not message.get("more_body", False)
        if leaves_after is not None and len(answer.pieces) >= leaves_after:
            gone.set()
            await asyncio.sleep(0)  # as a server's send, which lets others run

    response = await content_response(asked, blobs, content)
    await response(asked.scope, receive, send)
    return answer


async def test_the_whole(blobs: LocalBlobs) -> None:
    answer = await ask(blobs, await content_of(blobs))
    assert (answer.status, answer.body, answer.ended) == (200, DATA, True)
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert answer.headers["last-modified"] == "Sun, 22 Nov 2026 05:17:03 GMT"
    assert answer.headers["repr-digest"].startswith("sha-256=:")


async def test_nothing(blobs: LocalBlobs) -> None:
    answer = await ask(blobs, await content_of(blobs, b""))
    assert (answer.status, answer.body, answer.ended) == (200, b"", True)
    assert answer.headers["content-length"] == "0"


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 9), (MIB - 1, MIB), (0, len(DATA) - 1), (2 * MIB, 10 * MIB)])
async def test_a_range(blobs: LocalBlobs, start: int, end: int) -> None:
    answer = await ask(blobs, await content_of(blobs), {"range": f"bytes={start}-{end}"})
    part = DATA[start : end + 1]
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(len(part))


async def test_a_range_behind_the_end(blobs: LocalBlobs) -> None:
    answer = await ask(blobs, await content_of(blobs), {"range": f"bytes={len(DATA)}-"})
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.security(15)
async def test_10000_ranges_are_the_whole(blobs: LocalBlobs) -> None:
    content = await content_of(blobs, b"0123456789")
    answer = await ask(blobs, content, {"range": "bytes=" + ",".join(["0-1"] * 10_000)})
    assert (answer.status, answer.body) == (200, b"0123456789")


async def test_head(blobs: LocalBlobs) -> None:
    content = await content_of(blobs)
    whole = await ask(blobs, content)
    for more in (None, {"range": "bytes=0-1"}):
        answer = await ask(blobs, content, more, method="HEAD")
        assert (answer.status, answer.body, answer.ended) == (200, b"", True)
        assert answer.headers == whole.headers


@pytest.mark.parametrize(("condition", "status"), [("if-none-match", 304), ("if-match", 412)])
async def test_a_condition(blobs: LocalBlobs, condition: str, status: int) -> None:
    content = await content_of(blobs)
    answer = await ask(blobs, content, {condition: content.etag if status == 304 else '"other"'})
    assert (answer.status, answer.body) == (status, b"")
    assert answer.headers["etag"] == content.etag
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.security(14)
@pytest.mark.parametrize(
    ("type", "kind"),
    [
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/pdf", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("text/xml", "attachment"),
        ("application/octet-stream", "attachment"),
        ("nonsense\r\nset-cookie: a=b", "attachment"),
        ("image/png", "inline"),
        ("IMAGE/JPG", "inline"),
        ("image/webp", "inline"),
        ("text/plain; charset=utf-8", "inline"),
    ],
)
async def test_no_browser_runs_what_it_is_given(blobs: LocalBlobs, type: str, kind: str) -> None:
    content = await content_of(blobs, b"<script>alert(1)</script>", type=type)
    for more in (None, {"range": "bytes=0-5"}):
        answer = await ask(blobs, content, more)
        assert answer.headers["content-disposition"].partition(";")[0] == kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "private, no-store"
        assert "set-cookie" not in answer.headers
        assert answer.headers["content-type"] in {type, "application/octet-stream", "image/jpeg", "text/plain"}


@pytest.mark.security(11)
@pytest.mark.parametrize("name", ["report.pdf", "Übung 日本.pdf", 'a"b.pdf', "a\r\nx: y", "\u202egpj.exe", "🎈"])
async def test_any_name_can_be_downloaded(blobs: LocalBlobs, name: str) -> None:
    answer = await ask(blobs, await content_of(blobs, name=name))
    assert answer.body == DATA
    assert "x" not in answer.headers


async def test_what_is_missing_is_an_error_and_no_broken_answer(blobs: LocalBlobs) -> None:
    content = await content_of(blobs)
    await blobs.delete(content.blob_key)
    with pytest.raises(NotFound):
        await ask(blobs, content)


async def test_bytes_that_have_become_fewer_end_no_answer_well(blobs: LocalBlobs) -> None:
    content = await content_of(blobs)
    with pytest.raises(RuntimeError):
        await ask(blobs, replace(content, size=content.size + 1))


async def test_nothing_more_is_read_for_a_client_that_has_left(blobs: LocalBlobs) -> None:
    content = await content_of(blobs, material(20 * MIB))
    answer = await ask(blobs, content, leaves_after=3)
    assert 3 <= len(answer.pieces) < 10
    assert not answer.ended
