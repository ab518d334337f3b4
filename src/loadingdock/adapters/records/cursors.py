"""Keyset cursors: the place of a page's last item, opaque to clients, bound to the list that made them."""

from __future__ import annotations

import base64
import hashlib
import json

from loadingdock.core.errors import InvalidInput

_CHECK = 6


def encode(of: str, company_id: int | None, place: tuple[int | str, ...]) -> str:
    body = json.dumps([of, company_id, *place], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_check(body) + body).rstrip(b"=").decode("ascii")


def decode(of: str, company_id: int | None, cursor: str, types: tuple[type, ...]) -> tuple[int | str, ...]:
    """Raises InvalidInput(field="cursor") for a cursor that this list of this company did not give out. The check
    bytes are no secret: a forged place only starts the caller's own list elsewhere."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        kind, company, *place = json.loads(raw[_CHECK:])
    except (ValueError, TypeError, RecursionError):  # no base64, no JSON, no list, too deep a list
        raise _refusal() from None
    if kind != of or company != company_id or [type(value) for value in place] != list(types):
        raise _refusal()
    if encode(of, company_id, tuple(place)) != cursor:  # the check bytes, and one spelling only
        raise _refusal()
    return tuple(place)


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK, person=b"ld-cursor").digest()


def _refusal() -> InvalidInput:
    return InvalidInput(
        "The cursor was not given out by this list; take it from the page before, or leave it out.", field="cursor"
    )
