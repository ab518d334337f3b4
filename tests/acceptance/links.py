"""What the tests of signed links share: somebody with an upload URL, and a signer who signs whatever he is told to."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import httpx
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from loadingdock.adapters.presign import SigV4Presigner
from loadingdock.core.administration import operator
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File
from loadingdock.core.ports.records import Unit
from tests.service import Service, fresh_address

USER = "anna"
PARTIAL = "application/partial-upload"


@dataclass(frozen=True)
class Promise:
    file_id: str
    url: str

    @property
    def target(self) -> str:
        """Path and query, as a request line has them."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}"

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def signer(self) -> str:
        return self.query["X-Amz-Credential"].partition("/")[0]


class Holder:
    """A company, an API key of it, and an end user: asks for upload URLs and for what became of the files."""

    def __init__(self, service: Service, **settings: str) -> None:
        self.service = service
        self.desk = service.desk
        self.company: Company = self.desk.company("acme", **settings)
        self.key = self.desk.key(self.company, "files:read", "files:write")
        self.headers = {"api-key": self.key, "user-id": USER}

    def promise(self, client: httpx.Client, name: str = "note.txt", **query: str) -> Promise:
        answer = client.get("/v1/files/signed-url", params={"filename": name, **query}, headers=self.headers)
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        return Promise(shown["file_id"], shown["file_url"])

    def file(self, file_id: str) -> File:
        return self.desk.file(self.company, file_id)

    def status(self, client: httpx.Client, file_id: str, *, wait: int | None = None) -> dict[str, Any]:
        prefer = {} if wait is None else {"prefer": f"wait={wait}"}
        answer = client.get(f"/v1/files/{file_id}/status", headers={**self.headers, **prefer})
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def ready(self, client: httpx.Client, content: bytes, name: str = "note.txt") -> File:
        """A file that has been uploaded and looked into."""
        promise = self.promise(client, name)
        assert client.put(promise.url, content=content).status_code == 200
        self.desk.settled(self.company)
        return self.file(promise.file_id)

    def download_url(self, file: File, *, number: int = 1, expires_in: timedelta = timedelta(minutes=5)) -> str:
        principal = self.desk.ask(
            lambda services: services.access.api_key(self.key, address=None)  # whoever hands out links signs them
        )
        version = self.desk.ask(lambda services: services.files.version(file, number))
        return self.desk.ask(
            lambda services: services.links.download_url(
                principal, file, version, permission="files:read", expires_in=expires_in
            )
        )

    def revoke(self) -> None:
        (key,) = self.desk.ask(lambda services: services.administration.keys(operator(self.company)))
        self.desk.ask(lambda services: services.administration.revoke_key(operator(self.company), key.id))

    def aws_url(self, method: str, promise: Promise, *, headers: dict[str, str] | None = None, **changes: Any) -> str:
        """The promise's URL signed anew by AWS's own signer, who holds the signer's secret."""
        expires = changes.pop("expires", 600)
        now = changes.pop("now", datetime.now(UTC))
        own = {name: value for name, value in promise.query.items() if not name.startswith("X-Amz-")}
        request = AWSRequest(
            method=method,
            url=promise.url.partition("?")[0] + "?" + "&".join(f"{k}={v}" for k, v in own.items()),
            headers=headers or {},
        )
        secret = self.presigner().secret_of(promise.signer)
        auth = S3SigV4QueryAuth(Credentials(promise.signer, secret), "s3", "us-east-1", expires=expires)
        with patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
            auth.add_auth(request)
        return str(request.url)

    def presigner(self) -> SigV4Presigner:
        async def work(unit: Unit) -> bytes | None:
            return await unit.secrets.installation_secret()

        secret = self.desk.ask(lambda services: services.records.read(None, work))
        assert secret is not None
        return SigV4Presigner(secret, self.service.url)


def raw(
    service: Service, method: str, target: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    """A request whose target is sent exactly as it is given; httpx would tidy it up."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30, source_address=(fresh_address(), 0))
    connection.putrequest(method, target, skip_host="host" in headers, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    response = connection.getresponse()
    response.content = response.read()  # type: ignore[attr-defined]  # read while the connection is there
    connection.close()
    return response


def code(content: bytes) -> str:
    """The code of an error in S3's shape."""
    error = ElementTree.fromstring(content)
    assert error.tag == "Error"
    assert [child.tag for child in error] == ["Code", "Message", "Resource", "RequestId"]
    return error.findtext("Code") or ""
