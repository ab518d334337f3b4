"""What the suites of records and jobs stand on: an open store, and rows to put into it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State, Upload, Version
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.ports.records import Records, Unit

T = TypeVar("T")

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SOON = 30.0  # seconds: a generous end to waiting for what comes at once


@dataclass(frozen=True)
class Store:
    """`twin` opens the same database once more, as another process would."""

    records: Records
    jobs: JobQueue
    twin: Callable[[], AbstractAsyncContextManager[Store]]

    async def company(self, code: str = "acme") -> Company:
        """The company of that code, made if there is none."""

        async def work(unit: Unit) -> Company:
            found = await unit.companies.by_code(code)
            return found or await unit.companies.add(code, code.title(), secrets.randbelow(2**50), NOW)

        return await self.records.write(None, work)

    async def write(self, company: Company | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self.records.write(None if company is None else company.id, work)

    async def read(self, company: Company | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        return await self.records.read(None if company is None else company.id, work)

    async def add(self, company: Company, file: File) -> File:
        await self.write(company, lambda unit: unit.files.add(file))
        return file

    async def add_file(self, company: Company, **fields: Any) -> File:
        return await self.add(company, a_file(company, **fields))

    async def find(self, company: Company, id: str) -> File | None:
        return await self.read(company, lambda unit: unit.files.get(id))

    async def tell(self, company: Company, **data: Any) -> None:
        """An event."""
        await self.write(company, lambda unit: unit.events.add(NOW, "kind", "file", data))

    async def note(self, company: Company, entry: AuditEntry) -> None:
        await self.write(company, lambda unit: unit.audit.add(entry))


OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


class StoreContract:
    """Needs the fixture `open_store`: each call of it opens a fresh store, its schema up to date."""

    @pytest.fixture
    async def store(self, open_store: OpenStore) -> AsyncIterator[Store]:
        async with open_store() as store:
            yield store

    @pytest.fixture
    async def company(self, store: Store) -> Company:
        return await store.company()


def new_id() -> str:
    return secrets.token_hex(16)


def a_version(company: Company, file_id: str, number: int = 1, **fields: Any) -> Version:
    plain = Version(file_id, number, company.id, State.RECEIVED, NOW, NOW, size=51, sha256="ab" * 32, blob_key=new_id())
    return replace(plain, **fields)


def a_file(company: Company, **fields: Any) -> File:
    """A received file; fields of the version are given by their names too."""
    id = fields.pop("id", None) or new_id()
    created_at = fields.get("created_at", NOW)
    names = ("state", "size", "sha256", "blob_key", "text_key")
    of_version = {name: fields.pop(name) for name in names if name in fields}
    version = a_version(company, id, created_at=created_at, updated_at=created_at, **of_version)
    return replace(File(id, company.id, "file-upload", "report.pdf", created_at, version), **fields)


def an_upload(file: File, **fields: Any) -> Upload:
    plain = Upload(new_id(), file.company_id, file.id, file.version.number, 1000, NOW, NOW + HOUR)
    return replace(plain, **fields)


def an_entry(company_id: int) -> AuditEntry:
    return AuditEntry(NOW, company_id, "user:anna", "file.read", "file", "ok", "192.0.2.1", "ab" * 16, "version 2")


async def drained(turn: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """What all pages hold; `turn` asks for the page behind a cursor."""
    found: list[T] = []
    cursor = None
    while True:
        page = await turn(cursor)
        found += page.items
        if (cursor := page.cursor) is None:
            return found


async def become(unit: Unit, file: File, state: State, **fields: Any) -> Version:
    """The file's latest version in another state."""
    version = replace(file.version, state=state, **fields)
    assert await unit.files.save_version(version, was=file.version.state)
    return version


async def change(unit: Unit, file: File, **fields: Any) -> File:
    changed = replace(file, **fields)
    await unit.files.save(changed)
    return changed
