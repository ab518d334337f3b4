"""Every way by which bytes come in, and every one by which they could go out again, behind one shape: so that a test of
what hostile input gets is written once and holds for all APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import quote, urlsplit

import httpx
import pytest

from loadingdock.core import types
from loadingdock.core.model.files import Acl, File, State
from tests.acceptance.links import code
from tests.service import Service, fresh_address

CONVERSATION = "/dana/conversation/http/rest/file/upload"
FILE_SERVICE = "/api_gateway/file-service/any"
SIGNED_URL = "/v1/files"
FILE_UPLOAD = "/v1/fileUpload"
MANAGEMENT = "/api/v1"
USER = "anna"

_BOUNDARY = "dock-boundary"
_TYPES = (
    *("text/plain", "text/csv", "application/pdf", "image/png", "image/jpeg", types.DOCX, types.XLSX),
    *("application/zip", "application/gzip", "application/x-tar", "application/x-7z-compressed"),
)
_SETTINGS = {"file-service.namespaces": '[{"name": "any"}]', "signed-url.allowed-types": ",".join(_TYPES)}


@dataclass(frozen=True)
class Sending:
    """One upload that has not been sent yet. A form has bytes before and behind the file's."""

    host: str
    method: str
    target: str
    headers: Mapping[str, str]
    before: bytes = b""
    behind: bytes = b""

    def body(self, content: bytes) -> bytes:
        return self.before + content + self.behind

    def head(self, *lines: str) -> bytes:
        """The request's line and headers with these besides, for those who write to the socket themselves."""
        own = (f"{name}: {value}" for name, value in self.headers.items())
        return "\r\n".join(
            (f"{self.method} {self.target} HTTP/1.1", f"Host: {self.host}", *own, *lines, "", "")
        ).encode()

    def forged(self) -> Sending:
        """The same by somebody who may not: a wrong password or key, or a signature that is not ours."""
        if "X-Amz-Signature=" in self.target:
            last = "0" if self.target[-1] != "0" else "1"
            return replace(self, target=self.target[:-1] + last)
        wrong = {"authorization": "Basic bm9ib2R5Ondyb25n", "api-key": "ldk_wrong"}
        return replace(self, headers={name: wrong.get(name, value) for name, value in self.headers.items()})


