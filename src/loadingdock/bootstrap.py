"""The only file that names concrete classes: Settings -> System, and the services in it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from loadingdock import __version__
from loadingdock.adapters.blobs.local import LocalBlobs
from loadingdock.adapters.clock import SystemClock
from loadingdock.adapters.contacts.reading.values import formats
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.adapters.moving import CopyLedger, Database, DatabaseRows, SqliteDatabase
from loadingdock.adapters.outbound import HttpSender, Rules
from loadingdock.adapters.passwords import Argon2Passwords
from loadingdock.adapters.presign import SigV4Presigner
from loadingdock.adapters.ratelimits import place, rate_limiter
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.adapters.scanners.local import LocalScanner
from loadingdock.adapters.scanners.pool import ClamdScanner, addresses
from loadingdock.adapters.text import TextExtraction
from loadingdock.adapters.tokens import JwtTokens, OutsideIssuer
from loadingdock.adapters.types import MagicDetector, MagikaDetector
from loadingdock.core import settings as company_settings
from loadingdock.core.access import Access, AccessSettings
from loadingdock.core.administration import Administration
from loadingdock.core.arrivals import JOB, Arrivals, Notices
from loadingdock.core.callbacks import JOB as CALLBACK
from loadingdock.core.callbacks import Callbacks
from loadingdock.core.carrying import Carrier, Progress
from loadingdock.core.contactmoving import TableCarrier
from loadingdock.core.contactports import ContactStore
from loadingdock.core.contacts import Contacts
from loadingdock.core.delivery import Delivery
from loadingdock.core.errors import Conflict
from loadingdock.core.files import Files
from loadingdock.core.links import Links
from loadingdock.core.moving import Move
from loadingdock.core.ports import (
    BlobStore,
    CallbackSender,
    Inbox,
    JobQueue,
    Records,
    Scanner,
    TextExtractor,
    TypeDetector,
    Unit,
)
from loadingdock.core.processing import Processing, Tools
from loadingdock.core.retention import Lifetimes, Retention
from loadingdock.core.uploads import Uploads
from loadingdock.settings import Settings, WrongSetting
from loadingdock.web import metrics
from loadingdock.web.dialect import discover
from loadingdock.web.services import BodyLimits, Services
from loadingdock.worker import Handler, Limits, Schedule, Worker

if TYPE_CHECKING:
    from loadingdock.adapters import backup
    from loadingdock.adapters.records.postgres import PostgresRecords

DATABASE = "loadingdock.sqlite3"
FILES = "files"
CONTACTS = "contacts"


@dataclass(frozen=True, slots=True)
class System:
    """Everything there is, opened: what the server, the worker and the commands stand on."""

    settings: Settings
    records: Records
    queue: JobQueue
    blobs: BlobStore
    scanner: Scanner
    detector: TypeDetector
    extractor: TextExtractor
    sender: CallbackSender
    retention: Retention
    services: Services
    contacts: ContactStore
    inbox: Inbox | None = None

    def worker(self) -> Worker:
        settings, clock = self.settings, self.services.clock
        tools = Tools(self.scanner, self.detector, self.extractor)
        processing = Processing(self.records, self.queue, self.blobs, tools, clock)
        every = settings.sweep_every
        delivery = Delivery(self.records, self.sender, clock, metrics.callback)
        handlers: dict[str, Handler] = {"process": processing.run, CALLBACK: delivery.run}
        arrivals: tuple[Schedule, ...] = ()  # looked for before uploads are abandoned
        if self.inbox is not None and self.services.notices is not None:
            handlers[JOB] = Arrivals(self.records, self.inbox, self.services.uploads, clock).run
            arrivals = (Schedule("arrivals", every, self.services.notices.sweep),)
        return Worker(
            self.queue,
            handlers,
            (
                *arrivals,
                Schedule("expire", every, self.retention.expire_files),
                Schedule("abandon", every, self.retention.abandon_uploads),
                Schedule("orphans", max(every, timedelta(hours=1)), self.retention.sweep_orphans),
                Schedule("forget", max(every, timedelta(hours=1)), self.retention.forget),
                Schedule("forget callbacks", max(every, timedelta(hours=1)), self.services.callbacks.forget),
            ),
            clock,
            Limits(
                settings.worker_concurrency,
                settings.lease,
                settings.max_attempts,
                settings.drain,
                at_most={CALLBACK: max(1, settings.worker_concurrency // 2)},  # receivers may be slow
            ),
        )


@asynccontextmanager
async def system(settings: Settings) -> AsyncIterator[System]:
    """Opens what the settings name, brings the schema up to date, and closes it all again."""
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        records = await _records(settings)
        opened.push_async_callback(records.close)
        await records.migrate()
        contacts = _contacts(records)
        opened.push_async_callback(contacts.close)
        with _of("store"):
            blobs, inbox = _blobs(settings)
        opened.push_async_callback(blobs.close)
        detector = MagikaDetector() if settings.detector == "magika" else MagicDetector()
        extractor = TextExtraction(max_characters=settings.text_limit, timeout=settings.text_timeout)
        opened.push_async_callback(extractor.close)
        with _of("scanner"):
            scanner = _scanner(settings, opened)
        with _of("callbacks"):
            rules = Rules.of(settings.callback_allow, settings.callback_ports)
        sender = HttpSender(rules, clock, timeout=settings.callback_timeout.total_seconds())
        with _of("rate limiter"):
            limiter = rate_limiter(_counted(settings))
        opened.push_async_callback(limiter.close)
        passwords = Argon2Passwords()
        opened.callback(passwords.close)
        tokens = JwtTokens(records, clock, issuer=settings.public_url, outside=_outside(settings))
        opened.push_async_callback(tokens.close)
        access = Access(
            records,
            passwords,
            tokens,
            limiter,
            clock,
            AccessSettings(
                issuer=settings.public_url, outside={i.issuer: frozenset(i.permissions) for i in settings.issuers}
            ),
        )
        opened.push_async_callback(access.close)
        if not isinstance(records, SqliteRecords):  # there other processes' changes are seen when the memory is stale
            records.when_forgotten(access.forget)
        presigner = SigV4Presigner(await _installation_secret(records), settings.public_url, region=settings.region)
        known = (*company_settings.CORE, *(setting for dialect in discover() for setting in dialect.settings))
        notices = Notices(records, inbox, clock, grace=settings.orphan_grace) if inbox else None
        direct = notices if settings.store_uploads == "direct" else None
        asked_after = direct.look if direct else None
        administration = Administration(records, passwords, clock, known, forget=access.forget)
        services = Services(
            access=access,
            administration=administration,
            uploads=Uploads(records, blobs, detector, clock, asked_after),
            files=Files(records, blobs, clock, asked_after),
            links=Links(records, presigner, access, clock, settings.public_url, inbox if direct else None),
            callbacks=Callbacks(records, sender, clock),
            contacts=Contacts(records, contacts, clock, readable=formats.compiled),
            tokens=tokens,
            records=records,
            jobs=records.jobs,
            blobs=blobs,
            detector=detector,
            scanner=scanner,
            clock=clock,
            limits=BodyLimits(settings.max_body, settings.body_deadline, settings.body_min_rate),
            public_url=settings.public_url,
            trusted_proxies=tuple(settings.trusted_proxies),
            company_settings=administration.settings,
            notices=notices,
            limiter=limiter if settings.rate_limit_url else None,
            standing=_standing(settings, scanner),
            store_event_secret=settings.store_event_secret.get_secret_value() if settings.store_event_secret else None,
        )
        retention = Retention(records, blobs, clock, Lifetimes(orphan_grace=settings.orphan_grace))
        yield System(
            settings,
            records,
            records.jobs,
            blobs,
            scanner,
            detector,
            extractor,
            sender,
            retention,
            services,
            contacts,
            inbox,
        )


def lifetime(
    settings: Settings, *, worker: bool, draining: asyncio.Event | None = None
) -> Callable[[], AbstractAsyncContextManager[Services]]:
    """What the web application stands on while it runs; with `worker`, the jobs run inside it. Once `draining` is
    set no more of them are begun, so that they and the last requests end at the same time."""

    @asynccontextmanager
    async def running() -> AsyncIterator[Services]:
        async with system(settings) as opened:
            if not worker:
                yield opened.services
                return
            inside = opened.worker()
            task = asyncio.create_task(inside.run(), name="worker")
            stopper = asyncio.create_task(_stop_when(draining or asyncio.Event(), inside), name="drain")
            try:
                yield opened.services
            finally:
                stopper.cancel()
                inside.stop()
                await task

    return running


async def _stop_when(draining: asyncio.Event, worker: Worker) -> None:
    await draining.wait()
    worker.stop()


def back_up(settings: Settings, target: Path, told: Callable[[int, int], None]) -> backup.Made:
    """Blocks. `told` hears, from any thread, how many bytes are done and of about how many. Raises what
    `adapters.backup.make` does, and Conflict where records or bytes lie elsewhere."""
    from loadingdock.adapters import backup

    database = _embedded(settings)
    files, contacts = settings.data / FILES, _contacts_folder(database)
    return backup.make(database, files, contacts, target, program=__version__, progress=backup.Progress(told))


def restore(settings: Settings, source: Path, told: Callable[[int, int], None], *, dry_run: bool) -> backup.Manifest:
    """The same the other way, into the data folder, as `adapters.backup.restore` says."""
    from loadingdock.adapters import backup

    if _embedded(settings) != settings.data / DATABASE:
        raise Conflict("The records would lie outside of the data folder: unset LOADINGDOCK_DATABASE_URL for a moment.")
    progress = backup.Progress(told)
    return backup.restore(
        source,
        settings.data,
        database=DATABASE,
        files=FILES,
        contacts=CONTACTS,
        dry_run=dry_run,
        progress=progress,
    )


@asynccontextmanager
async def moving(
    settings: Settings, to: Settings, told: Callable[[Progress], None], *, dry_run: bool
) -> AsyncIterator[Move]:
    """What moves the installation of `settings` to where `to` has its records and bytes: those that lie elsewhere
    there. Raises Conflict where there is no installation. With `dry_run` nothing is made by opening it."""
    source, target = _database(settings), _database(to)
    if isinstance(source, SqliteDatabase) and not source.path.exists():
        raise Conflict(f"There is no installation: {source.path} does not exist. Check the settings.")
    rows = DatabaseRows(source, target if target.place != source.place else None)
    places = _store_place(settings), _store_place(to)
    progress = Progress(told)
    async with AsyncExitStack() as opened:
        records = await _records(settings)
        opened.push_async_callback(records.close)
        here, inbox = _blobs(settings)
        opened.push_async_callback(here.close)
        carrier = None
        if places[0] != places[1]:
            there = None
            if not dry_run or to.store_url is not None or (to.data / FILES / "blobs").exists():
                there, _ = _blobs(to)
                opened.push_async_callback(there.close)
            known = settings.data / "moving" / f"{sha256(places[1].encode()).hexdigest()[:16]}.sqlite3"
            ledger = CopyLedger(None, like=known) if dry_run else CopyLedger(known)
            opened.callback(ledger.close)
            carrier = Carrier(records, (here, there), ledger, SystemClock(), progress, places[1])
        tables = None
        if rows.target is not None:
            left = _contacts(records)
            opened.push_async_callback(left.close)
            tables = TableCarrier(records, left, None if dry_run else await _contacts_at(to, opened))
        yield Move(rows, carrier, tables, places, inbox, progress)


def _database(settings: Settings) -> Database:
    if (path := _sqlite(settings)) is not None:
        return SqliteDatabase(path)
    from loadingdock.adapters.moving.postgres import PostgresDatabase

    assert settings.database_url is not None
    return PostgresDatabase(settings.database_url.get_secret_value())


def _store_place(settings: Settings) -> str:
    if settings.store_url is None:
        return f"folder {(settings.data / FILES).resolve()}"
    return f"{settings.store_url.rstrip('/')} at {settings.store_endpoint or f'AWS {settings.store_region}'}"


def _embedded(settings: Settings) -> Path:
    """The SQLite file, of an installation that has its bytes in the data folder."""
    database = _sqlite(settings)
    if database is None or settings.store_url is not None:
        raise Conflict(
            "These settings name PostgreSQL or an S3 store, and this is about the embedded database and folder alone. "
            "The engines have tools of their own: docs/howto/back-up.md has the commands, in the order that is safe."
        )
    return database


def _sqlite(settings: Settings) -> Path | None:
    if settings.database_url is None:
        return settings.data / DATABASE
    url = settings.database_url.get_secret_value()
    return Path(url.removeprefix("sqlite://")) if url.startswith("sqlite:") else None


@contextmanager
def _of(part: str) -> Iterator[None]:
    """Turns what an adapter finds wrong with its settings into WrongSetting."""
    try:
        yield
    except ValueError as error:
        raise WrongSetting(f"The settings of the {part} cannot be used: {error}") from error


def _standing(settings: Settings, scanner: Scanner) -> dict[str, str]:
    """What the service stands on, for people."""
    standing = {"database": "SQLite", "store": "a folder", "scanner": scanner.name}
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        if url.startswith("sqlite:"):
            standing["database"] = f"SQLite in {url.removeprefix('sqlite://')}"
        else:
            from loadingdock.adapters.records.postgres.connection import where

            standing["database"] = f"PostgreSQL at {where(url)}"
    if settings.store_url is not None:
        standing["store"] = f"{settings.store_url} at {settings.store_endpoint or 'AWS'}"
    if settings.scanner_url is not None:
        standing["scanner"] = f"{scanner.name} at {settings.scanner_url}"
    if settings.rate_limit_url is not None:
        standing["rate limits"] = f"Redis at {place(_counted(settings))}"
    return standing


def _counted(settings: Settings) -> str:
    return settings.rate_limit_url.get_secret_value() if settings.rate_limit_url else "memory://"


def _blobs(settings: Settings) -> tuple[BlobStore, Inbox | None]:
    if settings.store_url is None:
        return LocalBlobs(settings.data / FILES, metrics.store), None
    # Here for the same reason as PostgreSQL's driver below.
    from loadingdock.adapters.blobs.s3 import S3Blobs
    from loadingdock.adapters.blobs.s3.place import Place, parse, provider

    bucket, prefix = parse(settings.store_url)
    secret = settings.store_secret_key.get_secret_value() if settings.store_secret_key else None
    place = Place(
        bucket=bucket,
        prefix=prefix,
        endpoint=settings.store_endpoint or f"https://s3.{settings.store_region}.amazonaws.com",
        public_endpoint=settings.store_public_endpoint,
        region=settings.store_region,
        virtual_hosted=settings.store_addressing == "virtual",
        encryption=None if settings.store_encryption == "none" else settings.store_encryption,
        kms_key=settings.store_kms_key,
        ca=settings.store_ca,
        timeout=settings.store_timeout,
        retries=settings.store_retries,
    )
    blobs = S3Blobs(place, provider(settings.store_access_key, secret), metrics.store)
    return blobs, blobs.inbox


async def _records(settings: Settings) -> SqliteRecords | PostgresRecords:
    if (path := _sqlite(settings)) is not None:
        return SqliteRecords.open(path)
    assert settings.database_url is not None
    # Here, because who runs on SQLite need not wait for libpq to be loaded.
    from loadingdock.adapters.records.postgres import PostgresRecords

    return await PostgresRecords.open(settings.database_url.get_secret_value(), pool=settings.database_connections)


def _contacts(records: SqliteRecords | PostgresRecords) -> ContactStore:
    if isinstance(records, SqliteRecords):
        return SqliteContacts(_contacts_folder(records.path))
    from loadingdock.adapters.contacts.tables.postgres import PostgresContacts

    return PostgresContacts(*records.place)


async def _contacts_at(to: Settings, opened: AsyncExitStack) -> ContactStore:
    """Those of a database that has no records yet."""
    contacts: ContactStore
    if (path := _sqlite(to)) is not None:
        contacts = SqliteContacts(_contacts_folder(path))
    else:
        records = await _records(to)
        opened.push_async_callback(records.close)
        contacts = _contacts(records)
    opened.push_async_callback(contacts.close)
    return contacts


def _contacts_folder(database: Path) -> Path:
    """Beside the records, with which they go."""
    return database.with_name(CONTACTS if database.name == DATABASE else f"{database.name}.{CONTACTS}")


def _scanner(settings: Settings, opened: AsyncExitStack) -> Scanner:
    scanner: Scanner
    if settings.scanner_url is not None:
        scanner = ClamdScanner(
            *addresses(settings.scanner_url),
            max_stream=settings.scanner_max_stream,
            max_entry=settings.scanner_max_entry,
            timeout=settings.scanner_timeout,
            took=metrics.scan,
            circuit=metrics.circuit,
        )
    else:
        scanner = LocalScanner(settings.rules, took=metrics.scan)
    opened.push_async_callback(scanner.close)
    return scanner


def _outside(settings: Settings) -> tuple[OutsideIssuer, ...]:
    return tuple(
        OutsideIssuer(
            issuer=i.issuer,
            audience=i.audience,
            jwks=i.jwks,
            company=i.company,
            company_claim=i.company_claim,
            permissions=frozenset(i.permissions),
            permissions_claim=i.permissions_claim,
            types=tuple(i.types),
            algorithms=tuple(i.algorithms),
        )
        for i in settings.issuers
    )


async def _installation_secret(records: Records) -> bytes:
    """Made at the first start; of several processes that start at once, the first one's is kept."""

    async def kept(unit: Unit) -> bytes | None:
        return await unit.secrets.installation_secret()

    if (secret := await records.read(None, kept)) is not None:
        return secret
    fresh = secrets.token_bytes(32)

    async def keep(unit: Unit) -> bytes:
        return await unit.secrets.set_installation_secret(fresh)

    return await records.write(None, keep)
