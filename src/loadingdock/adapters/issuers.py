"""Token issuers besides ourselves: what is trusted of each, and its keys, fetched and kept for a while."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from loadingdock.core.errors import InvalidInput, Unavailable
from loadingdock.core.permissions import parse_grants
from loadingdock.core.ports.clock import Clock

if TYPE_CHECKING:
    import ssl

    import httpx  # who trusts no outside issuer need not wait for it at every start

log = logging.getLogger(__name__)

# Signatures with public keys alone: with an HMAC among them, a public key could be taken for a shared secret.
ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")
_KEPT = timedelta(minutes=10)  # how long a key set is used without asking again
_COOLDOWN = timedelta(seconds=30)  # how soon, at most, an unknown key id or a failure makes us ask again
_STALE = timedelta(hours=24)  # how long an issuer that cannot be reached is still believed
_LARGEST = 512 * 1024  # bytes of a key set
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class OutsideIssuer:
    """One entry of the setting `issuers`.

    `jwks` is an https URL (http on loopback) or a file's path. `company_claim` names the claim that holds the
    company's code or number, or `company` names the one company that the issuer speaks for. `permissions` is the
    most that its tokens may do; with `permissions_claim`, only what that claim names of them (a list, or words
    divided by spaces). `types` are the header types that its access tokens carry: RFC 9068 says `at+jwt`; some
    issuers say `JWT`. Raises ValueError, with a sentence, for what cannot be trusted so.
    """

    issuer: str
    audience: str
    jwks: str
    permissions: frozenset[str]
    company: str | None = None
    company_claim: str | None = None
    permissions_claim: str | None = None
    types: tuple[str, ...] = ("at+jwt",)
    algorithms: tuple[str, ...] = ALGORITHMS

    def __post_init__(self) -> None:
        if not self.issuer or "|" in self.issuer or not self.audience:
            raise ValueError("An issuer has a name (its `iss`, without |) and an audience.")
        if (self.company is None) == (self.company_claim is None):
            raise ValueError(f"{self.issuer}: say either company_claim or company.")
        if unknown := set(self.algorithms) - set(ALGORITHMS):
            raise ValueError(f"{self.issuer}: {', '.join(sorted(unknown))} is not among {', '.join(ALGORITHMS)}.")
        parts = urlsplit(self.jwks)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError(f"{self.issuer}: keys are fetched by https, not from {self.jwks}.")
        try:
            parse_grants(self.permissions)
        except InvalidInput as error:
            raise ValueError(f"{self.issuer}: {error.message}") from None


def key_client() -> httpx.AsyncClient:
    """Without redirects and proxies from the environment: the keys come from where the operator said."""
    import httpx

    return httpx.AsyncClient(timeout=5, follow_redirects=False, trust_env=False, verify=_authorities())


@cache
def _authorities() -> ssl.SSLContext:
    """Read once in a process: there are so many that it takes a while."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


@dataclass(slots=True)
class IssuerKeys:
    """The key set of one issuer. One fetch at a time, whoever waits for it."""

    issuer: OutsideIssuer
    clock: Clock
    http: httpx.AsyncClient
    _keys: KeySet | None = None
    _fetched_at: datetime | None = None
    _asked_at: datetime | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, kid: str | None) -> KeySet:
        """Keys to verify with, asked for again when they are old or do not hold `kid`. Raises Unavailable if there
        are none because the issuer cannot be reached."""
        if self._due(kid):
            async with self._lock:
                if self._due(kid):
                    await self._refresh()
        if self._keys is None or self._fetched_at is None or self.clock.now() - self._fetched_at > _STALE:
            raise Unavailable("token issuer", retry_after=int(_COOLDOWN.total_seconds()))
        return self._keys

    def _due(self, kid: str | None) -> bool:
        now = self.clock.now()
        if self._asked_at is not None and now - self._asked_at < _COOLDOWN:
            return False
        if self._keys is None or self._fetched_at is None or now - self._fetched_at > _KEPT:
            return True
        return kid is not None and all(key.kid != kid for key in self._keys)

    async def _refresh(self) -> None:
        import httpx

        try:
            self._keys = _key_set(await self._fetch())
            self._fetched_at = self.clock.now()
        except (httpx.HTTPError, OSError, ValueError) as error:
            log.warning("the keys of %s cannot be had: %s", self.issuer.issuer, error)
        finally:
            self._asked_at = self.clock.now()

    async def _fetch(self) -> bytes:
        if not self.issuer.jwks.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(self.issuer.jwks).read_bytes)
        async with self.http.stream("GET", self.issuer.jwks, headers={"accept": "application/json"}) as response:
            if response.status_code != 200:
                raise ValueError(f"the answer was {response.status_code}")
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _LARGEST:
                    raise ValueError(f"the key set has more than {_LARGEST} bytes")
            return bytes(body)


def _key_set(body: bytes) -> KeySet:
    """The public signing keys of a JWK set; what we cannot use is passed over, as RFC 7517 5 says."""
    document = json.loads(body)
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = [key for data in listed or [] if (key := _key(data)) is not None] if isinstance(listed, list) else []
    if not keys:
        raise ValueError("there are no keys to verify with")
    return KeySet(keys)


def _key(data: Any) -> Key | None:
    if not isinstance(data, Mapping) or data.get("kty") not in {"EC", "RSA", "OKP"} or data.get("use", "sig") != "sig":
        return None
    try:
        if data["kty"] == "RSA" and len(base64.urlsafe_b64decode(data["n"] + "==")) < 256:
            return None  # under 2048 bits (NIST SP 800-131A)
        return JWKRegistry.import_key(dict(data))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
