"""The database: units of work, each born with a tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from loadingdock.core.model.journal import Event
from loadingdock.core.ports.callbacks import CallbackRecords
from loadingdock.core.ports.contacts import ContactTables
from loadingdock.core.ports.examination import Examination
from loadingdock.core.ports.files import Attachments, Files, Ledger, UploadRecords
from loadingdock.core.ports.housekeeping import Housekeeping
from loadingdock.core.ports.identity import ApiKeys, Clients, Companies, Secrets, Users
from loadingdock.core.ports.imports import ImportRecords
from loadingdock.core.ports.jobs import JobRecords
from loadingdock.core.ports.journal import AuditLog, Events, Idempotency

T = TypeVar("T")


class Unit(Protocol):
    """One transaction, born with a tenant. What it reads is consistent; what it writes is there whole or not at all.

    An engine may send what is only added (audit rows, events, jobs) with what follows it; what is wrong with it is then
    raised there, or by the end of the work.
    """

    companies: Companies
    users: Users
    keys: ApiKeys
    clients: Clients
    secrets: Secrets
    files: Files
    attachments: Attachments
    uploads: UploadRecords
    ledger: Ledger
    jobs: JobRecords
    callbacks: CallbackRecords
    tables: ContactTables
    imports: ImportRecords
    audit: AuditLog
    events: Events
    idempotency: Idempotency
    housekeeping: Housekeeping


@dataclass(frozen=True, slots=True)
class Connections:
    """Those of this process to a database's server: how many there are and may be, how many of them are at work, and
    how many callers wait for one."""

    most: int
    open: int
    in_use: int
    waiting: int


class Records(Protocol):
    """The database.

    `work` awaits nothing but its unit's own methods: one engine steps it on its writer thread without a loop. It
    may be run again from its beginning after a serialisation failure, so it changes nothing outside its unit.
    """

    async def write(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        """Runs `work` in one transaction of that tenant (None: of the installation, where the tenant-bound parts
        find nothing) and returns once it is durable. An exception from `work` leaves nothing behind and is raised
        here."""
        ...

    async def read(self, company_id: int | None, work: Callable[[Unit], Awaitable[T]]) -> T:
        """The same without writing; sees everything that any acknowledged write wrote."""
        ...

    async def watch(self, company_id: int, after: int, timeout: timedelta) -> tuple[Event, ...]:
        """The company's events behind `after`, as soon as there is one; empty when the time is up. Sees events of
        other processes too."""
        ...

    async def ping(self) -> None: ...
    async def migrate(self) -> tuple[int, int]:
        """Brings the schema up to date; (from, to) version. Safe with several processes starting at once."""
        ...

    def connections(self) -> Connections | None:
        """As they are now; None where there is no server."""
        ...

    async def schema_version(self) -> tuple[int, int]:
        """(version of the database, version this program knows)."""
        ...

    async def sealed(self) -> str:
        """Where the installation is being moved to, or has been: then every change raises Sealed, but for rows of the
        audit log. Empty if changes are taken."""
        ...

    async def examine(self) -> Examination:
        """Has the engine check itself: whether its pages are sound and whether it runs as durability needs it to.
        May take long on a large database; holds up nobody."""
        ...

    async def close(self) -> None: ...
