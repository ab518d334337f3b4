"""An installation small enough for unit tests: real records, tokens and limits, argon2 at its cheapest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadingdock.adapters.passwords import Argon2Passwords
from loadingdock.adapters.ratelimits import WindowRateLimiter, rate_limiter
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.adapters.tokens import JwtTokens
from loadingdock.core import settings
from loadingdock.core.access import Access, AccessSettings
from loadingdock.core.administration import Administration, operator
from loadingdock.core.model.companies import Company
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.ports.records import Unit
from loadingdock.testing.clock import SetClock
from tests import sqlite

ISSUER = "https://files.example.com"
ADDRESS = "198.51.100.7"


@dataclass
class CountingPasswords:
    """The real ones, and how often they had to work."""

    real: Argon2Passwords
    times: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None  # where set, verifying begins when it is

    async def hash(self, password: str) -> str:
        return await self.real.hash(password)

    async def verify(self, password: str, hash: str | None) -> bool:
        self.times += 1
        self.began.set()
        if self.gate is not None:
            await self.gate.wait()
        return await self.real.verify(password, hash)


@dataclass
class World:
    records: SqliteRecords
    passwords: CountingPasswords
    tokens: JwtTokens
    limiter: WindowRateLimiter
    clock: SetClock
    access: Access
    administration: Administration
    company: Company

    @property
    def operator(self) -> Principal:
        return operator(self.company)

    def another_process(self, **changes: object) -> Access:
        """Another process of the installation: the same records, a memory of its own."""
        rules = AccessSettings(ISSUER, **changes)  # type: ignore[arg-type]  # the tests name the fields
        return Access(self.records, self.passwords, self.tokens, self.limiter, self.clock, rules)

    async def set(self, values: Mapping[str, str]) -> Company:
        self.company = await self.administration.set_company(self.operator, values)
        return self.company

    async def audit(self, company: Company | None = None) -> tuple[AuditEntry, ...]:
        """Newest first, once what is under way is written."""
        await self.access.close()

        async def work(unit: Unit) -> tuple[AuditEntry, ...]:
            return (await unit.audit.list(limit=1000)).items

        return await self.records.read((company or self.company).id, work)


@asynccontextmanager
async def world(folder: Path, **changes: object) -> AsyncIterator[World]:
    records = sqlite.opened(folder / "records.sqlite3")
    clock = SetClock()
    argon2 = Argon2Passwords(memory_kib=64, passes=1)
    passwords = CountingPasswords(argon2)
    tokens = JwtTokens(records, clock, issuer=ISSUER)
    limiter = rate_limiter()
    rules = AccessSettings(ISSUER, **changes)  # type: ignore[arg-type]  # the tests name the fields
    access = Access(records, passwords, tokens, limiter, clock, rules)
    administration = Administration(records, passwords, clock, settings.CORE, forget=access.forget)
    company = await administration.add_company("acme")
    yield World(records, passwords, tokens, limiter, clock, access, administration, company)
    await access.close()
    argon2.close()
    await records.close()
