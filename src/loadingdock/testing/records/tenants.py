"""A foreign id is an unknown id: shown for every method of every tenant-bound part of a unit.

The methods are found in the port itself. One without a probe here fails the suite, so that none is forgotten.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

import pytest

from loadingdock.core.errors import DockError
from loadingdock.core.loading import Counts
from loadingdock.core.model.callbacks import Attempt, Callback, CallbackSecret
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.files import Attachment, File, State, Upload
from loadingdock.core.model.identity import ApiKey, OAuthClient, User
from loadingdock.core.model.imports import Import, ImportState, Outcome, Progress
from loadingdock.core.model.jobs import Job, JobState
from loadingdock.core.model.journal import StoredResponse
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.callbacks import a_callback, a_secret
from loadingdock.testing.records.identity import a_client, a_key, a_user
from loadingdock.testing.records.imports import an_import
from loadingdock.testing.records.reports import a_row
from loadingdock.testing.records.store import HOUR, NOW, Store, StoreContract, a_file, an_entry, an_upload, new_id
from loadingdock.testing.records.tables import a_table

UNBOUND_PARTS = {"companies", "secrets", "housekeeping"}
# What they did cannot be seen in what they answer.
SILENT = {("clients", "add"), ("audit", "add"), ("events", "add"), ("idempotency", "release")}
NOTHING: list[Any] = [None, False, (), 0, Usage(0, 0), Page(()), Page((), total=0)]
UNBOUND_METHODS = {("keys", "by_digest"), ("clients", "find"), ("imports", "firsts"), ("imports", "undoable")}


@dataclass(frozen=True)
class Belongings:
    """One of everything that a company can have."""

    file: File
    upload: Upload
    user: User
    key: ApiKey
    client: OAuthClient
    job: Job
    callback: Callback
    secret: CallbackSecret
    table: ContactTable
    imported: Import
    attachment: str
    idempotency_key: str
    dedupe_key: str

    def claimed_by(self, company: Company) -> Belongings:
        """The same ids, as rows that say they are that company's."""
        id = company.id
        version = replace(self.file.version, company_id=id)
        return replace(
            self,
            file=replace(self.file, company_id=id, version=version),
            upload=replace(self.upload, company_id=id),
            user=replace(self.user, company_id=id),
            key=replace(self.key, company_id=id),
            client=replace(self.client, company_ids=(id,)),
            job=replace(self.job, company_id=id),
            callback=replace(self.callback, company_id=id),
            secret=replace(self.secret, company_id=id),
            table=replace(self.table, company_id=id),
            imported=replace(self.imported, company_id=id),
        )


def invented(company: Company) -> Belongings:
    name = new_id()
    file = a_file(company, name=name, namespace="rewards", alias=name, state=State.AWAITING_UPLOAD)
    job = Job(new_id(), company.id, "process", name, {}, JobState.RUNNING, 1, NOW, NOW, fence=1)
    # What is counted has numbers that nobody has yet.
    table = a_table(company, name, number=2**40)
    imported = an_import(table, number=2**40, state=ImportState.LOADING)
    return Belongings(
        file,
        an_upload(file),
        a_user(company, name),
        a_key(company),
        a_client(company),
        job,
        a_callback(company),
        a_secret(company),
        table,
        imported,
        name,
        name,
        name,
    )


async def belongings(store: Store, company: Company) -> Belongings:
    """Invented, and then put there."""
    its = invented(company)

    async def work(unit: Unit) -> tuple[ContactTable, Import]:
        await unit.files.add(its.file)
        await unit.uploads.add(its.upload)
        await unit.attachments.add(Attachment(its.file.id, its.attachment, NOW))
        await unit.users.add(its.user)
        await unit.keys.add(its.key)
        await unit.clients.add(its.client)
        await unit.ledger.charge(51, 1, max_bytes=None, max_files=None)
        await unit.jobs.enqueue("process", its.file.id, at=NOW, dedupe_key=its.dedupe_key)
        await unit.callbacks.add(its.callback)
        await unit.callbacks.save(its.callback, Attempt(1, NOW, HOUR, 500, "No."))
        await unit.callbacks.add_secret(its.secret, others_until=NOW)
        await unit.audit.add(an_entry(company.id))
        await unit.events.add(NOW, "kind", its.file.id, {})
        await unit.idempotency.begin(its.idempotency_key, "print", NOW)
        table = await unit.tables.add(its.table)
        imported = await unit.imports.add(replace(its.imported, table_number=table.number, file_id=its.file.id))
        waiting = replace(imported, state=ImportState.WAITING)
        for each in (await unit.imports.add(waiting), imported):
            await unit.imports.add_rows(each.number, [a_row(1)])
        return table, imported

    table, imported = await store.write(company, work)
    (job,) = await store.jobs.claim("worker", lease=HOUR, limit=1, cap=1, now=NOW)
    return replace(its, job=job, table=table, imported=imported, file=replace(its.file, attached=1))


