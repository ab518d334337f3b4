"""The APIs for files as their clients use them: each sends one file its own way and reads it back as far as it can.

What an API cannot do (conversation-files and file-upload only take files in) is asked of the management API.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from loadingdock.demo import curl
from loadingdock.demo.curl import Answer, Request
from loadingdock.demo.show import Show

_SETTLED = frozenset({"ready", "infected", "rejected", "expired", "deleted"})
_PATIENCE = 30.0  # seconds until a file has been looked into


@dataclass(frozen=True, slots=True)
class Management:
    """`/api/v1`, by an API key that may read and write files."""

    url: str
    key: str

    def request(self, path: str, **query: str) -> Request:
        asked = f"?{urlencode(query)}" if query else ""
        return Request("GET", f"{self.url}/api/v1{path}{asked}", headers={"api-key": self.key})

    def find(self, **query: str) -> str:
        """The id of the one file that the query finds; empty if there is none."""
        items = curl.fetch(self.request("/files", **query)).json.get("items") or [{}]
        return str(items[0].get("id", ""))

    def settled(self, id: str) -> str:
        """The file's state once nothing more happens to it by itself."""
        deadline = time.monotonic() + _PATIENCE
        state = "unknown"
        while id and time.monotonic() < deadline:
            state = str(curl.fetch(self.request(f"/files/{id}")).json.get("state", "unknown"))
            if state in _SETTLED:
                break
            time.sleep(0.1)
        return state

    def content(self, id: str) -> Answer:
        return curl.fetch(self.request(f"/files/{id}/content"))


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request whose body can be sent in halves: what goes before the file's bytes, and after them. `id`: the file
    that was promised to it, where the API promises files before their bytes come."""

    method: str
    url: str
    headers: dict[str, str]
    login: tuple[str, str] | None = None
    before: bytes = b""
    after: bytes = b""
    id: str = ""


class Api(Protocol):
    """`sample` is a name that one of its files may have."""

    @property
    def name(self) -> str: ...
    @property
    def sample(self) -> str: ...

    def send(self, show: Show, file: Path) -> str:
        """Sends the file and checks the answer. The file's id, empty if it was not taken."""
        ...

    def read(self, show: Show, id: str, name: str) -> Answer:
        """The bytes, by the API's own way where it has one."""
        ...

    def parcel(self, name: str) -> Parcel:
        """For an upload of that name."""
        ...

    def find(self, name: str) -> str:
        """The id of a file that was taken in under that name; empty if there is none."""
        ...


def _form(name: str) -> tuple[dict[str, str], bytes, bytes]:
    """(headers, before, after) of a form with one part `file` (RFC 7578)."""
    boundary = "loadingdock-demo-boundary"
    before = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return headers, before.encode(), f"\r\n--{boundary}--\r\n".encode()


