"""Digests that clients claim in header fields.

    Repr-Digest, Content-Digest    RFC 9530: a dictionary of byte sequences (RFC 9651)
    Content-MD5                    RFC 1864
    x-amz-checksum-sha256          as S3's clients send it

sha-256 and sha-512 are checked, and md5 as well: it is worthless against malice, but SHA-256 is computed in any case,
and to pass over what a client asks to be checked helps nobody. Other algorithms are ignored, as RFC 9530 2 has it.

A `Content-` field speaks of the body of its own request: of the whole file only where the body is the whole file, and
never where the body is a form.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from starlette.datastructures import Headers

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.blobs import Digest

_ALGORITHMS = {"sha-256": ("sha256", 32), "sha-512": ("sha512", 64), "md5": ("md5", 16)}
_SINGLE = {"Content-MD5": ("md5", 16), "x-amz-checksum-sha256": ("sha256", 32)}

_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = (
    r"(?::[A-Za-z0-9+/=]*:"  # byte sequence
    r'|"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'  # string
    r"|-?[0-9]{1,15}(?:\.[0-9]{1,3})?"  # number
    r"|\?[01]"  # boolean
    r"|@-?[0-9]{1,15}"  # date
    r"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*)"  # token
)
_PARAMETERS = rf"(?:; *{_KEY}(?:={_BARE})?)*"
_MEMBER = re.compile(rf"({_KEY})(?:=({_BARE}))?{_PARAMETERS}")
_COMMA = re.compile(r"[ \t]*,[ \t]*")


def claimed_digests(headers: Headers, *, of_content: bool = True) -> tuple[Digest, ...]:
    """The digests that were claimed, one for each algorithm. `of_content`: whether the request's content is the whole
    file, so that `Content-` fields count. Raises InvalidInput, naming the field, for what cannot be read and for two
    fields that contradict each other."""
    found: dict[str, bytes] = {}
    for field, algorithm, value in _claims(headers, of_content):
        if found.setdefault(algorithm, value) != value:
            raise InvalidInput(f"{field} claims another {algorithm} digest than an earlier field.", field=field)
    return tuple(Digest(algorithm, value) for algorithm, value in found.items())


def _claims(headers: Headers, of_content: bool) -> Iterator[tuple[str, str, bytes]]:
    for field in ("Repr-Digest", "Content-Digest") if of_content else ("Repr-Digest",):
        values = headers.getlist(field)
        if values:
            yield from _dictionary(field, ", ".join(values))
    for field, (algorithm, length) in _SINGLE.items():
        if of_content or not field.startswith("Content-"):
            for value in headers.getlist(field):
                yield field, algorithm, _decode(field, value, length)


def _dictionary(field: str, value: str) -> Iterator[tuple[str, str, bytes]]:
    members: dict[str, str | None] = {}
    value = value.strip(" ")
    at = 0
    while at < len(value):
        member = _MEMBER.match(value, at)
        if member is None:
            raise _unreadable(field, value[at:])
        members[member[1]] = member[2]  # of several with one key the last counts (RFC 9651 3.2)
        at = member.end()
        if at < len(value):
            comma = _COMMA.match(value, at)
            if comma is None or comma.end() == len(value):
                raise _unreadable(field, value[at:])
            at = comma.end()
    for key, claimed in members.items():
        if key in _ALGORITHMS:
            algorithm, length = _ALGORITHMS[key]
            if claimed is None or not claimed.startswith(":"):
                raise _unreadable(field, claimed or key)
            yield field, algorithm, _decode(field, claimed[1:-1], length)


def _decode(field: str, value: str, length: int) -> bytes:
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(field, value) from None
    if len(found) != length:
        raise InvalidInput(f"{field} must hold {length} bytes in base64, but {len(found)} were given.", field=field)
    return found


def _unreadable(field: str, value: str) -> InvalidInput:
    return InvalidInput(f"{field} cannot be read: {value[:80]!r}.", field=field)