async def everything(store: Store, company: Company, its: Belongings) -> list[Any]:
    """All that can be seen of the company's rows by its own."""

    async def work(unit: Unit) -> list[Any]:
        return [
            await unit.files.list(FileFilter(), limit=100),
            await unit.files.list(FileFilter(state=State.DELETED), limit=100),
            await unit.files.versions(its.file.id),
            await unit.uploads.get(its.upload.id),
            await unit.attachments.list(its.file.id),
            await unit.users.list(),
            await unit.keys.list(),
            await unit.clients.list(),
            await unit.ledger.get(),
            await unit.callbacks.list(limit=100),
            await unit.callbacks.attempts(its.callback.id),
            await unit.callbacks.secrets(),
            await unit.tables.list(),
            await unit.imports.list(limit=100),
            await unit.imports.rows(its.imported.number, outcome=Outcome.REJECTED, limit=100),
            await unit.audit.list(limit=100),
            await unit.events.after(0, limit=100),
            await unit.jobs.holds(its.job),
            await unit.idempotency.begin(its.idempotency_key, "print", NOW),
        ]

    return [await store.write(company, work), await store.jobs.list(company_id=company.id)]


Probe = Callable[[Unit, Belongings], Awaitable[Any]]


async def _added(made: Awaitable[str | None]) -> bool:
    return await made is not None


async def _turn(added: Awaitable[Import]) -> int | None:
    return (await added).turn


async def _version(added: Awaitable[ContactTable]) -> int:
    return (await added).version


