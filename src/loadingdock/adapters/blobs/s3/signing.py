"""AWS Signature Version 4 as a client of S3, in its header form and its query form ("Authenticating Requests",
Amazon S3 API reference). Links of our own service are another subject: `adapters.presign`."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from loadingdock.adapters.blobs.s3.place import Credentials

UNSIGNED = "UNSIGNED-PAYLOAD"
_ALGORITHM = "AWS4-HMAC-SHA256"


def encoded(query: Mapping[str, str]) -> str:
    """A query in canonical form: sorted, with everything encoded that is not unreserved."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def authorized(
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    payload: str,
    credentials: Credentials,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of a signed request: all that are given, names in lower case, and the signature's own. `payload` is
    the body's SHA-256 in hex, or UNSIGNED. `url` is in canonical form and has no query."""
    parts = urlsplit(url)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "host": parts.netloc, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    if credentials.token is not None:
        signed["x-amz-security-token"] = credentials.token
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    signature = _signature(method, parts.path or "/", encoded(query), signed, payload, stamp, scope, credentials)
    names = ";".join(sorted(signed))
    return {
        **signed,
        "authorization": (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    }


def presigned(
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    seconds: int,
    credentials: Credentials,
    region: str,
    now: datetime,
) -> str:
    """A URL that holds for `seconds`. The client has to send exactly `headers`, names in lower case."""
    parts = urlsplit(url)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    signed = {**headers, "host": parts.netloc}
    parameters = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
    }
    if credentials.token is not None:
        parameters["X-Amz-Security-Token"] = credentials.token
    text = encoded(parameters)
    signature = _signature(method, parts.path or "/", text, signed, UNSIGNED, stamp, scope, credentials)
    return f"{url}?{text}&X-Amz-Signature={signature}"


def _signature(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload: str,
    stamp: str,
    scope: str,
    credentials: Credentials,
) -> str:
    names = sorted(headers)
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    request = "\n".join([method, path, query, *lines, "", ";".join(names), payload])
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
