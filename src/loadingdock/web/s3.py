"""Errors in the shape that S3 gives them, for the clients of presigned URLs, which are S3's.

    <Error><Code>SignatureDoesNotMatch</Code><Message>...</Message><Resource>/objects/...</Resource><RequestId>...

Codes are S3's wherever it has one for the case ("Error responses", Amazon S3 API reference); the statuses are HTTP's
where S3 is loose (413, 415 and 410 instead of 400 and 404). Codes that S3 does not know: ObjectAlreadyExists,
MismatchingUploadOffset, UnsupportedMediaType, QuotaExceeded (Ceph's), InsufficientStorage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from loadingdock.core import errors
from loadingdock.core.errors import DockError
from loadingdock.web import cors
from loadingdock.web.context import context
from loadingdock.web.errors import InternalError, MethodNotAllowed
from loadingdock.web.problems import headers_of

EXPOSED = (
    "ETag, Location, Content-Length, Content-Range, Accept-Ranges, Upload-Offset, Upload-Complete, Upload-Length,"
    " Upload-Limit, Retry-After, x-amz-checksum-sha256, x-amz-request-id"
)

# Subclasses have their parent's row unless they have their own.
_TABLE: Mapping[type[DockError], tuple[int, str]] = MappingProxyType(
    {
        DockError: (500, "InternalError"),
        InternalError: (500, "InternalError"),
        errors.InvalidInput: (400, "InvalidArgument"),
        errors.DigestMismatch: (400, "BadDigest"),
        errors.LengthMismatch: (400, "IncompleteBody"),
        errors.ClientGone: (400, "IncompleteBody"),
        errors.LimitExceeded: (413, "EntityTooLarge"),
        errors.TooSlow: (408, "RequestTimeout"),
        errors.TypeRefused: (415, "UnsupportedMediaType"),
        errors.Unauthenticated: (403, "AccessDenied"),
        errors.Forbidden: (403, "AccessDenied"),
        errors.LinkExpired: (403, "AccessDenied"),
        # The object is there, but in no state to be read.
        errors.Infected: (403, "InvalidObjectState"),
        errors.Rejected: (403, "InvalidObjectState"),
        errors.NotFound: (404, "NoSuchKey"),
        MethodNotAllowed: (405, "MethodNotAllowed"),
        errors.Conflict: (409, "OperationAborted"),
        errors.AlreadyUploaded: (409, "ObjectAlreadyExists"),
        errors.AlreadyExists: (409, "ObjectAlreadyExists"),
        errors.OffsetMismatch: (409, "MismatchingUploadOffset"),
        errors.Gone: (410, "NoSuchKey"),
        errors.KeyReused: (400, "InvalidRequest"),
        errors.QuotaExceeded: (403, "QuotaExceeded"),
        errors.RateLimited: (503, "SlowDown"),
        errors.Unavailable: (503, "ServiceUnavailable"),
        errors.StorageFull: (507, "InsufficientStorage"),
    }
)
_WHAT = MappingProxyType({"upload": "NoSuchUpload", "version": "NoSuchVersion"})
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_COMPLETE = "loadingdock.upload-complete"
_EXPIRED = "Request has expired"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided, or whoever signed the link may"
    " sign no more. Check method, host, path, every parameter and the signed headers."
)


def answer(request: Request, status: int, headers: Mapping[str, str], body: bytes = b"") -> Response:
    """An answer of the signed routes."""
    return Response(body, status, headers={**headers, **common(request)})


def common(request: Request) -> dict[str, str]:
    """What every answer of the signed routes carries."""
    return {"x-amz-request-id": context(request).request_id, **cors.headers(request, EXPOSED)}


def mark_complete(request: Request) -> None:
    """From now on an error says that all of the bytes had come (Upload-Complete, resumable uploads)."""
    request.scope[_COMPLETE] = True


def render(error: DockError, request: Request) -> Response:
    status, code = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    message = str(error)
    if isinstance(error, errors.Forbidden) and error.permission == "link":
        code, message = "SignatureDoesNotMatch", _MISMATCH
    elif isinstance(error, errors.LinkExpired):
        message = f"{_EXPIRED}: {message}"
    elif isinstance(error, errors.NotFound):
        code = _WHAT.get(error.what, code)
    headers = headers_of(error)
    if status == 503:
        headers.setdefault("retry-after", "5")
    if isinstance(error, errors.OffsetMismatch):
        headers["upload-offset"] = str(error.current)
        headers["upload-complete"] = "?0"
    if isinstance(error, errors.AlreadyUploaded) or request.scope.get(_COMPLETE):
        headers["upload-complete"] = "?1"
    if isinstance(error, errors.TooLarge):
        headers["upload-limit"] = f"max-size={error.limit}"
    resource = request.scope.get("raw_path") or request.scope["path"].encode()
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{_text(message)}</Message>"
        f"<Resource>{_text(resource.decode('ascii', 'replace'))}</Resource>"
        f"<RequestId>{context(request).request_id}</RequestId></Error>"
    ).encode()
    return Response(body, status, headers={**headers, **common(request)}, media_type="application/xml")


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))
