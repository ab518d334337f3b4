"""A service whose bytes lie in an S3 store: what its operator and its clients see of that."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State
from loadingdock.core.ports.records import Unit
from loadingdock.testing.blobs.material import MIB, material
from tests import samples
from tests.desk import eventually
from tests.engines.seaweedfs import BUCKET, READER, READER_SECRET, SECRET_KEY, SeaweedFS, seaweedfs
from tests.service import PROGRAM, Desk, Service

__all__ = ["seaweedfs"]

pytestmark = [pytest.mark.engine("s3"), pytest.mark.timeout(300)]

WAYS = ("through", "direct")
EVENT_SECRET = "tell-me-so"


class Shop:
    """A service on the store, and a company in it."""

    def __init__(self, service: Service, company: Company, key: str) -> None:
        self.service = service
        self.company = company
        self.headers = {"api-key": key}
        self.client = httpx.Client(base_url=f"{service.url}/api/v1", headers=self.headers, timeout=60)

    @property
    def desk(self) -> Desk:
        return self.service.desk

    def promise(self, **says: Any) -> tuple[str, dict[str, Any]]:
        made = self.client.post("/uploads", json=says)
        assert made.status_code == 201, made.text
        return made.json()["upload"]["file_id"], made.json()["send"]

    def send(self, send: dict[str, Any], body: bytes) -> httpx.Response:
        return httpx.put(send["url"], content=body, headers=send["headers"], timeout=60)

    def settled(self, file_id: str) -> dict[str, Any]:
        """Asked as a client asks, until nothing more happens."""
        deadline = time.monotonic() + 60
        while True:
            file: dict[str, Any] = self.client.get(f"/files/{file_id}").json()
            if file["state"] not in {"awaiting_upload", "received", "processing"}:
                return file
            assert time.monotonic() < deadline, file
            time.sleep(0.1)

    def untouched(self, file_id: str) -> File:
        """As the records have it, without anybody asking through the service."""

        async def look(unit: Unit) -> File | None:
            return await unit.files.get(file_id)

        file = self.desk.ask(lambda services: services.records.read(self.company.id, look))
        assert file is not None
        return file

    def upload(self, name: str, body: bytes) -> str:
        made = self.client.post("/files", params={"name": name}, content=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])


@pytest.fixture(scope="module")
def shops(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Shop]]:
    started: dict[str, Service] = {}
    opened: list[Shop] = []

    def shop(way: str) -> Shop:
        if way not in started:
            settings = {**seaweedfs.settings, "store_url": seaweedfs.fresh_url(), "store_uploads": way}
            settings |= {"store_event_secret": EVENT_SECRET}
            if way == "direct":
                settings["sweep_every"] = "1h"  # so that it is the status or the event that notices
            started[way] = Service(tmp_path_factory.mktemp(way) / "data", settings).start()
        desk = started[way].desk
        company = desk.company("shop")
        opened.append(Shop(started[way], company, desk.key(company, "admin")))
        return opened[-1]

    yield shop
    for one in opened:
        one.client.close()
    for service in started.values():
        service.close()


@pytest.fixture
def shop(shops: Callable[[str], Shop]) -> Shop:
    return shops("through")


def inbox(server: SeaweedFS, shop: Shop) -> list[str]:
    url = shop.service.settings.store_url or ""
    prefix = url.removeprefix(f"s3://{BUCKET}/")
    with closing(server.client()) as client:
        found = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/incoming/{shop.company.id}/")
    return [one["Key"] for one in found.get("Contents", [])]


# --- the store itself --------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 20 * MIB])
def test_bytes_come_out_as_they_went_in(shop: Shop, size: int) -> None:
    body = material(size)
    file_id = shop.upload("a.bin", body)
    file = shop.settled(file_id)
    assert (file["state"], file["sha256"]) == ("ready", hashlib.sha256(body).hexdigest())
    assert shop.client.get(f"/files/{file_id}/content").content == body
    if size > 100:
        part = shop.client.get(f"/files/{file_id}/content", headers={"range": f"bytes=7-{size - 50}"})
        assert (part.status_code, part.content) == (206, body[7 : size - 49])


def test_doctor_and_readiness_name_the_store(seaweedfs: SeaweedFS, shop: Shop, tmp_path: Path) -> None:
    assert httpx.get(f"{shop.service.url}/readyz").status_code == 200
    told = _doctor(shop.service.environment)
    assert told["store"]["grade"] == "ok"
    assert seaweedfs.endpoint in told["store"]["detail"]
    wrong = {"LOADINGDOCK_STORE_URL": "s3://nowhere/x", "LOADINGDOCK_DATA": str(tmp_path)}
    told = _doctor(shop.service.environment | wrong)
    assert told["store"]["grade"] == "fail"
    assert "there is no bucket nowhere; create it" in told["store"]["detail"]
    assert SECRET_KEY not in json.dumps(told)


def _doctor(environment: dict[str, str]) -> dict[str, dict[str, str]]:
    run = subprocess.run([*PROGRAM, "doctor", "--json"], env=environment, capture_output=True, text=True, check=False)
    return {check["name"]: check for check in json.loads(run.stdout)["checks"]}


def test_a_store_that_cannot_be_used_is_said_but_not_to_clients(
    seaweedfs: SeaweedFS, make_service: Callable[..., Service]
) -> None:
    settings = {**seaweedfs.settings, "store_url": "s3://nowhere/x"}
    service = make_service(**settings).start_unready()
    ready = httpx.get(f"{service.url}/readyz")
    assert ready.status_code == 503
    assert "there is no bucket nowhere; create it" in ready.json()["checks"]["store"]["reason"]
    company = service.desk.company("nowhere")
    refused = httpx.post(
        f"{service.url}/api/v1/files?name=a.bin",
        content=b"bytes",
        headers={"api-key": service.desk.key(company, "admin")},
    )
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "nowhere" not in refused.text


def test_the_log_says_why_uploads_fail_though_the_store_answers(
    seaweedfs: SeaweedFS, make_service: Callable[..., Service]
) -> None:
    """Keys that may only read: what is asked for readiness is answered."""
    reading = {**seaweedfs.settings, "store_access_key": READER, "store_secret_key": READER_SECRET}
    service = make_service(**reading, store_url=seaweedfs.fresh_url()).start()
    key = service.desk.key(service.desk.company("readers"), "admin")
    refused = httpx.post(f"{service.url}/api/v1/files?name=a.bin", content=b"bytes", headers={"api-key": key})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "PutObject" not in refused.text
    trace = refused.json()["trace_id"]
    service.until(lambda: trace in service.log())  # the line is written once the answer is out
    (line,) = [json.loads(line) for line in service.log().splitlines() if trace in line]
    assert line["level"] == "warning"
    assert line["reason"].startswith("store: s3://")
    assert "these keys may not s3:PutObject (AccessDenied); allow it for" in line["reason"]
    assert READER_SECRET not in service.log()


def test_the_latency_of_the_store_is_counted(shop: Shop) -> None:
    shop.settled(shop.upload("a.bin", b"bytes"))
    metrics = httpx.get(f"{shop.service.url}/metrics").text
    for action in ("s3:PutObject", "s3:GetObject"):
        assert f'loadingdock_store_seconds_count{{action="{action}"}}' in metrics


# --- redirected downloads ----------------------------------------------------


def test_downloads_are_redirected_where_the_company_has_it_so(seaweedfs: SeaweedFS, shop: Shop) -> None:
    shop.desk.set(shop.company, {"downloads": "redirect"})
    pdf = samples.pdf("redirected")
    file_id = shop.upload("ré port.pdf", pdf)
    shop.settled(file_id)
    path = f"/files/{file_id}/content"
    sent = shop.client.get(path)
    assert (sent.status_code, sent.headers["cache-control"]) == (307, "no-store")
    url = sent.headers["location"]
    assert url.startswith(seaweedfs.endpoint)
    assert "X-Amz-Expires=60" in url
    got = httpx.get(url)
    assert got.content == pdf
    assert got.headers["content-type"] == "application/pdf"
    assert got.headers["content-disposition"].startswith("attachment;")
    assert quote("ré port.pdf") in got.headers["content-disposition"]
    part = httpx.get(url, headers={"range": "bytes=3-9"})
    assert (part.status_code, part.content) == (206, pdf[3:10])
    assert httpx.get(url.replace("attachment", "inline")).status_code == 403
    assert shop.client.head(path).status_code == 200
    etag = shop.client.head(path).headers["etag"]
    assert shop.client.get(path, headers={"if-none-match": etag}).status_code == 304
    assert shop.client.get(path, headers={"if-match": etag}).content == pdf


def test_what_is_not_clean_is_not_redirected(shop: Shop) -> None:
    shop.desk.set(shop.company, {"downloads": "redirect"})
    file_id = shop.upload("a.txt", samples.eicar())
    answer = shop.client.get(f"/files/{file_id}/content")
    assert answer.status_code >= 400
    assert shop.settled(file_id)["state"] == "infected"
    answer = shop.client.get(f"/files/{file_id}/content")
    assert answer.status_code >= 400
    assert "location" not in answer.headers


# --- promised bytes, in both ways --------------------------------------------


@pytest.mark.parametrize("way", WAYS)
class TestPromisedBytes:
    @pytest.fixture
    def shop(self, shops: Callable[[str], Shop], way: str) -> Shop:
        return shops(way)

    @pytest.mark.parametrize(
        "says", [(), ("content_type",), ("size",), ("sha256",), ("content_type", "size", "sha256")]
    )
    def test_what_was_promised_becomes_the_file(
        self, seaweedfs: SeaweedFS, shop: Shop, way: str, says: tuple[str, ...]
    ) -> None:
        pdf = samples.pdf("promised")
        digest = hashlib.sha256(pdf).hexdigest()
        known = {"content_type": "application/pdf", "size": len(pdf), "sha256": digest}
        file_id, send = shop.promise(name="a.pdf", **{name: known[name] for name in says})
        assert send["url"].startswith(seaweedfs.endpoint if way == "direct" else shop.service.url)
        assert shop.client.get(f"/files/{file_id}").json()["state"] == "awaiting_upload"
        assert shop.send(send, pdf).status_code == 200
        file = shop.settled(file_id)
        assert (file["state"], file["sha256"], file["size"]) == ("ready", digest, len(pdf))
        assert shop.client.get(f"/files/{file_id}/content").content == pdf
        eventually(lambda: not inbox(seaweedfs, shop))

    def test_a_large_one(self, shop: Shop) -> None:
        body = material(20 * MIB)
        file_id, send = shop.promise(name="a.bin", size=len(body))
        assert shop.send(send, body).status_code == 200
        assert shop.settled(file_id)["sha256"] == hashlib.sha256(body).hexdigest()

    def test_another_length_or_type_than_promised_is_refused_at_once(self, shop: Shop) -> None:
        pdf = samples.pdf("another")
        _, send = shop.promise(name="a.pdf", content_type="application/pdf", size=len(pdf))
        longer = {**send, "headers": {"content-type": "application/pdf"}}
        assert shop.send(longer, pdf + b"x").status_code >= 400
        other = {**send, "headers": {"content-type": "text/html"}}
        assert shop.send(other, pdf).status_code >= 400

    def test_an_infected_one_is_never_readable(self, seaweedfs: SeaweedFS, shop: Shop) -> None:
        file_id, send = shop.promise(name="a.txt")
        assert shop.send(send, samples.eicar()).status_code == 200
        assert shop.settled(file_id)["state"] == "infected"
        assert shop.client.get(f"/files/{file_id}/content").status_code >= 400
        eventually(lambda: not inbox(seaweedfs, shop))

    def test_it_succeeds_once(self, seaweedfs: SeaweedFS, shop: Shop) -> None:
        """A URL of the store's goes on holding: what is put there again changes nothing."""
        pdf = samples.pdf("once")
        file_id, send = shop.promise(name="a.pdf")
        assert shop.send(send, pdf).status_code == 200
        assert shop.settled(file_id)["state"] == "ready"
        shop.send(send, samples.pdf("twice"))
        shop.desk.ask(_swept)
        assert shop.client.get(f"/files/{file_id}/content").content == pdf
        assert shop.untouched(file_id).version.sha256 == hashlib.sha256(pdf).hexdigest()


