"""Access tokens as JWTs (RFC 9068): ours, signed with ES256, and those of trusted issuers.

Which key may verify a token is decided by its issuer alone; nothing in the token's own header (an algorithm, a key,
an address of keys) can widen that (RFC 8725).
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, KeySet
from joserfc.jws import JWSRegistry

from loadingdock.adapters.issuers import IssuerKeys, OutsideIssuer, key_client
from loadingdock.core.credentials import LONGEST_TTL
from loadingdock.core.errors import Unauthenticated
from loadingdock.core.model.identity import SigningKey
from loadingdock.core.permissions import expand, intersect
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.identity import TokenClaims
from loadingdock.core.ports.records import Records, Unit

__all__ = ["JwtTokens", "OutsideIssuer"]

_TYPE = "at+jwt"
_ALGORITHM = "ES256"
_LONGEST = 8 * 1024  # characters of a token
_SKEW = timedelta(seconds=60)  # how far ahead an issuer's clock may be
_RELOAD = timedelta(seconds=30)  # how long another process may go on with a key after it was retired here


class _Registry(JWSRegistry):
    """The library warns at every use of the name EdDSA, which RFC 9864 replaces; issuers send it all the same."""

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise Unauthenticated
        return self.algorithms[name]


class JwtTokens:
    """Port Tokens. `issuer` is our public URL, `iss` and `aud` of the tokens we issue. The signing keys are kept in
    the records, where every process finds them; the first one is made when it is needed."""

    def __init__(self, records: Records, clock: Clock, *, issuer: str, outside: Iterable[OutsideIssuer] = ()) -> None:
        self._records = records
        self._clock = clock
        self._issuer = issuer
        trusted = tuple(outside)
        self._http = key_client() if trusted else None
        self._outside = {of.issuer: IssuerKeys(of, clock, self._http) for of in trusted if self._http is not None}
        if issuer in self._outside:
            raise ValueError(f"{issuer} is our own name; an outside issuer has another one.")
        self._keys: tuple[SigningKey, ...] = ()
        self._imported: dict[str, ECKey] = {}
        self._loaded_at: datetime | None = None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def issue(self, *, subject: str, company: str, permissions: Iterable[str], ttl: timedelta) -> str:
        """A token with the claims of RFC 9068 2.2; `org` names the company. `ttl` is at most 24 h."""
        if not timedelta(0) < ttl <= LONGEST_TTL:
            raise ValueError(f"A token lives for up to {LONGEST_TTL}, not for {ttl}.")
        await self._load()
        current = next((key for key in self._keys if key.retired_at is None), None)
        kid = current.id if current is not None else await self._first()
        now = int(self._clock.now().timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": subject,
            "client_id": subject,
            "org": company,
            "scope": " ".join(sorted(permissions)),
            "iat": now,
            "exp": now + int(ttl.total_seconds()),
            "jti": secrets.token_hex(16),
        }
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": kid}
        return jwt.encode(header, claims, self._imported[kid], algorithms=[_ALGORITHM])

    async def verify(self, token: str) -> TokenClaims:
        header, claims = _unverified(token)
        kid, issuer = header.get("kid"), claims.get("iss")
        if not isinstance(issuer, str) or not isinstance(kid, str | None):
            raise Unauthenticated
        outside = self._outside.get(issuer)
        if outside is not None:
            trusted = outside.issuer
            claims = _verified(token, await outside.get(kid), trusted.algorithms)
            self._check(header, claims, issuer, trusted.audience, trusted.types)
            return _outside_claims(trusted, claims)
        if issuer != self._issuer or kid is None:
            raise Unauthenticated
        claims = _verified(token, await self._key(kid), (_ALGORITHM,))
        self._check(header, claims, issuer, issuer, (_TYPE,))
        company, scope = claims.get("org"), claims.get("scope")
        if not isinstance(company, str) or not isinstance(scope, str):
            raise Unauthenticated
        return TokenClaims(issuer, claims["sub"], company, frozenset(scope.split()), _time(claims["exp"]))

    async def jwks(self) -> Mapping[str, Any]:
        """The public keys that verify, retired ones until their last token has expired."""
        await self._load()
        if not self._imported:
            await self._first()
        return {"keys": [key.as_dict(private=False) for key in self._imported.values()]}

    async def rotate(self) -> str:
        now = self._clock.now()
        key = _new_key(now)

        async def work(unit: Unit) -> None:
            for old in await unit.secrets.signing_keys():
                if old.retired_at is None:
                    await unit.secrets.retire_signing_key(old.id, now)
                elif not _verifies(old, now):
                    await unit.secrets.remove_signing_key(old.id)
            await unit.secrets.add_signing_key(key)

        await self._records.write(None, work)
        await self._load(again=True)
        return key.id

    async def _first(self) -> str:
        """Several processes may come here at once; one key is made, and all of them use it."""
        key = _new_key(self._clock.now())

        async def work(unit: Unit) -> str:
            for known in await unit.secrets.signing_keys():
                if known.retired_at is None:
                    return known.id
            await unit.secrets.add_signing_key(key)
            return key.id

        kid = await self._records.write(None, work)
        await self._load(again=True)
        return kid

    async def _key(self, kid: str) -> ECKey:
        await self._load()
        if kid not in self._imported and self._aged(timedelta(seconds=1)):
            await self._load(again=True)  # another process may have made it since
        if kid not in self._imported:
            raise Unauthenticated
        return self._imported[kid]

    async def _load(self, *, again: bool = False) -> None:
        if not again and not self._aged(_RELOAD):
            return
        now = self._clock.now()

        async def work(unit: Unit) -> tuple[SigningKey, ...]:
            return await unit.secrets.signing_keys()

        self._keys = await self._records.read(None, work)
        self._imported = {key.id: self._import(key) for key in self._keys if _verifies(key, now)}
        self._loaded_at = now

    def _import(self, key: SigningKey) -> ECKey:
        known = self._imported.get(key.id)
        parameters: KeyParameters = {"kid": key.id, "use": "sig", "alg": _ALGORITHM}
        return known or ECKey.import_key(key.private_pem, parameters)

    def _aged(self, age: timedelta) -> bool:
        return self._loaded_at is None or self._clock.now() - self._loaded_at >= age

    def _check(
        self, header: Mapping[str, Any], claims: Mapping[str, Any], issuer: str, audience: str, types: Iterable[str]
    ) -> None:
        """RFC 9068 4. Times are whole numbers: a string that looks like one would be a way around a comparison."""
        type = header.get("typ")
        audiences = claims.get("aud")
        audiences = [audiences] if isinstance(audiences, str) else audiences
        now = self._clock.now()
        if (
            not isinstance(type, str)
            or type.lower().removeprefix("application/") not in {known.lower() for known in types}
            or claims.get("iss") != issuer
            or not isinstance(audiences, list)
            or audience not in audiences
            or not isinstance(claims.get("sub"), str)
            or not claims["sub"]
            or now >= _time(claims.get("exp"))
            or now + _SKEW < _time(claims.get("iat"))
            or now + _SKEW < _time(claims.get("nbf", 0))
        ):
            raise Unauthenticated


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they stand, to learn who claims to have issued the token; nothing else may be believed."""
    segments = token.split(".")
    if len(token) > _LONGEST or len(segments) != 3:
        raise Unauthenticated
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(segment + "==")) for segment in segments[:2])
    except (ValueError, RecursionError):
        raise Unauthenticated from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Unauthenticated
    return header, claims


