"""What is done to an installation as a whole: backed up, restored, moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from loadingdock import __version__
from loadingdock.adapters.clock import SystemClock
from loadingdock.adapters.moving import CopyLedger, Database, DatabaseRows, SqliteDatabase
from loadingdock.core.carrying import Carrier, Progress
from loadingdock.core.contactmoving import TableCarrier
from loadingdock.core.errors import Conflict
from loadingdock.core.moving import Move
from loadingdock.settings import Settings

if TYPE_CHECKING:
    from loadingdock.adapters import backup

from loadingdock.bootstrap.engines import (
    CONTACTS,
    DATABASE,
    FILES,
    blobs_of,
    contacts_at,
    contacts_folder,
    contacts_of,
    records_of,
    sqlite_file,
)


def back_up(settings: Settings, target: Path, told: Callable[[int, int], None]) -> backup.Made:
    """Blocks. `told` hears, from any thread, how many bytes are done and of about how many. Raises what
    `adapters.backup.make` does, and Conflict where records or bytes lie elsewhere."""
    from loadingdock.adapters import backup

    database = _embedded(settings)
    files, contacts = settings.data / FILES, contacts_folder(database)
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
        records = await records_of(settings)
        opened.push_async_callback(records.close)
        here, inbox = blobs_of(settings)
        opened.push_async_callback(here.close)
        carrier = None
        if places[0] != places[1]:
            there = None
            if not dry_run or to.store_url is not None or (to.data / FILES / "blobs").exists():
                there, _ = blobs_of(to)
                opened.push_async_callback(there.close)
            known = settings.data / "moving" / f"{sha256(places[1].encode()).hexdigest()[:16]}.sqlite3"
            ledger = CopyLedger(None, like=known) if dry_run else CopyLedger(known)
            opened.callback(ledger.close)
            carrier = Carrier(records, (here, there), ledger, SystemClock(), progress, places[1])
        tables = None
        if rows.target is not None:
            left = contacts_of(records)
            opened.push_async_callback(left.close)
            tables = TableCarrier(records, left, None if dry_run else await contacts_at(to, opened))
        yield Move(rows, carrier, tables, places, inbox, progress)


def _database(settings: Settings) -> Database:
    if (path := sqlite_file(settings)) is not None:
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
    database = sqlite_file(settings)
    if database is None or settings.store_url is not None:
        raise Conflict(
            "These settings name PostgreSQL or an S3 store, and this is about the embedded database and folder alone. "
            "The engines have tools of their own: docs/howto/back-up.md has the commands, in the order that is safe."
        )
    return database
