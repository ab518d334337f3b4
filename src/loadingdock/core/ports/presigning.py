"""Links that carry their own permission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a presigned URL allows, after its signature has been verified."""

    method: str
    path: str
    signer: str
    expires_at: datetime
    query: Mapping[str, str]
    signed_headers: frozenset[str]


class Presigner(Protocol):
    """AWS Signature Version 4, query form. `signer` names who answers for the link and is bound into it."""

    def url(
        self,
        method: str,
        path: str,
        *,
        signer: str,
        expires_in: timedelta,
        now: datetime,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """`headers` must then be sent exactly so by the client; `host` is always bound. `path` is unencoded."""
        ...

    def verify(
        self,
        method: str,
        raw_path: bytes,
        raw_query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        now: datetime,
    ) -> SignedRequest:
        """Verifies the request as it came, once, without normalising anything. Raises Forbidden("link") for every
        deviation and LinkExpired for a valid link past its time."""
        ...
