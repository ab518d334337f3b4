"""The words of file-service: what a file looks like, its answers and its table of errors."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import types
from loadingdock.core.errors import DockError, InvalidInput
from loadingdock.core.model.companies import Company, CompanySetting
from loadingdock.core.model.files import Acl, File, Version
from loadingdock.web.answers import answer_json
from loadingdock.web.problems import headers_of, status_of

API = "file-service"
PREFIX = "/api_gateway/file-service"
TOKEN_PREFIX = "/v3/oauth"
CHALLENGE = 'Basic realm="Loadingdock", charset="UTF-8", Bearer realm="Loadingdock"'

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def _bucket(text: str) -> str:
    if not _BUCKET.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens.")
    return text.strip()


BUCKET: CompanySetting[str] = CompanySetting(
    f"{API}.bucket", "loadingdock", "the bucket that stands in the s3_url of file-service", _bucket
)


SEVERAL = "The form has several files; send one, or name the one that is meant file."

# --- what comes in -------------------------------------------------------------------------------


def version_number(request: Request) -> int | None:
    """`?version=N`; None without it."""
    values = request.query_params.getlist("version")
    if not values:
        return None
    if len(values) > 1 or not _NUMBER.fullmatch(values[0]):
        raise InvalidInput("version is one whole number from 1 on.", field="version")
    return int(values[0])


def page_limit(request: Request) -> int:
    text = request.query_params.get("limit", "50")
    if not _NUMBER.fullmatch(text) or int(text) > 1000:
        raise InvalidInput("limit is a whole number from 1 to 1000.", field="limit")
    return int(text)


def acl_of(body: Mapping[str, Any]) -> Acl:
    try:
        return Acl(str(body.get("acl")))
    except ValueError:
        raise InvalidInput(f"acl is {' or '.join(Acl)}.", field="acl") from None


def text_of(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{key} is a text and must be there.", field=key)
    return value


# --- what a version is called --------------------------------------------------------------------


def new_attributes(company: Company, namespace: str, name: str, received_at: datetime | None) -> dict[str, str]:
    """What this wire remembers of a version. `received_at` is absent while it is a placeholder."""
    token = _token(company, namespace, name, uuid.uuid4())
    attributes = {"s3_token": token, "s3_url": f"s3://{company.get(BUCKET)}/{token}"}
    return attributes if received_at is None else {**attributes, "received_at": _stamp(received_at)}


def _token(company: Company, namespace: str, name: str, random: uuid.UUID) -> str:
    extension = types.extension(name)
    return f"{namespace}/{company.number}/{random}" + (f".{extension}" if extension else "")


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def file_json(company: Company, file: File, version: Version) -> dict[str, Any]:
    """One version in the order of the source document. What came into the namespace by another wire has no token of
    this one's making and is given one that stays the same."""
    known = version.attributes
    token = known.get("s3_token") or _token(
        company, file.namespace, file.name, uuid.uuid5(uuid.UUID(file.id), str(version.number))
    )
    return {
        "name": file.name,
        "namespace": file.namespace,
        "version": version.number,
        "acl": file.acl.value,
        "fileSize": str(version.size),
        "file_handle": file.id,
        "content_type": version.content_type,
        "s3_token": token,
        "latest_version": file.version.number,
        "last_modified": known.get("received_at") or _stamp(version.created_at),
        "s3_url": known.get("s3_url") or f"s3://{company.get(BUCKET)}/{token}",
    }


# --- what goes out -------------------------------------------------------------------------------


def one(message: str, file: Mapping[str, Any], *, secure: str, public: str | None) -> Response:
    """`public` is the stable address of what everybody may read; others have none."""
    body: dict[str, Any] = {**_success(message), "file": file, "secureFilePath": secure}
    if public is not None:
        body["publicFilePath"] = public
    return respond(body)


def listed(files: Sequence[Mapping[str, Any]], cursor: str | None) -> Response:
    return respond({**_success("Successfully listed files"), "files": files, "cursor": cursor})


def versions(found: Sequence[Mapping[str, Any]]) -> Response:
    return respond({**_success("Successfully listed versions"), "versions": found})


def deleted(number: int | None) -> Response:
    return respond(_success("Successfully deleted file" if number is None else "Successfully deleted version"))


def token(value: str, seconds: int) -> Response:
    """RFC 6749 5.1: no cache keeps a token."""
    return respond({"data": {"accessToken": value, "ttlSeconds": seconds}, "errors": None})


def render(error: DockError, request: Request) -> Response:
    """Every error in the shape of the success, `code` being the HTTP status. The token's address says besides that
    there is no `data`."""
    status = status_of(error)
    body = {
        "code": status,
        "status": "false",
        "message": str(error),
        "errors": [{"code": error.code, "message": str(error)}],
    }
    if request.scope["path"].startswith(TOKEN_PREFIX):
        body = {"data": None, **body}
    return respond(body, status, headers_of(error, challenge=CHALLENGE))


def respond(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # Links and tokens are for who asked, and for now.
    return answer_json(body, status, {"cache-control": "no-store", **(headers or {})})


def _success(message: str) -> dict[str, Any]:
    return {"code": 200, "status": "true", "message": message}
