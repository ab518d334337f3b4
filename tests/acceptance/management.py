"""What the tests of the management API share: a company with somebody in it, and what they do most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from loadingdock.core.model.companies import Company
from tests.service import Service

API = "/api/v1"


@dataclass(frozen=True)
class Office:
    """A company and a client of its management API, with an API key of these grants."""

    service: Service
    company: Company
    client: httpx.Client

    def upload(self, content: bytes = b"hello dock\n", name: str = "a.txt", **headers: str) -> dict[str, Any]:
        """A file, scanned and ready."""
        answer = self.client.post("/files", files={"file": (name, content)}, headers=headers)
        assert answer.status_code == 201, answer.text
        self.settle()
        shown: dict[str, Any] = self.client.get(f"/files/{answer.json()['id']}").json()
        return shown

    def settle(self) -> None:
        self.service.desk.settled(self.company)


@contextmanager
def office(service: Service, *grants: str, **settings: str) -> Iterator[Office]:
    company = service.desk.company("office", **settings)
    with client(service, company, *grants) as opened:
        yield Office(service, company, opened)


@contextmanager
def client(service: Service, company: Company, *grants: str) -> Iterator[httpx.Client]:
    key = service.desk.key(company, *(grants or ("files:read", "files:write")))
    with service.client(headers={"api-key": key}) as plain:
        plain.base_url = httpx.URL(service.url + API)
        yield plain
