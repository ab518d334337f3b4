"""A service whose public URL has a path, behind a proxy that takes the path off or passes it on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.acceptance.links import Holder
from tests.service import Service


@pytest.fixture
def below(make_service: Callable[..., Service]) -> Iterator[tuple[Service, httpx.Client]]:
    service = make_service(public_url="https://files.example.com/dock/v2").start()
    with service.client(headers={"host": "files.example.com"}) as client:
        yield service, client


@pytest.mark.slow
def test_both_kinds_of_proxy(below: tuple[Service, httpx.Client]) -> None:
    service, client = below
    holder = Holder(service)
    for arrives_as in ("/dock/v2", ""):
        answer = client.get(
            f"{arrives_as}/v1/files/signed-url", params={"filename": "note.txt"}, headers=holder.headers
        )
        url = answer.json()["file_url"]
        assert url.startswith("https://files.example.com/dock/v2/objects/")
        arriving = url.replace("https://files.example.com/dock/v2", arrives_as)
        assert client.put(arriving.replace("/objects/", "/objects/0"), content=b"hello").status_code == 403
        assert client.put(arriving, content=b"hello").status_code == 200
        assert client.put(arriving, content=b"hello").status_code == 409
        page = client.get(f"{arrives_as}/docs")
        assert page.status_code == 200
        links = re.findall(r'href="([^"#]+)"', page.text)
        assert all(link.startswith("/dock/v2/docs") for link in links)
        assert all(client.get(link).status_code == 200 for link in links)
    assert client.get("/dock/v2x/docs").status_code == 404