PROBES: dict[tuple[str, str], Probe] = {
    ("users", "get"): lambda unit, its: unit.users.get(its.user.name),
    ("users", "list"): lambda unit, its: unit.users.list(),
    ("users", "add"): lambda unit, its: unit.users.add(its.user),
    ("users", "save"): lambda unit, its: unit.users.save(replace(its.user, password_hash="stolen")),
    ("keys", "get"): lambda unit, its: unit.keys.get(its.key.id),
    ("keys", "list"): lambda unit, its: unit.keys.list(),
    ("keys", "add"): lambda unit, its: unit.keys.add(replace(its.key, digest=new_id())),
    ("keys", "revoke"): lambda unit, its: unit.keys.revoke(its.key.id, NOW),
    ("clients", "list"): lambda unit, its: unit.clients.list(),
    # A client's id is unique in the installation, as it names itself before its company is known.
    ("clients", "add"): lambda unit, its: unit.clients.add(replace(its.client, id=new_id())),
    ("clients", "revoke"): lambda unit, its: unit.clients.revoke(its.client.id, NOW),
    ("files", "get"): lambda unit, its: unit.files.get(its.file.id),
    ("files", "by_alias"): lambda unit, its: unit.files.by_alias(its.file.alias or ""),
    ("files", "by_name"): lambda unit, its: unit.files.by_name("rewards", its.file.name),
    ("files", "list"): lambda unit, its: unit.files.list(FileFilter(search=its.file.name), limit=9),
    ("files", "list_offset"): lambda unit, its: unit.files.list_offset(FileFilter(), limit=9, offset=0),
    ("files", "add"): lambda unit, its: unit.files.add(its.file),
    ("files", "save"): lambda unit, its: unit.files.save(replace(its.file, name="stolen", deleted_at=NOW)),
    ("files", "version"): lambda unit, its: unit.files.version(its.file.id, 1),
    ("files", "versions"): lambda unit, its: unit.files.versions(its.file.id),
    ("files", "add_version"): lambda unit, its: unit.files.add_version(replace(its.file.version, number=2)),
    ("files", "save_version"): lambda unit, its: unit.files.save_version(
        replace(its.file.version, state=State.READY), was=State.AWAITING_UPLOAD
    ),
    ("files", "set_latest"): lambda unit, its: unit.files.set_latest(its.file.id, 1),
    ("attachments", "add"): lambda unit, its: unit.attachments.add(Attachment(its.file.id, "stolen", NOW)),
    ("attachments", "remove"): lambda unit, its: unit.attachments.remove(its.file.id, its.attachment),
    ("attachments", "list"): lambda unit, its: unit.attachments.list(its.file.id),
    ("uploads", "get"): lambda unit, its: unit.uploads.get(its.upload.id),
    ("uploads", "of_file"): lambda unit, its: unit.uploads.of_file(its.file.id, 1),
    ("uploads", "add"): lambda unit, its: unit.uploads.add(replace(its.upload, id=new_id())),
    ("uploads", "advance"): lambda unit, its: unit.uploads.advance(replace(its.upload, offset=1), was=0),
    ("uploads", "hold"): lambda unit, its: unit.uploads.hold(its.upload.id, NOW),
    ("uploads", "complete"): lambda unit, its: unit.uploads.complete(its.upload.id, NOW),
    ("uploads", "abort"): lambda unit, its: unit.uploads.abort(its.upload.id, NOW),
    ("ledger", "get"): lambda unit, its: unit.ledger.get(),
    ("ledger", "charge"): lambda unit, its: unit.ledger.charge(1, 1, max_bytes=51, max_files=1),
    ("jobs", "enqueue"): lambda unit, its: _added(
        unit.jobs.enqueue("process", its.file.id, at=NOW, dedupe_key=its.dedupe_key)
    ),
    ("jobs", "requeue"): lambda unit, its: unit.jobs.requeue(its.job.id, NOW),
    ("jobs", "holds"): lambda unit, its: unit.jobs.holds(its.job),
    ("callbacks", "get"): lambda unit, its: unit.callbacks.get(its.callback.id),
    ("callbacks", "list"): lambda unit, its: unit.callbacks.list(limit=9, subject=its.callback.subject),
    ("callbacks", "add"): lambda unit, its: unit.callbacks.add(its.callback),
    ("callbacks", "save"): lambda unit, its: unit.callbacks.save(replace(its.callback, round=9)),
    ("callbacks", "attempts"): lambda unit, its: unit.callbacks.attempts(its.callback.id),
    ("callbacks", "secrets"): lambda unit, its: unit.callbacks.secrets(),
    ("callbacks", "add_secret"): lambda unit, its: unit.callbacks.add_secret(
        replace(its.secret, id=new_id()), others_until=NOW
    ),
    ("tables", "get"): lambda unit, its: unit.tables.get(its.table.code),
    ("tables", "list"): lambda unit, its: unit.tables.list(),
    ("tables", "add"): lambda unit, its: _version(unit.tables.add(its.table)),
    ("tables", "save"): lambda unit, its: unit.tables.save(replace(its.table, name="stolen"), was=its.table.version),
    ("imports", "lock"): lambda unit, its: unit.imports.lock(its.table.number),
    ("imports", "add"): lambda unit, its: _turn(unit.imports.add(its.imported)),
    ("imports", "get"): lambda unit, its: unit.imports.get(its.imported.number),
    ("imports", "list"): lambda unit, its: unit.imports.list(limit=9, table_number=its.table.number),
    ("imports", "save"): lambda unit, its: unit.imports.save(replace(its.imported, reason="stolen")),
    ("imports", "enter"): lambda unit, its: unit.imports.enter(its.imported.number),
    ("imports", "leave"): lambda unit, its: unit.imports.leave(its.imported.number),
    ("imports", "first"): lambda unit, its: unit.imports.first(its.table.number),
    ("imports", "proceed"): lambda unit, its: unit.imports.proceed(
        its.imported.number, its.imported.attempt, Progress(9), Counts(9)
    ),
    ("imports", "waiting_for"): lambda unit, its: unit.imports.waiting_for(its.file.id, 1),
    ("imports", "add_rows"): lambda unit, its: unit.imports.add_rows(its.imported.number, [a_row(9)]),
    ("imports", "clear_rows"): lambda unit, its: unit.imports.clear_rows(its.imported.number),
    ("imports", "rows"): lambda unit, its: unit.imports.rows(its.imported.number, outcome=Outcome.REJECTED, limit=9),
    ("audit", "add"): lambda unit, its: unit.audit.add(replace(an_entry(its.file.company_id), subject="stolen")),
    ("audit", "list"): lambda unit, its: unit.audit.list(limit=9),
    ("events", "add"): lambda unit, its: unit.events.add(NOW, "stolen", its.file.id, {}),
    ("events", "after"): lambda unit, its: unit.events.after(0, limit=9),
    ("events", "last"): lambda unit, its: unit.events.last(),
    ("idempotency", "begin"): lambda unit, its: unit.idempotency.begin(its.idempotency_key, "other", NOW),
    ("idempotency", "finish"): lambda unit, its: unit.idempotency.finish(
        its.idempotency_key, StoredResponse("print", 200)
    ),
    ("idempotency", "release"): lambda unit, its: unit.idempotency.release(its.idempotency_key),
}


