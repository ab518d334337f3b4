"""A service whose store is reached over TLS with an authority of its own, has its buckets as hosts, and encrypts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from loadingdock.testing.blobs.material import MIB, material
from tests.acceptance.test_s3 import Shop
from tests.contract.test_blobs_s3_options import known_below_localhost
from tests.engines.seaweedfs import BUCKET, SeaweedFS, seaweedfs
from tests.service import Service

__all__ = ["seaweedfs"]

pytestmark = [pytest.mark.engine("s3"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["through", "direct"])
def shop(
    seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    known_below_localhost()
    settings = {
        **seaweedfs.settings,
        "store_url": seaweedfs.fresh_url(),
        "store_endpoint": seaweedfs.secure,
        "store_ca": seaweedfs.ca,
        "store_addressing": "virtual",
        "store_region": "eu-central-1",
        "store_encryption": "AES256",
        "store_uploads": request.param,
    }
    service = Service(tmp_path_factory.mktemp(request.param) / "data", settings)
    try:
        desk = service.start().desk
        company = desk.company("shop")
        shop = Shop(service, company, desk.key(company, "admin"))
        yield shop
        shop.client.close()
    finally:
        service.close()


@pytest.mark.parametrize("size", [5, 20 * MIB], ids=["small", "large"])
def test_bytes_go_in_and_out_by_urls(seaweedfs: SeaweedFS, shop: Shop, size: int) -> None:
    body = material(size)
    shop.desk.set(shop.company, {"downloads": "redirect"})
    file_id, send = shop.promise(name="a.bin", content_type="application/octet-stream", size=size)
    direct = shop.service.settings.store_uploads == "direct"
    assert send["url"].startswith(shop.service.url) != direct
    with httpx.Client(verify=ssl.create_default_context(cafile=seaweedfs.ca), timeout=60) as client:
        assert client.put(send["url"], content=body, headers=send["headers"]).status_code in {200, 201, 204}
        file = shop.settled(file_id)
        assert (file["state"], file["size"]) == ("ready", size)
        sent = shop.client.get(f"/files/{file_id}/content")
        assert sent.status_code == 307
        assert sent.headers["location"].startswith(seaweedfs.secure.replace("://", f"://{BUCKET}."))
        assert client.get(sent.headers["location"]).content == body
    key = shop.untouched(file_id).version.blob_key
    prefix = (shop.service.settings.store_url or "").removeprefix(f"s3://{BUCKET}/")
    with closing(seaweedfs.client()) as outside:
        head = outside.head_object(Bucket=BUCKET, Key=f"{prefix}/blobs/{key}")
    assert (head["ServerSideEncryption"], head["ContentLength"]) == ("AES256", size)