async def _swept(services: Any) -> None:
    await services.notices.sweep()


# --- straight to the store ---------------------------------------------------


@pytest.fixture
def direct(shops: Callable[[str], Shop]) -> Shop:
    return shops("direct")


@pytest.mark.parametrize(
    ("says", "body", "reason"),
    [
        ({"name": "a.pdf"}, b"<html>no PDF</html>", "pdf"),
        ({"name": "a.txt", "sha256": "0" * 64}, b"text", "digest"),
        ({"name": "a.txt", "size": 5}, b"text", "5 bytes were declared, but 4 arrived"),
    ],
)
def test_what_breaks_a_rule_is_removed_and_the_status_says_why(
    seaweedfs: SeaweedFS, direct: Shop, says: dict[str, Any], body: bytes, reason: str
) -> None:
    """Put there past the URL, as if this store did not enforce what it is bound to."""
    file_id, send = direct.promise(**says)
    with closing(seaweedfs.client()) as client:
        client.put_object(Bucket=BUCKET, Key=httpx.URL(send["url"]).path.removeprefix(f"/{BUCKET}/"), Body=body)
    file = direct.settled(file_id)
    assert file["state"] == "rejected"
    assert reason in file["reason"].lower(), file
    assert direct.client.get(f"/files/{file_id}/content").status_code >= 400
    eventually(lambda: not inbox(seaweedfs, direct))


