"""Who exists and is alive: the principals behind logins, keys, clients and signers, as the records have them now.

Disabled and revoked ones are as if they never were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from loadingdock.core.credentials import company_number, normal_code, normal_name
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import ApiKey, OAuthClient, Principal, PrincipalKind, User
from loadingdock.core.permissions import ADMIN, expand
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.signers import Signer

Disabled = TypeVar("Disabled", Company, User)
Revoked = TypeVar("Revoked", ApiKey, OAuthClient)


class Directory:
    """`outside` are the trusted issuers besides ourselves, each with the most that its tokens may do."""

    def __init__(self, records: Records, outside: Mapping[str, frozenset[str]]) -> None:
        self._records = records
        self._outside = outside
        self._tenants: dict[int, int] = {}  # ids by number, of companies that signed links; neither ever changes

    async def company(self, named: str) -> Company | None:
        """By code of any case, or by number. The two never meet: no code is another company's number."""
        code = normal_code(named)
        if code is None:
            return None
        number = company_number(code)

        async def work(unit: Unit) -> Company | None:
            company = await unit.companies.by_code(code)
            if company is None and number is not None:
                company = await unit.companies.by_number(number)
            return _enabled(company)

        return await self._records.read(None, work)

    async def company_by_id(self, id: int) -> Company | None:
        async def work(unit: Unit) -> Company | None:
            return _enabled(await unit.companies.by_id(id))

        return await self._records.read(None, work)

    async def user(self, code: str, name: str) -> tuple[Company | None, User | None]:
        """A company by its code and a user in it. Two reads whatever is found: the time says nothing about it."""

        async def find_company(unit: Unit) -> Company | None:
            return _enabled(await unit.companies.by_code(normal_code(code) or ""))

        async def find_user(unit: Unit) -> User | None:
            return _enabled(await unit.users.get(normal_name(name) or ""))

        company = await self._records.read(None, find_company)
        return company, await self._records.read(None if company is None else company.id, find_user)

    async def key(self, digest: str) -> Principal | None:
        async def work(unit: Unit) -> Principal | None:
            key = _unrevoked(await unit.keys.by_digest(digest))
            if key is None:
                return None
            company = _enabled(await unit.companies.by_id(key.company_id))
            return None if company is None else key_principal(company, key)

        return await self._records.read(None, work)

    async def client(self, id: str) -> OAuthClient | None:
        if not id.isascii() or not id.isprintable():
            return None

        async def work(unit: Unit) -> OAuthClient | None:
            return _unrevoked(await unit.clients.find(id))

        return await self._records.read(None, work)

    async def client_in(self, company: Company, id: str) -> Principal | None:
        client = await self.client(id)
        return None if client is None else client_principal(company, client)

    def outsider(self, company: Company, issuer: str, subject: str) -> Principal | None:
        """The subject of an outside issuer's token. We have no record of it; trust in the issuer is its life."""
        if issuer not in self._outside:
            return None
        return _principal(company, PrincipalKind.TOKEN, f"{issuer}|{subject}", self._outside[issuer])

    async def signer(self, signer: Signer) -> Principal | None:
        """Whoever signed a link, with what they may do today. One read: every use of a link asks."""
        tenant = self._tenants.get(signer.number)
        if tenant is None:
            company = await self._by_number(signer.number)
            if company is None:
                return None
            tenant = self._tenants[signer.number] = company.id

        async def work(unit: Unit) -> Principal | None:
            company = _enabled(await unit.companies.by_id(tenant))
            return None if company is None else await self._subject(unit, company, signer)

        return await self._records.read(tenant, work)

    async def _by_number(self, number: int) -> Company | None:
        async def work(unit: Unit) -> Company | None:
            return await unit.companies.by_number(number)

        return await self._records.read(None, work)

    async def _subject(self, unit: Unit, company: Company, signer: Signer) -> Principal | None:
        match signer.kind:
            case PrincipalKind.USER:
                user = _enabled(await unit.users.get(signer.subject))
                return None if user is None else user_principal(company, user)
            case PrincipalKind.KEY:
                key = _unrevoked(await unit.keys.get(signer.subject))
                return None if key is None else key_principal(company, key)
            case PrincipalKind.CLIENT:
                client = _unrevoked(await unit.clients.find(signer.subject))
                return None if client is None else client_principal(company, client)
            case PrincipalKind.TOKEN:
                issuer, _, subject = signer.subject.partition("|")
                return self.outsider(company, issuer, subject)
            case PrincipalKind.SYSTEM:
                return _principal(company, PrincipalKind.SYSTEM, signer.subject, {ADMIN})
            case _:
                return None


def _enabled(it: Disabled | None) -> Disabled | None:
    return None if it is None or it.disabled_at is not None else it


def _unrevoked(it: Revoked | None) -> Revoked | None:
    return None if it is None or it.revoked_at is not None else it


def _principal(company: Company, kind: PrincipalKind, subject: str, grants: frozenset[str] | set[str]) -> Principal:
    return Principal(company, kind, subject, expand(grants))


def user_principal(company: Company, user: User) -> Principal:
    return _principal(company, PrincipalKind.USER, user.name, user.permissions)


def key_principal(company: Company, key: ApiKey) -> Principal:
    return _principal(company, PrincipalKind.KEY, key.id, key.permissions)


def client_principal(company: Company, client: OAuthClient) -> Principal | None:
    """None if the client does not serve that company."""
    if company.id not in client.company_ids:
        return None
    return _principal(company, PrincipalKind.CLIENT, client.id, client.permissions)
