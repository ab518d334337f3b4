"""Multipart uploads: begun, sent in parts, completed or aborted, and found when nobody finished them ("Uploading and
copying objects using multipart upload", Amazon S3 user guide). Everything here blocks and belongs in a thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from loadingdock.adapters.blobs.s3.troubles import code_of, refusal
from loadingdock.adapters.blobs.s3.wire import Wire
from loadingdock.core.errors import NotFound

_GONE = frozenset({404})
_REFUSED = frozenset({400, 404})
_OVER = frozenset({"NoSuchUpload", "InvalidPart"})


@dataclass(frozen=True, slots=True)
class Unfinished:
    """`name` is the object's behind the prefix."""

    name: str
    upload: str
    begun: datetime


class Multipart:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._place = wire.place

    def begin(self, name: str) -> str:
        """The upload's id."""
        answer = self._wire.request(
            "POST", name, {"uploads": ""}, headers=self._place.encrypted(), doing="s3:PutObject"
        )
        return _text(_parse(answer.body), "UploadId")

    def send(self, name: str, upload: str, number: int, body: bytes) -> str:
        """The part's ETag. Parts are counted from 1. Raises NotFound for an upload that is over."""
        query = {"partNumber": str(number), "uploadId": upload}
        answer = self._wire.request("PUT", name, query, body=body, doing="s3:PutObject", passed=_GONE)
        if answer.status == 404:
            raise self._gone(answer.text)
        return answer.headers.get("etag", "")

    def complete(self, name: str, upload: str, etags: Sequence[str]) -> None:
        """The object is there, whole, when it returns. Raises NotFound for an upload that is over, which the upload of
        an answer that was lost is as well, and for one that has other parts than these: somebody else sent them, or,
        with Ceph, more of them came once than are wanted now."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self._wire.request(
            "POST", name, {"uploadId": upload}, body=body, doing="s3:PutObject", passed=_REFUSED
        )
        if answer.status in _REFUSED:
            raise self._gone(answer.text)
        if code_of(answer.text):  # S3 begins its answer before it knows how it ends
            raise refusal(self._place, 500, answer.text, "s3:PutObject")

    def abort(self, name: str, upload: str) -> None:
        """Its parts go. One that is over is no error."""
        self._wire.request("DELETE", name, {"uploadId": upload}, doing="s3:AbortMultipartUpload", passed=_GONE)

    def unfinished(self, folder: str) -> Iterator[Unfinished]:
        """Every upload whose object's name begins with `folder`, in the order of names."""
        query = {"uploads": "", "prefix": self._place.path(folder)}
        while True:
            answer = self._wire.request("GET", None, query, doing="s3:ListBucketMultipartUploads")
            page = _parse(answer.body)
            for one in page.iter(f"{_namespace(page)}Upload"):
                name = _text(one, "Key").removeprefix(self._place.path(""))
                yield Unfinished(name, _text(one, "UploadId"), datetime.fromisoformat(_text(one, "Initiated")))
            if _text(page, "IsTruncated") != "true":
                return
            query |= {"key-marker": _text(page, "NextKeyMarker"), "upload-id-marker": _text(page, "NextUploadIdMarker")}

    def _gone(self, text: str) -> Exception:
        return NotFound("blob") if code_of(text) in _OVER else refusal(self._place, 404, text, "s3:PutObject")


def _parse(body: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(body)  # noqa: S314 - the operator's own store; expat bounds what entities grow to


def _namespace(element: ElementTree.Element) -> str:
    return element.tag[: element.tag.index("}") + 1] if "}" in element.tag else ""


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{_namespace(element)}{name}") or ""
