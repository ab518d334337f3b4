"""What the settings name, opened: records, bytes, contacts, scanner."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loadingdock.adapters.blobs.local import LocalBlobs
from loadingdock.adapters.contacts.importing.importer import ChildImporter
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.adapters.ratelimits import place
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.adapters.scanners.local import LocalScanner
from loadingdock.adapters.scanners.pool import ClamdScanner, addresses
from loadingdock.adapters.tokens import OutsideIssuer
from loadingdock.core.ports.blobs import BlobStore, Inbox
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import ContactImporter
from loadingdock.core.ports.processing import Scanner
from loadingdock.core.ports.records import Records, Unit
from loadingdock.settings import Settings, WrongSetting
from loadingdock.web import metrics

if TYPE_CHECKING:
    from loadingdock.adapters.records.postgres import PostgresRecords


DATABASE = "loadingdock.sqlite3"
FILES = "files"
CONTACTS = "contacts"


def sqlite_file(settings: Settings) -> Path | None:
    if settings.database_url is None:
        return settings.data / DATABASE
    url = settings.database_url.get_secret_value()
    return Path(url.removeprefix("sqlite://")) if url.startswith("sqlite:") else None


@contextmanager
def settings_of(part: str) -> Iterator[None]:
    """Turns what an adapter finds wrong with its settings into WrongSetting."""
    try:
        yield
    except ValueError as error:
        raise WrongSetting(f"The settings of the {part} cannot be used: {error}") from error


def standing_on(settings: Settings, scanner: Scanner) -> dict[str, str]:
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
        standing["rate limits"] = f"Redis at {place(counted_in(settings))}"
    return standing


def counted_in(settings: Settings) -> str:
    return settings.rate_limit_url.get_secret_value() if settings.rate_limit_url else "memory://"


def blobs_of(settings: Settings) -> tuple[BlobStore, Inbox | None]:
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


async def records_of(settings: Settings) -> SqliteRecords | PostgresRecords:
    if (path := sqlite_file(settings)) is not None:
        return SqliteRecords.open(path)
    assert settings.database_url is not None
    # Here, because who runs on SQLite need not wait for libpq to be loaded.
    from loadingdock.adapters.records.postgres import PostgresRecords

    return await PostgresRecords.open(settings.database_url.get_secret_value(), pool=settings.database_connections)


def contacts_of(records: SqliteRecords | PostgresRecords) -> ContactStore:
    if isinstance(records, SqliteRecords):
        return SqliteContacts(contacts_folder(records.path))
    from loadingdock.adapters.contacts.tables.postgres import PostgresContacts

    return PostgresContacts(*records.place)


def importer_of(records: SqliteRecords | PostgresRecords) -> ContactImporter:
    if isinstance(records, SqliteRecords):
        return ChildImporter(contacts_folder(records.path))
    return ChildImporter(records.place[1])


async def contacts_at(to: Settings, opened: AsyncExitStack) -> ContactStore:
    """Those of a database that has no records yet."""
    contacts: ContactStore
    if (path := sqlite_file(to)) is not None:
        contacts = SqliteContacts(contacts_folder(path))
    else:
        records = await records_of(to)
        opened.push_async_callback(records.close)
        contacts = contacts_of(records)
    opened.push_async_callback(contacts.close)
    return contacts


def contacts_folder(database: Path) -> Path:
    """Beside the records, with which they go."""
    return database.with_name(CONTACTS if database.name == DATABASE else f"{database.name}.{CONTACTS}")


def scanner_of(settings: Settings, opened: AsyncExitStack) -> Scanner:
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


def outside_issuers(settings: Settings) -> tuple[OutsideIssuer, ...]:
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


async def installation_secret(records: Records) -> bytes:
    """Made at the first start; of several processes that start at once, the first one's is kept."""

    async def kept(unit: Unit) -> bytes | None:
        return await unit.secrets.installation_secret()

    if (secret := await records.read(None, kept)) is not None:
        return secret
    fresh = secrets.token_bytes(32)

    async def keep(unit: Unit) -> bytes:
        return await unit.secrets.set_installation_secret(fresh)

    return await records.write(None, keep)
