"""Who acts for companies, and by what it is known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from loadingdock.core.model.companies import Company


class PrincipalKind(StrEnum):
    USER = "user"
    KEY = "key"
    CLIENT = "client"
    TOKEN = "token"
    LINK = "link"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a company, a subject in it and what it may do. The first argument of every use case.

    `subject` names the user, key id or client id; `address` is the client's network address and `trace_id` the
    request's W3C trace id, both for the audit row alone.
    """

    company: Company
    kind: PrincipalKind
    subject: str
    permissions: frozenset[str]
    address: str | None = None
    trace_id: str | None = None

    def at(self, *, address: str | None, trace_id: str | None) -> Principal:
        return replace(self, address=address, trace_id=trace_id)


@dataclass(frozen=True, slots=True)
class User:
    company_id: int
    name: str
    password_hash: str
    permissions: frozenset[str]
    created_at: datetime
    disabled_at: datetime | None = None
    md5_hash: str | None = None  # argon2 of the password's MD5 hex, kept only where the company's setting asks for it


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`digest` is the SHA-256 of the key, which has 256 random bits and is shown once."""

    id: str
    company_id: int
    digest: str
    label: str
    permissions: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """`company_ids` are the companies it may ask tokens for; the first is its home."""

    id: str
    company_ids: tuple[int, ...]
    secret_digest: str
    permissions: frozenset[str]
    token_ttl: timedelta
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ES256 key of the token endpoint. Retired keys still verify until the last token they signed has expired."""

    id: str
    private_pem: str = field(repr=False)
    created_at: datetime = field()
    retired_at: datetime | None = None
