"""One upload through each API, as its clients send it, and a ledger of what was acknowledged."""

from __future__ import annotations

import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State
from tests.samples import eicar, png
from tests.service import Desk


@dataclass(frozen=True)
class Receipt:
    """What the client may throw its copy away for."""

    flow: Flow
    id: str
    sha256: str

    def file(self, desk: Desk) -> File:
        return self.flow.find(desk, self.id)


class Flow(ABC):
    """`ends` is the state that its files come into at last. `send` returns the receipt of an acknowledged upload, and
    raises httpx.HTTPError for any other end."""

    ends = State.READY

    def __init__(self, desk: Desk, company: Company) -> None:
        self.company = company

    def body(self) -> bytes:
        return secrets.token_hex(8 * 1024).encode()

    async def send(self, client: httpx.AsyncClient) -> Receipt:
        body = self.body()
        return Receipt(self, await self.upload(client, body), hashlib.sha256(body).hexdigest())

    @abstractmethod
    async def upload(self, client: httpx.AsyncClient, body: bytes) -> str: ...

    def find(self, desk: Desk, id: str) -> File:
        return desk.file(self.company, id)


class ConversationFiles(Flow):
    user = "anna"

    def __init__(self, desk: Desk, company: Company) -> None:
        super().__init__(desk, company)
        self._login = desk.user(company, "files:upload", name=self.user)

    async def upload(self, client: httpx.AsyncClient, body: bytes) -> str:
        answer = await client.post(
            "/dana/conversation/http/rest/file/upload", files={"file": ("a.txt", body)}, auth=self._login.pair
        )
        alias: str = answer.raise_for_status().json()["fileID"]
        return alias

    def find(self, desk: Desk, id: str) -> File:
        return desk.by_alias(self.company, id)


class SignedUrl(Flow):
    def __init__(self, desk: Desk, company: Company) -> None:
        super().__init__(desk, company)
        self._headers = {"api-key": desk.key(company, "files:read", "files:write"), "user-id": "anna"}

    async def upload(self, client: httpx.AsyncClient, body: bytes) -> str:
        asked = await client.get("/v1/files/signed-url?filename=a.txt", headers=self._headers)
        promise = asked.raise_for_status().json()
        (await client.put(promise["file_url"], content=body)).raise_for_status()
        return str(promise["file_id"])


class FileUpload(Flow):
    def __init__(self, desk: Desk, company: Company) -> None:
        super().__init__(desk, company)
        self._headers = {"Authorization": f"Bearer {desk.token(desk.oauth_client(company, 'transactions:post'))}"}

    async def upload(self, client: httpx.AsyncClient, body: bytes) -> str:
        asked = await client.post("/v1/fileUpload", headers=self._headers, json={"contentType": "text/plain"})
        promise = asked.raise_for_status().json()
        put = await client.put(promise["uploadUrl"], content=body, headers={"Content-Type": "text/plain"})
        put.raise_for_status()
        return str(promise["fileId"])

    def find(self, desk: Desk, id: str) -> File:
        return desk.by_alias(self.company, id)


class FileService(Flow):
    def __init__(self, desk: Desk, company: Company) -> None:
        super().__init__(desk, company)
        self._login = desk.user(company, "default", name="till")

    def body(self) -> bytes:
        return png() + secrets.token_bytes(1024)  # what follows a PNG's end is ignored, and makes each one another

    async def upload(self, client: httpx.AsyncClient, body: bytes) -> str:
        answer = await client.post(
            f"/api_gateway/file-service/rewards/{secrets.token_hex(8)}.png",
            content=body,
            headers={"Content-Type": "image/png"},
            auth=self._login.pair,
        )
        return str(answer.raise_for_status().json()["file"]["file_handle"])


class Infected(ConversationFiles):
    """Taken in like any other, and never to be read."""

    user = "eve"
    ends = State.INFECTED

    def body(self) -> bytes:
        return eicar() + secrets.token_hex(1024).encode()


FLOWS: Sequence[type[Flow]] = (ConversationFiles, SignedUrl, FileUpload, FileService)


def flows(desk: Desk, company: Company, kinds: Sequence[type[Flow]] = (*FLOWS, Infected)) -> list[Flow]:
    """One of each for that company."""
    return [kind(desk, company) for kind in kinds]