def bound_methods() -> list[tuple[str, str]]:
    found = [
        (part, name)
        for part, protocol in get_type_hints(Unit).items()
        if part not in UNBOUND_PARTS
        for name, _ in inspect.getmembers(protocol, inspect.isfunction)
        if not name.startswith("_")
    ]
    return [method for method in found if method not in UNBOUND_METHODS]


async def outcome(store: Store, company: Company | None, probe: Probe, its: Belongings) -> Any:
    """What the method returned, or the type of what it raised; what it did is committed."""

    async def work(unit: Unit) -> Any:
        try:
            return await probe(unit, its)
        except (DockError, ValueError) as error:
            return type(error)

    return await store.write(company, work)


@pytest.mark.security(25)
class TenantContract(StoreContract):
    def test_every_method_has_a_probe(self) -> None:
        assert sorted(bound_methods()) == sorted(PROBES)

    @pytest.mark.parametrize("method", PROBES, ids=".".join)
    async def test_a_foreign_id_is_an_unknown_id(self, store: Store, company: Company, method: tuple[str, str]) -> None:
        other, third = await store.company("other"), await store.company("third")
        its = await belongings(store, company)
        before = await everything(store, company, its)
        unknown = await outcome(store, third, PROBES[method], invented(third))
        assert await outcome(store, other, PROBES[method], its.claimed_by(other)) == unknown
        assert await everything(store, company, its) == before

    @pytest.mark.parametrize("method", [each for each in PROBES if each != ("audit", "add")], ids=".".join)
    async def test_without_a_company_nothing_is_found(
        self, store: Store, company: Company, method: tuple[str, str]
    ) -> None:
        its = await belongings(store, company)
        before = await everything(store, company, its)
        unknown = await outcome(store, None, PROBES[method], invented(company))
        assert await outcome(store, None, PROBES[method], its) == unknown
        assert unknown in NOTHING or isinstance(unknown, type)
        assert await everything(store, company, its) == before

    @pytest.mark.parametrize("method", PROBES, ids=".".join)
    async def test_its_own_company_finds_it(self, store: Store, company: Company, method: tuple[str, str]) -> None:
        """Else the probes would show nothing."""
        other = await store.company("other")
        its = await belongings(store, company)
        own = await outcome(store, company, PROBES[method], its)
        unknown = await outcome(store, other, PROBES[method], invented(other))
        assert own != unknown or method in {
            ("clients", "add"),
            ("audit", "add"),
            ("events", "add"),
            ("jobs", "requeue"),  # it runs
            ("idempotency", "release"),
            ("imports", "lock"),
            ("imports", "clear_rows"),
        }

    async def test_rows_that_name_another_company_are_refused(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        its = await belongings(store, company)
        for method in (
            *(("users", name) for name in ("add", "save")),
            ("keys", "add"),
            ("clients", "add"),
            *(("files", name) for name in ("add", "save", "save_version")),
            *(("uploads", name) for name in ("add", "advance")),
            *(("imports", name) for name in ("add", "save")),
            ("audit", "add"),
        ):
            assert await outcome(store, other, PROBES[method], its) is ValueError, method