def _verified(token: str, keys: ECKey | KeySet, algorithms: Iterable[str]) -> dict[str, Any]:
    try:
        return jwt.decode(token, keys, registry=_Registry(algorithms=tuple(algorithms))).claims
    except Exception:
        # Whatever a hostile token makes the library trip over, the token is wrong.
        raise Unauthenticated from None


def _outside_claims(trusted: OutsideIssuer, claims: Mapping[str, Any]) -> TokenClaims:
    company = trusted.company if trusted.company_claim is None else claims.get(trusted.company_claim)
    company = str(company) if isinstance(company, int) and not isinstance(company, bool) else company
    if not isinstance(company, str):
        raise Unauthenticated
    permissions = expand(trusted.permissions)
    if trusted.permissions_claim is not None:
        named = claims.get(trusted.permissions_claim)
        named = named.split() if isinstance(named, str) else named
        if not isinstance(named, list):
            raise Unauthenticated
        permissions = intersect(permissions, expand(word for word in named if isinstance(word, str)))
    return TokenClaims(trusted.issuer, claims["sub"], company, permissions, _time(claims["exp"]))


def _time(value: object) -> datetime:
    """A NumericDate that is a whole number and a possible time."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unauthenticated
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unauthenticated from None


def _new_key(now: datetime) -> SigningKey:
    key = ECKey.generate_key("P-256")
    return SigningKey(key.thumbprint(), key.as_pem(private=True).decode(), now)


def _verifies(key: SigningKey, now: datetime) -> bool:
    """A retired key does until its last token has expired, which may have been signed by a process that had not
    heard yet."""
    return key.retired_at is None or now < key.retired_at + _RELOAD + LONGEST_TTL