@dataclass(frozen=True, slots=True)
class ConversationFiles:
    """One multipart upload with Basic; the answer is the file's id."""

    url: str
    user: str
    password: str
    desk: Management
    name: str = "conversation-files"
    sample: str = "statement.pdf"

    @property
    def _path(self) -> str:
        return f"{self.url}/dana/conversation/http/rest/file/upload"

    def send(self, show: Show, file: Path) -> str:
        headers = {"Content-Type": "multipart/form-data", "Accept": "application/json", "X-DEBUG": "1"}
        answer = show.ask(Request("POST", self._path, login=f"{self.user}:{self.password}", headers=headers, form=file))
        said = answer.json
        complete = {"fileID", "fileName", "idCompany", "requestID"} <= said.keys() and said["fileName"] == file.name
        show.check(f"{file.name} is taken in", answer.status == 200 and complete, str(said.get("fileID", "")))
        return self.desk.find(alias=said["fileID"]) if complete else ""

    def read(self, show: Show, id: str, name: str) -> Answer:
        return show.ask(self.desk.request(f"/files/{id}/content"))

    def parcel(self, name: str) -> Parcel:
        headers, before, after = _form(name)
        return Parcel("POST", self._path, headers, (self.user, self.password), before, after)

    def find(self, name: str) -> str:
        return self.desk.find(api=self.name, search=name)


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A presigned URL, the PUT of the bytes to it, then the status until it is processed."""

    url: str
    key: str
    desk: Management
    end_user: str = "user-17"
    name: str = "signed-url"
    sample: str = "report.docx"

    @property
    def _headers(self) -> dict[str, str]:
        return {"api-key": self.key, "user-id": self.end_user}

    def send(self, show: Show, file: Path) -> str:
        wanted = show.ask(self._wanted(file.name))
        said = wanted.json
        complete = {"expires_in", "file_id", "file_limits", "file_url"} <= said.keys()
        if not show.check("an upload URL is handed out", wanted.status == 200 and complete):
            return ""
        put = show.ask(Request("PUT", said["file_url"], file=file))
        show.check(f"{file.name} is taken in", put.status == 200, str(put.status))
        status = show.ask(
            Request(
                "GET", f"{self.url}/v1/files/{said['file_id']}/status", headers={**self._headers, "Prefer": "wait=20"}
            )
        )
        show.check(
            "its steps are told", "processing_steps" in status.json, str(status.json.get("processing_status", ""))
        )
        return str(said["file_id"])

    def _wanted(self, name: str) -> Request:
        address = f"{self.url}/v1/files/signed-url?filename={quote(name)}&persist=true"
        return Request("GET", address, headers=self._headers)

    def read(self, show: Show, id: str, name: str) -> Answer:
        return show.ask(Request("GET", f"{self.url}/v1/files/{id}/content", headers=self._headers))

    def text(self, show: Show, id: str) -> str:
        return show.ask(Request("GET", f"{self.url}/v1/files/{id}", headers=self._headers)).text

    def parcel(self, name: str) -> Parcel:
        said = curl.fetch(self._wanted(name)).json
        return Parcel("PUT", str(said.get("file_url", "")), {}, id=str(said.get("file_id", "")))

    def find(self, name: str) -> str:
        return self.desk.find(api=self.name, search=name)


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A token by client credentials, an upload initiated with its type, the PUT of the bytes."""

    url: str
    client_id: str
    client_secret: str
    organization_id: str
    desk: Management
    name: str = "file-upload"
    sample: str = "ledger.xlsx"

    def send(self, show: Show, file: Path) -> str:
        granted = show.ask(self._token())
        token = str(granted.json.get("access_token", ""))
        if not show.check("a token is issued", granted.status == 200 and bool(token)):
            return ""
        kind = _TYPES[file.suffix]
        begun = show.ask(self._begin(token, kind))
        said = begun.json
        complete = {"uploadMethod", "uploadUrl", "fileId"} <= said.keys()
        if not show.check("an upload is initiated", begun.status == 200 and complete, str(said.get("fileId", ""))):
            return ""
        put = show.ask(Request(said["uploadMethod"], said["uploadUrl"], headers={"Content-Type": kind}, file=file))
        show.check(f"{file.name} is taken in", put.status == 200, str(put.status))
        return self.desk.find(alias=str(said["fileId"]))

    def _token(self) -> Request:
        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "organization_id": self.organization_id,
        }
        return Request("POST", f"{self.url}/oauth/token", fields=fields)

    def _begin(self, token: str, kind: str) -> Request:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return Request("POST", f"{self.url}/v1/fileUpload", headers=headers, data=f'{{"contentType": "{kind}"}}')

    def read(self, show: Show, id: str, name: str) -> Answer:
        return show.ask(self.desk.request(f"/files/{id}/content"))

    def parcel(self, name: str) -> Parcel:
        kind = _TYPES[Path(name).suffix]
        token = str(curl.fetch(self._token()).json.get("access_token", ""))
        said = curl.fetch(self._begin(token, kind)).json
        id = self.desk.find(alias=str(said.get("fileId", "")))
        return Parcel("PUT", str(said.get("uploadUrl", "")), {"Content-Type": kind}, id=id)

    def find(self, name: str) -> str:
        return ""  # a file initiated by its type alone has no name to be found by


@dataclass(frozen=True, slots=True)
class FileService:
    """An image under a name in a namespace; each upload of the name is a version."""

    url: str
    user: str
    password: str
    desk: Management
    name: str = "file-service"
    sample: str = "badge.png"

    def _path(self, name: str) -> str:
        return f"{self.url}/api_gateway/file-service/rewards/{quote(name)}"

    def send(self, show: Show, file: Path) -> str:
        answer = show.ask(Request("POST", self._path(file.name), login=f"{self.user}:{self.password}", form=file))
        said = answer.json
        described = said.get("file", {})
        complete = said.get("status") == "true" and described.get("name") == file.name and "secureFilePath" in said
        version = f"version {described.get('version')}"
        show.check(f"{file.name} is taken in", answer.status == 200 and complete, version if described else "")
        return self.find(file.name)

    def read(self, show: Show, id: str, name: str) -> Answer:
        """By the presigned link that the API hands out."""
        found = curl.fetch(Request("GET", self._path(name), login=f"{self.user}:{self.password}")).json
        return show.ask(Request("GET", str(found.get("secureFilePath", f"{self.url}/none"))))

    def parcel(self, name: str) -> Parcel:
        headers, before, after = _form(name)
        return Parcel("POST", self._path(name), headers, (self.user, self.password), before, after)

    def find(self, name: str) -> str:
        return self.desk.find(namespace="rewards", search=name)


_TYPES = {
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
