"""The header fields of resumable uploads (draft-ietf-httpbis-resumable-upload, after -11).

All of them are structured fields (RFC 9651); what is not of its type is ignored, as the draft asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.datastructures import Headers

from loadingdock.core.errors import InvalidInput, LengthMismatch, TooLarge
from loadingdock.core.model.files import Upload

MEDIA_TYPE = "application/partial-upload"

# An Item is a bare value with parameters; none are defined here, so any are skipped.
_PARAMETERS = r'(?: *; *[a-z*][a-z0-9_.*-]*(?:=(?:"(?:[^"\\]|\\["\\])*"|[^";, ]+))?)*'
_BOOLEAN = re.compile(rf"\?([01]){_PARAMETERS}", re.ASCII)
_INTEGER = re.compile(rf"(\d{{1,15}}){_PARAMETERS}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fields:
    """What a request says of the upload. `complete` None: it does not speak this protocol."""

    complete: bool | None
    offset: int | None
    length: int | None

    @classmethod
    def of(cls, headers: Headers) -> Fields:
        complete = _item(headers.getlist("upload-complete"), _BOOLEAN)
        offset = _item(headers.getlist("upload-offset"), _INTEGER)
        length = _item(headers.getlist("upload-length"), _INTEGER)
        return cls(
            None if complete is None else complete == "1",
            None if offset is None else int(offset),
            None if length is None else int(length),
        )


def _item(values: Sequence[str], pattern: re.Pattern[str]) -> str | None:
    match = pattern.fullmatch(values[0].strip(" ")) if len(values) == 1 else None
    return None if match is None else match[1]


def length_of(upload: Upload, fields: Fields, *, offset: int, content: int | None, last: bool) -> int | None:
    """The upload's whole length as far as it is known now, from what was promised, from Upload-Length and, with its
    last request, from Content-Length (`content`). Raises if they contradict each other, or the upload's limit."""
    if content is not None and offset + content > upload.max_size:
        raise TooLarge(limit=upload.max_size, received=offset + content)
    known = upload.size
    if fields.length is not None:
        if fields.length > upload.max_size:
            raise TooLarge(limit=upload.max_size, received=fields.length)
        if known is not None and fields.length != known:
            raise InvalidInput(
                f"Upload-Length is {fields.length}, but {known} bytes were declared before.", field="Upload-Length"
            )
        known = fields.length
    if content is not None and last:
        if known is not None and offset + content != known:
            raise LengthMismatch(declared=known, received=offset + content)
        known = offset + content
    return known


def limits(upload: Upload, now: datetime) -> str:
    """Upload-Limit: the most bytes, and how long the upload lives on."""
    return f"max-size={upload.max_size}, max-age={max(0, int((upload.expires_at - now).total_seconds()))}"