class Dock:
    """A company that takes any file on every API, and somebody who may send and read there."""

    def __init__(self, service: Service, settings: Mapping[str, str] | None = None) -> None:
        self.service = service
        self.desk = service.desk
        self.host = urlsplit(service.url).netloc
        self.company = self.desk.company_with("dock", {**_SETTINGS, **(settings or {})})
        self.login = self.desk.user(self.company, "files:upload", "files:read", "files:write")
        self.key = self.desk.key(self.company, "files:read", "files:write")
        self.token = self.desk.token(self.desk.oauth_client(self.company, "transactions:post"))
        self.basic = {"authorization": self.login.header}
        self.keyed = {"api-key": self.key}
        self.end_user = {**self.keyed, "user-id": USER}  # what is seen with it is hers alone

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        with self.service.client() as client:
            yield client

    def files(self) -> tuple[File, ...]:
        """Those that have or had bytes; a promise that was never kept is none."""
        return tuple(file for file in self.desk.files(self.company) if file.state is not State.AWAITING_UPLOAD)

    def settled(self) -> tuple[File, ...]:
        self.desk.settled(self.company)
        return self.files()

    # --- the ways out ---

    def readings(self, file: File) -> Iterator[httpx.Request]:
        """Every request that could show a byte of the file, each by somebody who may see all of the company's."""
        own = f"{MANAGEMENT}/files/{file.id}"
        wanted = [(f"{own}/content", self.keyed), (f"{own}/text", self.keyed)]
        wanted += [(f"{own}/content?version=1", self.keyed), (f"{own}/attachments/letter/content", self.keyed)]
        if file.owner is not None:
            wanted += [(f"{SIGNED_URL}/{file.id}", self.end_user), (f"{SIGNED_URL}/{file.id}/content", self.end_user)]
        if file.namespace:
            named = f"{FILE_SERVICE}/{quote(file.name)}"
            secure = self._get(named, self.basic).json()["secureFilePath"]
            public = f"/public/{self.company.number}/any/{quote(file.name)}"
            wanted += [(f"{named}/content", self.basic), (f"{named}/content?version=1", self.basic)]
            wanted += [(secure, {}), (public, {})]
        wanted.append((self._signed(file), {}))
        for url, headers in wanted:
            yield httpx.Request("GET", httpx.URL(self.service.url).join(url), headers=headers)

    def publish(self, file: File) -> None:
        """Opens it to everybody, as far as its owner can."""
        if file.namespace:
            with self.client() as client:
                url = f"{FILE_SERVICE}/{quote(file.name)}/acl"
                client.put(url, json={"acl": Acl.PUBLIC_READ.value}, headers=self.basic).raise_for_status()

    def _get(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        with self.client() as client:
            return client.get(url, headers=headers)

    def _signed(self, file: File) -> str:
        principal = self.desk.ask(lambda services: services.access.api_key(self.key, address=fresh_address()))
        return self.desk.ask(
            lambda services: services.links.download_url(
                principal, file, file.version, permission="files:read", expires_in=timedelta(minutes=5)
            )
        )


@dataclass(frozen=True)
class Way:
    """`sending` makes an upload of the name ready, asking for its address first where the API has it so. `refusal`
    reads an error in the API's own shape: its code, in the words of `core.errors`."""

    name: str
    sending: Callable[[Dock, httpx.Client, str], Sending]
    refusal: Callable[[httpx.Response], str]

    def send(self, dock: Dock, content: bytes, name: str = "note.txt") -> httpx.Response:
        """The file, in one piece."""
        with dock.client() as client:
            sending = self.sending(dock, client, name)
            return client.request(
                sending.method, sending.target, headers=sending.headers, content=sending.body(content)
            )


# --- how a file is sent --------------------------------------------------------------------------


def _form(dock: Dock, target: str, headers: Mapping[str, str], name: str) -> Sending:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    disposition = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
    return Sending(
        dock.host,
        "POST",
        target,
        {**headers, "content-type": f"multipart/form-data; boundary={_BOUNDARY}"},
        disposition.encode("utf-8", "surrogateescape"),
        f"\r\n--{_BOUNDARY}--\r\n".encode(),
    )


def _promised(dock: Dock, answer: httpx.Response, url: str, headers: Mapping[str, str]) -> Sending:
    assert answer.is_success, answer.text
    parts = urlsplit(url)
    return Sending(dock.host, "PUT", f"{parts.path}?{parts.query}", headers)


def _conversation(dock: Dock, client: httpx.Client, name: str) -> Sending:
    return _form(dock, CONVERSATION, dock.basic, name)


def _file_service_form(dock: Dock, client: httpx.Client, name: str) -> Sending:
    return _form(dock, f"{FILE_SERVICE}/{quote(name, safe='')}", dock.basic, name)


def _file_service_raw(dock: Dock, client: httpx.Client, name: str) -> Sending:
    return Sending(dock.host, "POST", f"{FILE_SERVICE}/{quote(name, safe='')}", dock.basic)


def _signed_url(dock: Dock, client: httpx.Client, name: str) -> Sending:
    answer = client.get(f"{SIGNED_URL}/signed-url", params={"filename": name}, headers=dock.end_user)
    return _promised(dock, answer, answer.json().get("file_url", ""), {})


def _file_upload(dock: Dock, client: httpx.Client, name: str) -> Sending:
    declared = types.type_of_name(name) or types.UNKNOWN
    answer = client.post(
        FILE_UPLOAD,
        json={"contentType": declared, "fileName": name},
        headers={"authorization": f"Bearer {dock.token}"},
    )
    return _promised(dock, answer, answer.json().get("uploadUrl", ""), {"content-type": declared})


def _management_form(dock: Dock, client: httpx.Client, name: str) -> Sending:
    return _form(dock, f"{MANAGEMENT}/files", dock.keyed, name)


def _management_raw(dock: Dock, client: httpx.Client, name: str) -> Sending:
    return Sending(dock.host, "POST", f"{MANAGEMENT}/files?name={quote(name, safe='')}", dock.keyed)


# --- how an error is said ------------------------------------------------------------------------


def _conversation_error(answer: httpx.Response) -> str:
    body = answer.json()
    assert list(body) == ["error", "idCompany"]
    assert list(body["error"]) == ["code", "message"]
    code: str = body["error"]["code"]
    return code


def _file_service_error(answer: httpx.Response) -> str:
    body = answer.json()
    assert (body["code"], body["status"]) == (answer.status_code, "false")
    code: str = body["errors"][0]["code"]
    return code


def _management_error(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    code: str = body["code"]
    return code


_S3 = MappingProxyType(
    {
        "EntityTooLarge": "too_large",
        "QuotaExceeded": "quota_exceeded",
        "SlowDown": "rate_limited",
        "SignatureDoesNotMatch": "forbidden",
        "UnsupportedMediaType": "type_refused",
        "IncompleteBody": "length_mismatch",
        "InvalidArgument": "invalid_input",
    }
)


def _objects_error(answer: httpx.Response) -> str:
    return _S3[code(answer.content)]


WAYS = (
    Way("conversation-files", _conversation, _conversation_error),
    Way("file-service form", _file_service_form, _file_service_error),
    Way("file-service body", _file_service_raw, _file_service_error),
    Way("signed-url", _signed_url, _objects_error),
    Way("file-upload", _file_upload, _objects_error),
    Way("management form", _management_form, _management_error),
    Way("management body", _management_raw, _management_error),
)
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
