"""Companies and who acts for them: their rows in the records, passwords and tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import ApiKey, OAuthClient, SigningKey, User


class Companies(Protocol):
    """Not bound to the unit's tenant: these are looked up before a tenant is known."""

    async def by_id(self, id: int) -> Company | None: ...
    async def by_code(self, code: str) -> Company | None: ...
    async def by_number(self, number: int) -> Company | None: ...
    async def list(self) -> tuple[Company, ...]: ...

    async def add(self, code: str, name: str, number: int, at: datetime) -> Company:
        """Raises AlreadyExists for a code or number that is taken. A usage row of zero is made with it."""
        ...

    async def save(self, company: Company) -> None:
        """Writes name, settings and disabled_at."""
        ...


class Users(Protocol):
    async def get(self, name: str) -> User | None: ...
    async def list(self) -> tuple[User, ...]: ...
    async def add(self, user: User) -> None:
        """Raises AlreadyExists."""
        ...

    async def save(self, user: User) -> None: ...


class ApiKeys(Protocol):
    async def by_digest(self, digest: str) -> ApiKey | None:
        """Looks through all companies: the digest of 256 random bits names the tenant."""
        ...

    async def get(self, id: str) -> ApiKey | None: ...
    async def list(self) -> tuple[ApiKey, ...]: ...
    async def add(self, key: ApiKey) -> None: ...
    async def revoke(self, id: str, at: datetime) -> bool:
        """False if there is no such living key."""
        ...


class Clients(Protocol):
    async def find(self, id: str) -> OAuthClient | None:
        """Looks through all companies: a client names itself before its tenant is known."""
        ...

    async def list(self) -> tuple[OAuthClient, ...]: ...
    async def add(self, client: OAuthClient) -> None: ...
    async def revoke(self, id: str, at: datetime) -> bool: ...


class Secrets(Protocol):
    """What the installation signs with. Not bound to a tenant."""

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        """Newest first, retired ones included."""
        ...

    async def add_signing_key(self, key: SigningKey) -> None: ...
    async def retire_signing_key(self, id: str, at: datetime) -> None: ...
    async def remove_signing_key(self, id: str) -> None: ...

    async def installation_secret(self) -> bytes | None: ...

    async def set_installation_secret(self, secret: bytes) -> bytes:
        """Keeps the first one that is ever set, and returns the one kept."""
        ...


class Passwords(Protocol):
    """argon2id, in threads, a bounded number at once."""

    async def hash(self, password: str) -> str: ...
    async def verify(self, password: str, hash: str | None) -> bool:
        """With None it does the same work against a hash of nobody: an unknown user takes as long as a wrong
        password."""
        ...


@dataclass(frozen=True, slots=True)
class TokenClaims:
    issuer: str
    subject: str
    company: str | None
    permissions: frozenset[str]
    expires_at: datetime


class Tokens(Protocol):
    """ES256 JWTs of our own and those of trusted outside issuers."""

    async def issue(self, *, subject: str, company: str, permissions: Iterable[str], ttl: timedelta) -> str: ...
    async def verify(self, token: str) -> TokenClaims:
        """Raises Unauthenticated for a wrong signature, algorithm, type, audience, issuer or time."""
        ...

    async def jwks(self) -> Mapping[str, Any]: ...
    async def rotate(self) -> str:
        """A new key signs from now on; the old one verifies until its last token has expired. Its id."""
        ...
