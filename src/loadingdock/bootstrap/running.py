"""Everything that serving and working stands on, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from loadingdock.adapters.clock import SystemClock
from loadingdock.adapters.contacts.reading.values import formats
from loadingdock.adapters.outbound import HttpSender, Rules
from loadingdock.adapters.passwords import Argon2Passwords
from loadingdock.adapters.presign import SigV4Presigner
from loadingdock.adapters.ratelimits import rate_limiter
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.adapters.text import TextExtraction
from loadingdock.adapters.tokens import JwtTokens
from loadingdock.adapters.types import MagicDetector, MagikaDetector
from loadingdock.bootstrap.engines import (
    blobs_of,
    contacts_of,
    counted_in,
    importer_of,
    installation_secret,
    outside_issuers,
    records_of,
    scanner_of,
    settings_of,
    standing_on,
)
from loadingdock.core import settings as company_settings
from loadingdock.core.access import Access, AccessSettings
from loadingdock.core.administration import Administration
from loadingdock.core.appending import Appending
from loadingdock.core.arrivals import JOB, Arrivals, Notices
from loadingdock.core.callbacks import JOB as CALLBACK
from loadingdock.core.callbacks import Callbacks
from loadingdock.core.contacts import Contacts
from loadingdock.core.delivery import Delivery
from loadingdock.core.files import Files
from loadingdock.core.importing import Importing
from loadingdock.core.importqueue import JOB as IMPORT
from loadingdock.core.importqueue import UNDO_JOB as UNDO
from loadingdock.core.importqueue import ImportQueue
from loadingdock.core.imports import Imports
from loadingdock.core.links import Links
from loadingdock.core.ports.blobs import BlobStore, Inbox
from loadingdock.core.ports.callbacks import CallbackSender
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import ContactImporter
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.ports.processing import Scanner, TextExtractor, TypeDetector
from loadingdock.core.ports.records import Records
from loadingdock.core.processing import Processing, Tools
from loadingdock.core.promises import Promises
from loadingdock.core.retention import Lifetimes, Retention
from loadingdock.core.turns import Turns
from loadingdock.core.uploads import Uploads
from loadingdock.settings import Settings
from loadingdock.web import metrics
from loadingdock.web.dialect import discover
from loadingdock.web.services import BodyLimits, Services
from loadingdock.worker import Handler, Limits, Schedule, Worker


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
    importer: ContactImporter
    imports: ImportQueue
    inbox: Inbox | None = None

    def worker(self) -> Worker:
        settings, clock = self.settings, self.services.clock
        tools = Tools(self.scanner, self.detector, self.extractor)
        processing = Processing(self.records, self.queue, self.blobs, tools, clock, self.imports)
        every = settings.sweep_every
        delivery = Delivery(self.records, self.sender, clock, metrics.callback)
        importing = Importing(
            self.records,
            self.blobs,
            self.services.contacts,
            self.importer,
            self.imports,
            clock,
            attempts=settings.max_attempts,
            told=metrics.imported,
        )
        handlers: dict[str, Handler] = {
            "process": processing.run,
            CALLBACK: delivery.run,
            IMPORT: importing.run,
            UNDO: importing.undo,
        }
        arrivals: tuple[Schedule, ...] = ()  # looked for before uploads are abandoned
        if self.inbox is not None and self.services.notices is not None:
            handlers[JOB] = Arrivals(self.records, self.inbox, self.services.promises, clock).run
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
                Schedule("imports", every, importing.tend),
                Schedule("forget imports", max(every, timedelta(hours=1)), importing.forget),
            ),
            clock,
            Limits(
                settings.worker_concurrency,
                settings.lease,
                settings.max_attempts,
                settings.drain,
                at_most={
                    CALLBACK: max(1, settings.worker_concurrency // 2),  # receivers may be slow
                    IMPORT: max(1, settings.worker_concurrency // 2),  # so are large files
                },
            ),
        )


@asynccontextmanager
async def system(settings: Settings) -> AsyncIterator[System]:
    """Opens what the settings name, brings the schema up to date, and closes it all again."""
    clock = SystemClock()
    async with AsyncExitStack() as opened:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        records = await records_of(settings)
        opened.push_async_callback(records.close)
        await records.migrate()
        contacts = contacts_of(records)
        opened.push_async_callback(contacts.close)
        importer = importer_of(records)
        opened.push_async_callback(importer.close)
        with settings_of("store"):
            blobs, inbox = blobs_of(settings)
        opened.push_async_callback(blobs.close)
        detector = MagikaDetector() if settings.detector == "magika" else MagicDetector()
        extractor = TextExtraction(max_characters=settings.text_limit, timeout=settings.text_timeout)
        opened.push_async_callback(extractor.close)
        with settings_of("scanner"):
            scanner = scanner_of(settings, opened)
        with settings_of("callbacks"):
            rules = Rules.of(settings.callback_allow, settings.callback_ports)
        sender = HttpSender(rules, clock, timeout=settings.callback_timeout.total_seconds())
        with settings_of("rate limiter"):
            limiter = rate_limiter(counted_in(settings))
        opened.push_async_callback(limiter.close)
        passwords = Argon2Passwords()
        opened.callback(passwords.close)
        tokens = JwtTokens(records, clock, issuer=settings.public_url, outside=outside_issuers(settings))
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
        presigner = SigV4Presigner(await installation_secret(records), settings.public_url, region=settings.region)
        known = (*company_settings.CORE, *(setting for dialect in discover() for setting in dialect.settings))
        notices = Notices(records, inbox, clock, grace=settings.orphan_grace) if inbox else None
        direct = notices if settings.store_uploads == "direct" else None
        asked_after = direct.look if direct else None
        administration = Administration(records, passwords, clock, known, forget=access.forget)
        files = Files(records, blobs, clock, asked_after)
        links = Links(records, presigner, access, clock, settings.public_url, inbox if direct else None)
        callbacks = Callbacks(records, sender, clock)
        directory = Contacts(records, contacts, clock, readable=formats.compiled)
        queue = ImportQueue(callbacks, links)
        uploads, turns = Uploads(records, blobs, detector, clock), Turns()
        promises = Promises(uploads, turns, records, blobs, clock, asked_after)
        services = Services(
            access=access,
            administration=administration,
            uploads=uploads,
            promises=promises,
            appending=Appending(promises, turns, records, blobs, detector, clock),
            files=files,
            links=links,
            callbacks=callbacks,
            contacts=directory,
            imports=Imports(records, blobs, files, directory, callbacks, importer, queue, clock),
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
            standing=standing_on(settings, scanner),
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
            importer,
            queue,
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
