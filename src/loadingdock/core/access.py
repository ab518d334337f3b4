"""Who asks: credentials in, a Principal out; what they sign; how often they may ask.

Wrong credentials have one answer, `Unauthenticated`, and cost the same work whatever was wrong with them: unknown
company, unknown or disabled user, wrong password. Right ones are remembered for seconds, so that a client that
sends them with every request does not cost an argon2 each time.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from loadingdock.core.audit import claimed, entry, escaped
from loadingdock.core.credentials import Memory, Throttle, Verified, digest, legacy_form, normal_name, normal_password
from loadingdock.core.directory import Directory, client_principal, user_principal
from loadingdock.core.errors import Forbidden, InvalidInput, RateLimited, Unauthenticated
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import OAuthClient, Principal, User
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.permissions import expand, intersect, parse_grants, permit
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.identity import Passwords, Tokens
from loadingdock.core.ports.ratelimits import RateLimiter
from loadingdock.core.ports.records import Records, Unit
from loadingdock.core.settings import KEY_RATE_LIMIT, LEGACY_MD5, RATE_LIMIT
from loadingdock.core.signers import read_signer, signer_id

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """`issuer` is the name in our own tokens. `outside` are the issuers trusted besides, each with the most that
    its tokens may do. `fresh` is how long verified credentials are taken without looking at the record, `known` how
    long without hashing again. The two limits on failures are per window: `20/5 minutes`."""

    issuer: str
    outside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fresh: timedelta = timedelta(seconds=10)
    known: timedelta = timedelta(hours=1)
    account_failures: str = "20/5 minutes"
    address_failures: str = "20/5 minutes"


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token as RFC 6749 5.1 answers it: `permissions` is the scope it was really given."""

    token: str
    ttl: timedelta
    company: Company
    permissions: frozenset[str]


