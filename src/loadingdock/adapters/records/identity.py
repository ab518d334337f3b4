"""Companies, users, API keys and OAuth clients."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from loadingdock.adapters.records.executor import Part, Row, identity_of
from loadingdock.adapters.records.values import (
    from_json,
    micros,
    micros_of,
    moment,
    moment_or_none,
    storable,
    to_json,
    word_set,
    words,
)
from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import ApiKey, OAuthClient, User
from loadingdock.core.settings import JOB_CAP


class CompanyRows(Part):
    __slots__ = ()

    async def by_id(self, id: int) -> Company | None:
        return _company(await self._db.one("company_by_id", id=id)) if storable(id) else None

    async def by_code(self, code: str) -> Company | None:
        return _company(await self._db.one("company_by_code", code=code))

    async def by_number(self, number: int) -> Company | None:
        return _company(await self._db.one("company_by_number", number=number)) if storable(number) else None

    async def list(self) -> tuple[Company, ...]:
        return tuple(filter(None, map(_company, await self._db.all("company_list"))))

    async def add(self, code: str, name: str, number: int, at: datetime) -> Company:
        added = await self._db.run("company_add", code=code, name=name, number=number, at=micros(at))
        company = await self.by_code(code) if added else None
        if company is None:
            raise AlreadyExists(f"A company with the code {code} or the number {number}")
        await self._db.run("ledger_open", company_id=company.id)
        return company

    async def save(self, company: Company) -> None:
        if not await self._db.run(
            "company_save",
            id=company.id,
            name=company.name,
            settings=to_json(company.settings),
            job_cap=company.settings.get(JOB_CAP.key),
            disabled_at=micros(company.disabled_at),
        ):
            raise NotFound("company")
        self._db.signal(identity_of())


def _company(row: Row | None) -> Company | None:
    if row is None:
        return None
    id, code, number, name, created_at, disabled_at, settings = row
    return Company(id, code, number, name, moment(created_at), moment_or_none(disabled_at), from_json(settings))


class UserRows(Part):
    __slots__ = ()

    async def get(self, name: str) -> User | None:
        row = await self._db.one("user_get", company_id=self._company_id, name=name)
        return None if row is None else _user(row)

    async def list(self) -> tuple[User, ...]:
        return tuple(map(_user, await self._db.all("user_list", company_id=self._company_id)))

    async def add(self, user: User) -> None:
        if not await self._db.run(
            "user_add",
            company_id=self._own(user.company_id),
            name=user.name,
            password_hash=user.password_hash,
            permissions=words(user.permissions),
            created_at=micros(user.created_at),
            disabled_at=micros(user.disabled_at),
            md5_hash=user.md5_hash,
        ):
            raise AlreadyExists(f"The user {user.name}")

    async def save(self, user: User) -> None:
        if not await self._db.run(
            "user_save",
            company_id=self._own(user.company_id),
            name=user.name,
            password_hash=user.password_hash,
            permissions=words(user.permissions),
            disabled_at=micros(user.disabled_at),
            md5_hash=user.md5_hash,
        ):
            raise NotFound("user")
        self._db.signal(identity_of(user.name))


def _user(row: Row) -> User:
    company_id, name, password_hash, permissions, created_at, disabled_at, md5_hash = row
    return User(
        company_id,
        name,
        password_hash,
        word_set(permissions),
        moment(created_at),
        moment_or_none(disabled_at),
        md5_hash,
    )


class ApiKeyRows(Part):
    __slots__ = ()

    async def by_digest(self, digest: str) -> ApiKey | None:
        row = await self._db.one("key_by_digest", digest=digest)
        return None if row is None else _key(row)

    async def get(self, id: str) -> ApiKey | None:
        row = await self._db.one("key_get", company_id=self._company_id, id=id)
        return None if row is None else _key(row)

    async def list(self) -> tuple[ApiKey, ...]:
        return tuple(map(_key, await self._db.all("key_list", company_id=self._company_id)))

    async def add(self, key: ApiKey) -> None:
        if not await self._db.run(
            "key_add",
            company_id=self._own(key.company_id),
            id=key.id,
            digest=key.digest,
            label=key.label,
            permissions=words(key.permissions),
            created_at=micros(key.created_at),
            revoked_at=micros(key.revoked_at),
        ):
            raise AlreadyExists(f"The key {key.id}")

    async def revoke(self, id: str, at: datetime) -> bool:
        revoked = bool(await self._db.run("key_revoke", company_id=self._company_id, id=id, at=micros(at)))
        if revoked:
            self._db.signal(identity_of(id))
        return revoked


def _key(row: Row) -> ApiKey:
    id, company_id, digest, label, permissions, created_at, revoked_at = row
    return ApiKey(id, company_id, digest, label, word_set(permissions), moment(created_at), moment_or_none(revoked_at))


class ClientRows(Part):
    """A company lists every client that may act for it; only a client's home adds and revokes it."""

    __slots__ = ()

    async def find(self, id: str) -> OAuthClient | None:
        row = await self._db.one("client_find", id=id)
        return None if row is None else await self._with_companies(row)

    async def list(self) -> tuple[OAuthClient, ...]:
        rows = await self._db.all("client_list", company_id=self._company_id)
        return tuple([await self._with_companies(row) for row in rows])

    async def add(self, client: OAuthClient) -> None:
        self._own(client.company_ids[0])
        if not await self._db.run(
            "client_add",
            id=client.id,
            secret_digest=client.secret_digest,
            permissions=words(client.permissions),
            token_ttl=micros_of(client.token_ttl),
            created_at=micros(client.created_at),
            revoked_at=micros(client.revoked_at),
        ):
            raise AlreadyExists(f"The client {client.id}")
        for place, company_id in enumerate(client.company_ids):
            await self._db.run("client_add_company", id=client.id, place=place, company_id=company_id)

    async def revoke(self, id: str, at: datetime) -> bool:
        revoked = bool(await self._db.run("client_revoke", company_id=self._company_id, id=id, at=micros(at)))
        if revoked:
            self._db.signal(identity_of(id))
        return revoked

    async def _with_companies(self, row: Row) -> OAuthClient:
        members = await self._db.all("client_companies", id=row[0])
        return replace(_client(row), company_ids=tuple(company_id for (company_id,) in members))


def _client(row: Row) -> OAuthClient:
    id, secret_digest, permissions, token_ttl, created_at, revoked_at = row
    return OAuthClient(
        id,
        (),
        secret_digest,
        word_set(permissions),
        timedelta(microseconds=token_ttl),
        moment(created_at),
        moment_or_none(revoked_at),
    )