def test_too_many_bytes_are_not_even_read(seaweedfs: SeaweedFS, direct: Shop) -> None:
    direct.desk.set(direct.company, {"max-size": "1KiB"})
    file_id, send = direct.promise(name="a.bin")
    assert direct.send(send, bytes(2048)).status_code == 200
    file = direct.settled(file_id)
    assert (file["state"], "1024" in file["reason"]) == ("rejected", True)
    eventually(lambda: not inbox(seaweedfs, direct))


def test_an_event_of_the_store_is_enough(direct: Shop) -> None:
    """Nobody asks after the file, and no sweep comes round."""
    for shape in (_records, _event_bridge, _seaweedfs):
        file_id, send = direct.promise(name="a.txt")
        assert direct.send(send, b"told of").status_code == 200
        key = httpx.URL(send["url"]).path.removeprefix(f"/{BUCKET}/")
        told = httpx.post(
            f"{direct.service.url}/store-events",
            json=shape(key),
            headers={"authorization": f"Bearer {EVENT_SECRET}"},
        )
        assert told.status_code == 204, told.text
        eventually(lambda file_id=file_id: direct.untouched(file_id).state is State.READY)  # type: ignore[misc]


def _records(key: str) -> Any:
    return {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": quote(key)}}}]}


def _event_bridge(key: str) -> Any:
    return {"detail-type": "Object Created", "detail": {"bucket": {"name": BUCKET}, "object": {"key": key}}}


def _seaweedfs(key: str) -> Any:
    return {"key": f"/buckets/{BUCKET}/{key}", "event_type": "create"}


def test_events_need_the_secret_and_change_nothing_by_themselves(direct: Shop) -> None:
    url = f"{direct.service.url}/store-events"
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": EVENT_SECRET}):
        assert httpx.post(url, json={}, headers=headers).status_code == 401
    right = {"authorization": f"Bearer {EVENT_SECRET}"}
    file_id, send = direct.promise(name="a.txt")
    key = httpx.URL(send["url"]).path
    for message in ([], {}, {"Records": 1}, {"Records": [1, {"s3": 2}]}, {"key": "x/1/2"}, _records(key), None):
        assert httpx.post(url, json=message, headers=right).status_code == 204
    assert httpx.post(url, content=b"no JSON", headers=right).status_code == 400
    direct.desk.idle()
    assert direct.untouched(file_id).state is State.AWAITING_UPLOAD
    assert direct.send(send, b"at last").status_code == 200
    assert direct.settled(file_id)["state"] == "ready"


def test_the_sweep_is_enough(seaweedfs: SeaweedFS, direct: Shop) -> None:
    file_id, send = direct.promise(name="a.txt")
    assert direct.send(send, b"swept").status_code == 200
    direct.desk.ask(_swept)
    eventually(lambda: direct.untouched(file_id).state is State.READY)


def test_what_nobody_waits_for_goes(seaweedfs: SeaweedFS, direct: Shop) -> None:
    """Bytes of an upload that was taken back, put there after that."""
    made = direct.client.post("/uploads", json={"name": "a.txt"}).json()
    assert direct.client.delete(f"/uploads/{made['upload']['id']}").status_code == 204
    assert direct.send(made["send"], b"too late").status_code == 200
    assert inbox(seaweedfs, direct)

    async def later(services: Any) -> None:
        services.notices._grace = timedelta(seconds=-60)
        await services.notices.sweep()

    direct.desk.ask(later)
    assert not inbox(seaweedfs, direct)