class Access:
    def __init__(
        self,
        records: Records,
        passwords: Passwords,
        tokens: Tokens,
        limiter: RateLimiter,
        clock: Clock,
        settings: AccessSettings,
    ) -> None:
        self._records = records
        self._passwords = passwords
        self._tokens = tokens
        self._limiter = limiter
        self._clock = clock
        self._issuer = settings.issuer
        self._directory = Directory(records, settings.outside)
        self._memory = Memory(fresh=settings.fresh, known=settings.known)
        self._throttle = Throttle(limiter, account=settings.account_failures, address=settings.address_failures)
        self._notes: set[asyncio.Future[None]] = set()

    # --- credentials -----------------------------------------------------------------------------

    async def basic(self, login: str, password: str, *, address: str | None, trace_id: str | None = None) -> Principal:
        """`login` is `username@companycode`; a user name may hold an `@` itself, so the last one counts.

        Raises Unauthenticated; InvalidInput for a password over 1 KiB, before hashing; RateLimited after too many
        failures of the account or the address; Unavailable when more passwords wait to be hashed than may.
        """
        password = normal_password(password)
        seal = self._memory.seal("basic", login, password)
        verified = self._memory.get(seal, self._clock.now())
        if verified is not None and self._clock.now() < verified.fresh_until:
            return verified.principal.at(address=address, trace_id=trace_id)
        async with self._memory.turn(seal):
            return await self._basic(seal, login, password, address, trace_id)

    async def _basic(
        self, seal: bytes, login: str, password: str, address: str | None, trace_id: str | None
    ) -> Principal:
        seen, verified = self._memory.changes, self._memory.get(seal, self._clock.now())
        if verified is not None and self._clock.now() < verified.fresh_until:  # while this request waited for its turn
            return verified.principal.at(address=address, trace_id=trace_id)
        name, _, code = login.rpartition("@")
        company, user = await self._directory.user(code, name)
        if verified is not None and verified.proof in _hashes(company, user):
            proof: str | None = verified.proof
        else:
            proof = await self._prove(f"{normal_name(name) or name}@{code.lower()}", password, company, user, address)
        if company is None or user is None or proof is None:
            self._memory.drop(seal)
            raise self._refused(company, f"user:{name}", address, trace_id)
        principal = user_principal(company, user).at(address=address, trace_id=trace_id)
        return self._remember(seal, seen, verified, principal, proof)

    async def _prove(
        self, account: str, password: str, company: Company | None, user: User | None, address: str | None
    ) -> str | None:
        """The stored hash that the password matches. What is hashed depends on the form of the password alone,
        never on whether there is such a user."""
        await self._throttle.check(account, address)
        candidates = [(password, None if user is None else user.password_hash)]
        if (sent := legacy_form(password)) is not None:
            allowed = company is not None and company.get(LEGACY_MD5)
            candidates.append((sent, user.md5_hash if user is not None and allowed else None))
        for candidate, stored in candidates:
            if await self._passwords.verify(candidate, stored):
                # Of many guesses made at one moment the right one may come out after too many wrong ones.
                await self._throttle.check(account, address)
                await self._throttle.succeed(account)
                return stored
        await self._throttle.fail(account, address)
        return None

    async def api_key(self, token: str, *, address: str | None, trace_id: str | None = None) -> Principal:
        """A key of 256 random bits. Failures are throttled by address; a right key never is, for there was nothing
        to guess. Raises Unauthenticated or RateLimited."""
        seal, seen = self._memory.seal("key", token), self._memory.changes
        verified = self._memory.get(seal, self._clock.now())
        if verified is not None and self._clock.now() < verified.fresh_until:
            return verified.principal.at(address=address, trace_id=trace_id)
        proof = digest(token)
        principal = await self._directory.key(proof)
        if principal is None:
            self._memory.drop(seal)
            await self._throttle.fail(None, address)
            raise self._refused(None, "key", address, trace_id)
        return self._remember(seal, seen, verified, principal.at(address=address, trace_id=trace_id), proof)

    async def bearer(self, token: str, *, address: str | None, trace_id: str | None = None) -> Principal:
        """A token of ours or of a trusted issuer: it can do what it was issued for as far as its client still may.
        Raises Unauthenticated."""
        seal, seen = self._memory.seal("bearer", token), self._memory.changes
        now = self._clock.now()
        verified = self._memory.get(seal, now)
        if verified is not None and now < verified.fresh_until:
            return verified.principal.at(address=address, trace_id=trace_id)
        claims = await self._tokens.verify(token)
        company = await self._directory.company(claims.company or "")
        holder = None
        if company is not None and claims.issuer == self._issuer:
            holder = await self._directory.client_in(company, claims.subject)
        elif company is not None:
            holder = self._directory.outsider(company, claims.issuer, claims.subject)
        if holder is None:
            self._memory.drop(seal)
            raise self._refused(company, f"token:{claims.subject}", address, trace_id)
        principal = replace(holder, permissions=intersect(claims.permissions, holder.permissions))
        # Its issue was the login and has its row; with every use it would be one too many.
        self._memory.put(seal, principal, "", now, seen=seen, until=claims.expires_at)
        return principal.at(address=address, trace_id=trace_id)

    async def grant(
        self,
        client_id: str,
        client_secret: str,
        organization: str | None,
        scope: str | None,
        *,
        address: str | None,
        trace_id: str | None = None,
    ) -> Grant:
        """Client credentials, RFC 6749 4.4. `organization` is a company's number or code, needed where the client
        serves several; `scope` are permissions divided by spaces, by default all that the client has.

        Raises Unauthenticated (the RFC's invalid_client), InvalidInput with field "organization" (invalid_request)
        or "scope" (invalid_scope), RateLimited.
        """
        client = await self._directory.client(client_id)
        stored = digest("") if client is None else client.secret_digest
        if not hmac.compare_digest(digest(client_secret), stored) or client is None:
            await self._throttle.fail(client_id, address)
            home = None if client is None else await self._directory.company_by_id(client.company_ids[0])
            raise self._refused(home, f"client:{client_id}", address, trace_id)
        principal = await self._served(client, organization)
        permissions = principal.permissions
        if scope is not None and scope.strip():
            permissions = _scope(scope)
            if intersect(permissions, principal.permissions) != permissions:
                raise InvalidInput("The scope asks for more than the client was granted.", field="scope")
        company = principal.company
        token = await self._tokens.issue(
            subject=client.id, company=str(company.number), permissions=permissions, ttl=client.token_ttl
        )
        now = self._clock.now()
        principal = principal.at(address=address, trace_id=trace_id)
        self._note(entry(principal, "token", client.id, "ok", now, " ".join(sorted(permissions))))
        return Grant(token, client.token_ttl, company, permissions)

    async def _served(self, client: OAuthClient, organization: str | None) -> Principal:
        if organization is not None and organization.strip():
            company = await self._directory.company(organization.strip())
        elif len(client.company_ids) == 1:
            company = await self._directory.company_by_id(client.company_ids[0])
            if company is None:
                raise Unauthenticated
        else:
            raise InvalidInput(
                "This client serves several organizations; name one by its number or code.", field="organization"
            )
        principal = None if company is None else client_principal(company, client)
        if principal is None:
            raise InvalidInput("The client serves no organization of that number or code.", field="organization")
        return principal

    def forget(self, subject: str | None = None) -> None:
        """Drops what is remembered of a user name, key id or client id (None: of all), so that a change of its
        record is seen at once in this process. Others see it when their memory is no longer fresh."""
        self._memory.forget(subject)

    # --- links -----------------------------------------------------------------------------------

    async def signer(self, principal: Principal) -> str:
        """The id that names the principal in a signed link. Raises Forbidden("link") for who cannot sign one."""
        try:
            return signer_id(principal)
        except ValueError:
            raise Forbidden("link") from None

    async def principal_of_signer(self, signer: str) -> Principal:
        """Whoever signed a link, with what they may do now: read anew each time, so that a link dies with its
        signer. Raises Forbidden("link")."""
        try:
            named = read_signer(signer)
        except ValueError:
            raise Forbidden("link") from None
        principal = await self._directory.signer(named)
        if principal is None:
            raise Forbidden("link")
        return principal

    # --- permissions, limits and rows ------------------------------------------------------------

    async def admit(self, principal: Principal, permission: str, namespace: str | None = None) -> None:
        """Whoever passes holds the permission (for that namespace), and the request is counted. Raises Forbidden and
        RateLimited."""
        self.demand(principal, permission, namespace)
        await self.limit(principal)

    def demand(self, principal: Principal, permission: str, namespace: str | None = None) -> None:
        """Raises Forbidden, and has it written down, if the principal does not hold the permission."""
        try:
            permit(principal, permission, namespace)
        except Forbidden as error:
            self._note(entry(principal, "denial", error.permission, "denied", self._clock.now()))
            raise

    async def limit(self, principal: Principal) -> None:
        """Counts one request against the company's limits. Raises RateLimited. Costs nothing where none is set."""
        company = principal.company
        # The subject first: what it is refused does not use up the company's share.
        if (limit := company.get(KEY_RATE_LIMIT)) is not None:
            key = ("subject", str(company.id), principal.kind, principal.subject)
            if wait := await self._limiter.hit(limit, *key):
                raise RateLimited(retry_after=wait)
        if (limit := company.get(RATE_LIMIT)) is not None and (
            wait := await self._limiter.hit(limit, "company", str(company.id))
        ):
            raise RateLimited(retry_after=wait)

    async def close(self) -> None:
        """Returns when the rows under way are written."""
        await asyncio.gather(*self._notes, return_exceptions=True)

    def _remember(
        self, seal: bytes, seen: int, verified: Verified | None, principal: Principal, proof: str
    ) -> Principal:
        now = self._clock.now()
        if verified is not None and verified.proof == proof:
            self._memory.renew(seal, verified, principal, now, seen=seen)
        else:
            self._memory.put(seal, principal, proof, now, seen=seen)
            self._note(entry(principal, "login", principal.subject, "ok", now))
        return principal

    def _refused(
        self, company: Company | None, actor: str, address: str | None, trace_id: str | None
    ) -> Unauthenticated:
        """Writes down the failure and returns the one answer to all of them. Where no company is known there is no
        log that the row could stand in."""
        log.warning("login denied for %s from %s", escaped(actor), escaped(address or "-"))
        if company is not None:
            row = claimed(company, actor, "login", "denied", self._clock.now(), address=address, trace_id=trace_id)
            self._note(row)
        return Unauthenticated()

    def _note(self, row: AuditEntry) -> None:
        """Adds the row without waiting for it: else failures in a company that exists would take longer than in
        one that does not."""

        async def work(unit: Unit) -> None:
            await unit.audit.add(row)

        note = asyncio.ensure_future(self._records.write(row.company_id, work))
        self._notes.add(note)
        note.add_done_callback(self._noted)

    def _noted(self, note: asyncio.Future[None]) -> None:
        self._notes.discard(note)
        if not note.cancelled() and (error := note.exception()) is not None:
            log.error("an audit row could not be written", exc_info=error)


def _scope(scope: str) -> frozenset[str]:
    try:
        return expand(parse_grants(scope.split()))
    except InvalidInput as error:
        raise InvalidInput(error.message, field="scope") from None


def _hashes(company: Company | None, user: User | None) -> frozenset[str]:
    """The stored hashes that a password may match."""
    if company is None or user is None:
        return frozenset()
    legacy = user.md5_hash if company.get(LEGACY_MD5) else None
    return frozenset(filter(None, (user.password_hash, legacy)))
