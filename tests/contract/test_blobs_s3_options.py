"""Where an S3 store is reached in another way than by path over plain HTTP, or is asked to encrypt: every kind of
request, by us and by clients with URLs of ours."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from loadingdock.adapters.blobs.s3 import S3Blobs
from loadingdock.adapters.blobs.s3.place import Place, provider
from loadingdock.core.errors import Unavailable
from loadingdock.testing.blobs.material import MIB, get, material, put
from tests.contract.test_blobs_s3 import left, opener, place
from tests.engines import absent
from tests.engines.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, SeaweedFS, seaweedfs

__all__ = ["seaweedfs"]

pytestmark = [pytest.mark.engine("s3"), pytest.mark.slow]

MINUTE = timedelta(minutes=1)
LARGE = material(20 * MIB)
OPTIONS = ("tls", "virtual", "tls and virtual", "AES256", "region")


def chosen(server: SeaweedFS, option: str) -> Place:
    where = place(server, server.fresh_url(), retries=0)
    if "virtual" in option:
        known_below_localhost()
        where = replace(where, endpoint=server.by_name, virtual_hosted=True)
    if "tls" in option:
        where = replace(where, endpoint=server.secure, ca=server.ca)
    if option == "AES256":
        where = replace(where, encryption=option)
    if option == "region":
        where = replace(where, region="eu-central-1")
    return where


def known_below_localhost() -> None:
    """RFC 6761 has every name below localhost be the loopback; glibc leaves that to a module."""
    try:
        socket.getaddrinfo(f"{BUCKET}.localhost", 80)
    except OSError:
        absent("s3", f"the name {BUCKET}.localhost is unknown: apt-get install libnss-myhostname")


def client(where: Place) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=ssl.create_default_context(cafile=where.ca))


def encryption(server: S3Server, where: Place, name: str) -> str | None:
    """As the store tells another client."""
    with closing(server.client()) as outside:
        head: Mapping[str, Any] = outside.head_object(Bucket=where.bucket, Key=where.path(name))
    return head.get("ServerSideEncryption")


@pytest.mark.parametrize("option", OPTIONS)
async def test_every_kind_of_request(seaweedfs: SeaweedFS, option: str) -> None:
    where = chosen(seaweedfs, option)
    async with opener(where)() as store, client(where) as outside:
        assert (await store.examine()).problems == ()
        for data in (b"small", LARGE):
            ref = await put(store, data)
            assert ref.sha256 == hashlib.sha256(data).hexdigest()
            assert await get(store, ref.key, 3, 9 * MIB) == data[3 : 3 + 9 * MIB]
            assert encryption(seaweedfs, where, f"blobs/{ref.key}") == where.encryption
            url = await store.download_url(
                ref.key, expires_in=MINUTE, content_type="text/plain", disposition="attachment"
            )
            assert url is not None
            assert url.startswith(f"{where.base}/")
            sent = await outside.get(url, headers={"range": "bytes=1-3"})
            assert (sent.status_code, sent.content, sent.headers["content-type"]) == (206, data[1:4], "text/plain")
            await store.delete(ref.key)
    assert left(seaweedfs, where) == set()


@pytest.mark.parametrize("option", OPTIONS)
async def test_clients_put_straight_into_it(seaweedfs: SeaweedFS, option: str) -> None:
    where = chosen(seaweedfs, option)
    store = S3Blobs(where, provider(ACCESS_KEY, SECRET_KEY))
    try:
        url = await store.inbox.upload_url("1/a", expires_in=MINUTE, content_type="text/plain", size=5)
        async with client(where) as outside:
            refused = await outside.put(url, content=b"hello", headers={"content-type": "text/html"})
            assert refused.status_code == 403
            assert await store.inbox.arrived("1/a") is None
            done = await outside.put(url, content=b"hello", headers={"content-type": "text/plain"})
            assert done.status_code == 200
        arrived = await store.inbox.arrived("1/a")
        assert arrived is not None
        assert (arrived.size, arrived.content_type) == (5, "text/plain")
        assert [name async for name, _ in store.inbox.list()] == ["1/a"]
        await store.inbox.remove("1/a")
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("endpoint", "change", "advice"),
    [
        (
            "https://localhost:{https}",
            {"ca": None},
            "its certificate is not trusted.*; set store_ca to the authority's",
        ),
        ("https://127.0.0.1:{https}", {}, "its certificate is not trusted.* name the host in store_endpoint as the"),
        ("http://localhost:{https}", {}, "it speaks TLS at that port; begin store_endpoint with https://"),
        ("https://localhost:{http}", {}, "it does not speak TLS at that port; .* or begin it with http://"),
        ("http://store.invalid", {}, "the name store.invalid is not known here; correct store_endpoint or the DNS$"),
        ("http://s.invalid", {"virtual_hosted": True}, f"the name {BUCKET}.s.invalid is not known .* to path"),
        ("https://localhost:{https}", {"encryption": "aws:kms", "kms_key": "none"}, "asked to encrypt with aws:kms"),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence(
    seaweedfs: SeaweedFS, endpoint: str, change: dict[str, Any], advice: str
) -> None:
    secure = chosen(seaweedfs, "tls")
    ports = {"http": urlsplit(seaweedfs.endpoint).port, "https": urlsplit(secure.endpoint).port}
    store = S3Blobs(replace(secure, endpoint=endpoint.format(**ports), **change), provider(ACCESS_KEY, SECRET_KEY))
    try:
        for deed in (b"by one program", LARGE):  # and by the other
            with pytest.raises(Unavailable) as raised:
                await put(store, deed)
            assert re.search(advice, raised.value.why), raised.value.why
            assert "\n" not in raised.value.why
        (problem,) = (await store.examine()).problems
        assert re.search(advice, problem)
    finally:
        await store.close()


async def test_an_authority_that_is_no_file(seaweedfs: SeaweedFS) -> None:
    where = replace(chosen(seaweedfs, "tls"), ca=Path("/nowhere/ca.pem"))
    with pytest.raises(ValueError, match=r"store_ca: /nowhere/ca\.pem cannot be read as certificates"):
        S3Blobs(where, provider(ACCESS_KEY, SECRET_KEY))
