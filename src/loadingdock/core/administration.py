"""What operators and a company's administrators do: companies, users, keys, clients.

Every deed is done in the principal's company and leaves its audit row in the same unit. `operator` makes the
principal of the command line, which alone may make companies and set them.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

from loadingdock.core.audit import entry
from loadingdock.core.credentials import (
    LONGEST_TTL,
    NAME_LIMIT,
    company_number,
    digest,
    md5_hex,
    new_api_key,
    new_client,
    new_password,
    normal_code,
    normal_name,
)
from loadingdock.core.errors import AlreadyExists, Forbidden, InvalidInput, NotFound
from loadingdock.core.model.companies import Company, CompanySetting
from loadingdock.core.model.identity import ApiKey, OAuthClient, Principal, PrincipalKind, User
from loadingdock.core.permissions import ADMIN, parse_grants, permit
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.identity import Passwords
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.settings import LEGACY_MD5

T = TypeVar("T")

DEFAULT_TTL = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is shown this once; only its digest is kept."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class NewClient:
    """`secret` is shown this once; only its digest is kept. `company` is its home."""

    client: OAuthClient
    secret: str
    company: Company


def operator(company: Company, subject: str = "operator") -> Principal:
    """Whoever runs the installation, acting in a company."""
    return Principal(company, PrincipalKind.SYSTEM, subject, frozenset({ADMIN}))


class Administration:
    """`settings` are all that may be set for a company, the core's and every dialect's. `forget` is called with
    each subject whose record changed, so that this process sees it at once."""

    def __init__(
        self,
        records: Records,
        passwords: Passwords,
        clock: Clock,
        settings: Iterable[CompanySetting[Any]],
        *,
        forget: Callable[[str | None], None],
    ) -> None:
        self._records = records
        self._passwords = passwords
        self._clock = clock
        self.settings: Mapping[str, CompanySetting[Any]] = {setting.key: setting for setting in settings}
        self._forget = forget

    # --- companies -------------------------------------------------------------------------------

    async def add_company(self, code: str, name: str | None = None) -> Company:
        """For the operator. Codes are letters, digits, `_` and `-`, at most 63, whatever their case: they are kept
        and compared in lower case. The number has 6 to 9 digits at random. Raises InvalidInput, AlreadyExists."""
        normal = normal_code(code)
        if normal is None:
            raise InvalidInput(
                f"{code!r} is no company code: up to 63 letters, digits, _ and -, beginning with a letter or digit.",
                field="code",
            )
        if name is not None and (len(name) > NAME_LIMIT or not name.isprintable()):
            raise InvalidInput(f"A company's name has at most {NAME_LIMIT} printable characters.", field="name")
        now = self._clock.now()

        async def work(unit: Unit) -> Company:
            # A client may name a company by number or code, so one company's code is never another one's number.
            if (taken := company_number(normal)) and await unit.companies.by_number(taken):
                raise AlreadyExists(f"The company {normal}")
            while True:
                number = 100_000 + secrets.randbelow(10**9 - 100_000)
                if not await unit.companies.by_number(number) and not await unit.companies.by_code(str(number)):
                    break
            company = await unit.companies.add(normal, name or code, number, now)
            await unit.audit.add(entry(operator(company), "company.add", normal, "ok", now))
            return company

        return await self._records.write(None, work)

    async def company(self, code: str) -> Company:
        """For the operator. By code, of any case; disabled ones too. Raises NotFound("company")."""

        async def work(unit: Unit) -> Company | None:
            return await unit.companies.by_code(normal_code(code) or "")

        company = await self._records.read(None, work)
        if company is None:
            raise NotFound("company")
        return company

    async def companies(self) -> tuple[Company, ...]:
        """For the operator: all of them."""

        async def work(unit: Unit) -> tuple[Company, ...]:
            return await unit.companies.list()

        return await self._records.read(None, work)

    async def set_company(self, principal: Principal, values: Mapping[str, str]) -> Company:
        """For the operator. Texts by key; an empty one brings the default back. All are set or none. Raises
        InvalidInput whose field is the key."""
        parsed: dict[str, Any] = {}
        for key, text in values.items():
            if key not in self.settings:
                known = ", ".join(sorted(self.settings))
                raise InvalidInput(f"There is no setting {key!r}; these can be set: {known}.", field=key)
            try:
                parsed[key] = self.settings[key].parse(text) if text.strip() else None
            except ValueError as error:
                raise InvalidInput(f"{key}: {error}", field=key) from None
        dropped = {key for key, text in values.items() if not text.strip()}

        def change(company: Company) -> Company:
            settings = {**company.settings, **parsed}
            return replace(company, settings={key: settings[key] for key in settings if key not in dropped})

        detail = " ".join(f"{key}={text}" for key, text in values.items())
        return await self._change_company(principal, "company.set", change, detail)

    async def disable_company(self, principal: Principal) -> Company:
        """For the operator. Its users, keys, clients and links are dead from now on; its data stays."""
        now = self._clock.now()
        return await self._change_company(
            principal, "company.disable", lambda company: replace(company, disabled_at=company.disabled_at or now)
        )

    async def enable_company(self, principal: Principal) -> Company:
        """For the operator. The reverse of disabling."""
        return await self._change_company(
            principal, "company.enable", lambda company: replace(company, disabled_at=None)
        )

    async def _change_company(
        self, principal: Principal, action: str, change: Callable[[Company], Company], detail: str | None = None
    ) -> Company:
        if principal.kind is not PrincipalKind.SYSTEM:
            raise Forbidden("operator")  # quotas and limits are not the company's own to lift

        async def work(unit: Unit) -> Company:
            company = await unit.companies.by_id(principal.company.id)
            if company is None:
                raise NotFound("company")
            company = change(company)
            await unit.companies.save(company)
            return company

        company = await self._audited(principal, action, principal.company.code, work, detail)
        self._forget(None)
        return company

    # --- users -----------------------------------------------------------------------------------

    async def add_user(self, principal: Principal, name: str, password: str, grants: Iterable[str]) -> User:
        """A user for Basic authentication. Raises InvalidInput (name, password, grant), AlreadyExists, Forbidden."""
        permit(principal, ADMIN)
        normal = normal_name(name)
        if normal is None:
            raise InvalidInput(
                f"A user name has 1 to {NAME_LIMIT} bytes of printable characters and no colon.", field="name"
            )
        granted = parse_grants(grants)
        password_hash, md5_hash = await self._hashes(principal.company, password)
        user = User(principal.company.id, normal, password_hash, granted, self._clock.now(), md5_hash=md5_hash)

        async def work(unit: Unit) -> User:
            await unit.users.add(user)
            return user

        return await self._audited(principal, "user.add", normal, work, " ".join(sorted(granted)))

    async def users(self, principal: Principal) -> tuple[User, ...]:
        permit(principal, ADMIN)

        async def work(unit: Unit) -> tuple[User, ...]:
            return await unit.users.list()

        return await self._records.read(principal.company.id, work)

    async def set_password(self, principal: Principal, name: str, password: str) -> User:
        """Raises InvalidInput, NotFound("user"), Forbidden."""
        permit(principal, ADMIN)
        password_hash, md5_hash = await self._hashes(principal.company, password)
        return await self._change_user(
            principal, "user.password", name, lambda user: replace(user, password_hash=password_hash, md5_hash=md5_hash)
        )

    async def set_grants(self, principal: Principal, name: str, grants: Iterable[str]) -> User:
        """Exactly these from now on, for the links that the user signed too."""
        granted = parse_grants(grants)
        return await self._change_user(
            principal,
            "user.grant",
            name,
            lambda user: replace(user, permissions=granted),
            " ".join(sorted(granted)),
        )

    async def disable_user(self, principal: Principal, name: str) -> User:
        now = self._clock.now()
        return await self._change_user(
            principal, "user.disable", name, lambda user: replace(user, disabled_at=user.disabled_at or now)
        )

    async def enable_user(self, principal: Principal, name: str) -> User:
        return await self._change_user(principal, "user.enable", name, lambda user: replace(user, disabled_at=None))

    async def _hashes(self, company: Company, password: str) -> tuple[str, str | None]:
        password = new_password(password)
        md5 = await self._passwords.hash(md5_hex(password)) if company.get(LEGACY_MD5) else None
        return await self._passwords.hash(password), md5

    async def _change_user(
        self, principal: Principal, action: str, name: str, change: Callable[[User], User], detail: str | None = None
    ) -> User:
        permit(principal, ADMIN)
        normal = normal_name(name) or ""

        async def work(unit: Unit) -> User:
            user = await unit.users.get(normal)
            if user is None:
                raise NotFound("user")
            user = change(user)
            await unit.users.save(user)
            return user

        user = await self._audited(principal, action, normal, work, detail)
        self._forget(normal)
        return user

    # --- keys and clients ------------------------------------------------------------------------

    async def add_key(self, principal: Principal, label: str, grants: Iterable[str]) -> NewKey:
        """An API key: `ldk_` and 256 random bits. Raises InvalidInput, Forbidden."""
        permit(principal, ADMIN)
        if len(label) > NAME_LIMIT or not label.isprintable():
            raise InvalidInput(f"A label has at most {NAME_LIMIT} printable characters.", field="label")
        granted = parse_grants(grants)
        secret = new_api_key()
        key = ApiKey(secrets.token_hex(16), principal.company.id, digest(secret), label, granted, self._clock.now())

        async def work(unit: Unit) -> NewKey:
            await unit.keys.add(key)
            return NewKey(key, secret)

        return await self._audited(principal, "key.add", key.id, work, " ".join(sorted(granted)))

    async def keys(self, principal: Principal) -> tuple[ApiKey, ...]:
        permit(principal, ADMIN)

        async def work(unit: Unit) -> tuple[ApiKey, ...]:
            return await unit.keys.list()

        return await self._records.read(principal.company.id, work)

    async def revoke_key(self, principal: Principal, id: str) -> None:
        """Raises NotFound("key") unless there is such a living key."""
        permit(principal, ADMIN)
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            if not await unit.keys.revoke(id, now):
                raise NotFound("key")

        await self._audited(principal, "key.revoke", id, work)
        self._forget(id)

    async def add_client(
        self,
        principal: Principal,
        grants: Iterable[str],
        *,
        ttl: timedelta = DEFAULT_TTL,
        others: Sequence[Company] = (),
    ) -> NewClient:
        """An OAuth client with an id of 128 and a secret of 256 random bits, whose tokens live for `ttl` (1 s to
        24 h). `others` are further companies it may ask tokens for; only the operator can give them. Raises
        InvalidInput, Forbidden."""
        permit(principal, ADMIN)
        if others and principal.kind is not PrincipalKind.SYSTEM:
            raise Forbidden("operator")
        if not timedelta(seconds=1) <= ttl <= LONGEST_TTL:
            raise InvalidInput("Tokens live for 1 to 86400 seconds.", field="ttl")
        granted = parse_grants(grants)
        id, secret = new_client()
        companies = (principal.company.id, *(company.id for company in others))
        client = OAuthClient(id, companies, digest(secret), granted, ttl, self._clock.now())

        async def work(unit: Unit) -> NewClient:
            await unit.clients.add(client)
            return NewClient(client, secret, principal.company)

        return await self._audited(principal, "client.add", id, work, " ".join(sorted(granted)))

    async def clients(self, principal: Principal) -> tuple[OAuthClient, ...]:
        permit(principal, ADMIN)

        async def work(unit: Unit) -> tuple[OAuthClient, ...]:
            return await unit.clients.list()

        return await self._records.read(principal.company.id, work)

    async def revoke_client(self, principal: Principal, id: str) -> None:
        """Its tokens and links are dead at once. Raises NotFound("client") unless there is such a living one."""
        permit(principal, ADMIN)
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            if not await unit.clients.revoke(id, now):
                raise NotFound("client")

        await self._audited(principal, "client.revoke", id, work)
        self._forget(id)

    # --- jobs ------------------------------------------------------------------------------------

    async def requeue(self, principal: Principal | None, job: str) -> None:
        """A job that was given up runs again, its attempts forgotten; without a principal of whichever company.
        Raises NotFound("dead job")."""
        if principal is not None:
            permit(principal, ADMIN)
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            company_id = await unit.jobs.requeue(job, now)
            company = None if company_id is None else await unit.companies.by_id(company_id)
            if company is None:
                raise NotFound("dead job")
            await unit.audit.add(entry(principal or operator(company), "job.requeue", job, "ok", now))

        await self._records.write(None if principal is None else principal.company.id, work)

    async def _audited(
        self,
        principal: Principal,
        action: str,
        subject: str,
        work: Callable[[Unit], Awaitable[T]],
        detail: str | None = None,
    ) -> T:
        """The deed and its row in one unit of the principal's company."""
        now = self._clock.now()

        async def deed(unit: Unit) -> T:
            result = await work(unit)
            await unit.audit.add(entry(principal, action, subject, "ok", now, detail))
            return result

        return await self._records.write(principal.company.id, deed)
