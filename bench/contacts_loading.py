"""Loading contacts beside the databases' own tools: `python -m bench.contacts_loading [--rows N] [--runs N]`.

Files of 12 typed columns and some 350 bytes a row, keys in no order. Ours reads, checks and loads, keys unique. The
others check nothing: `psql \\copy` and `sqlite3 .import` into the same table, for UPDINS into a staging table first and
then by ON CONFLICT. Half of what UPDINS brings is there, with another score. Medians, taken in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.contactfile import KEY, NAMES, TYPES, write
from bench.contacttable import RULES, TABLE
from bench.importing.targets import POSTGRES_TYPES, SQLITE_TYPES, upsert
from loadingdock.adapters.contacts.loading.loader import Loader
from loadingdock.adapters.contacts.loading.postgres import PostgresLoader
from loadingdock.adapters.contacts.loading.sqlite import SqliteLoader
from loadingdock.adapters.contacts.reading.dialect import Dialect
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.contacts.tables.postgres import PostgresContacts
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.core.loading import Counts, Load, Operation
from tests.engines import postgres


class Silent:
    def cancelled(self) -> bool:
        return False

    def applied(self, batch: Any, counts: Counts) -> None: ...

    def again(self) -> None: ...

    def skipped(self, code: str, ordinals: Sequence[int]) -> None: ...

    def refused(self, batch: Any, rows: Sequence[Any]) -> None: ...

    def settled(self, counts: Counts) -> None: ...


def ours(loader: Loader, path: Path, operation: Operation, number: int, undoable: bool) -> Counts:
    def source() -> Iterator[Any]:
        return iter(open_records(path, Dialect(header=True), RULES))

    load = Load(TABLE, number, operation, tuple(TYPES), (KEY,), undoable=undoable)
    return loader.load(load, source, Silent()).counts


@dataclass(frozen=True)
class Files:
    all: Path
    half: Path


@contextmanager
def fresh_postgres(server: postgres.Postgres) -> Iterator[tuple[str, str]]:
    """A database with the table in it, and libpq's string for it."""
    url = server.database()

    async def make() -> str:
        records = await PostgresRecords.open(url)
        await PostgresContacts(*records.place).create(TABLE)
        info = records.place[1]
        await records.close()
        return info

    info = asyncio.run(make())
    yield url, info
    server.drop(url)


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_postgres(server: postgres.Postgres, files: Files, operation: Operation, who: str, undoable: bool) -> float:
    with fresh_postgres(server) as (url, info):
        home = "contacts_1.contacts"

        def psql(*commands: str) -> None:
            said = [part for command in commands for part in ("-c", command)]
            subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *said, url], check=True)

        def copying(target: str, path: Path) -> str:
            return f"\\copy {target} ({NAMES}) from '{path}' with (format csv, header)"

        if operation is Operation.UPDINS:
            psql(copying(home, files.half), f"UPDATE {home} SET score = -1")
            psql(f"VACUUM ANALYZE {home}")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        if who == "ours":
            return timed(lambda: ours(PostgresLoader(info), files.all, operation, 1, undoable))
        if operation is Operation.INSALL:
            return timed(lambda: psql(copying(home, files.all)))
        staging = f"CREATE UNLOGGED TABLE staging ({POSTGRES_TYPES})"
        return timed(lambda: psql(staging, copying("staging", files.all), upsert(home), "DROP TABLE staging"))


def in_sqlite(folder: Path, files: Files, operation: Operation, who: str, undoable: bool) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as made:
        if who == "ours":
            return _ours_in_sqlite(Path(made), files, operation, undoable)

        def shell(*commands: str) -> None:
            begin = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL")
            said = "".join(f"{command};\n" if command[0] != "." else f"{command}\n" for command in (*begin, *commands))
            database = str(Path(made) / "peer.sqlite")
            subprocess.run(["sqlite3", database], input=said, text=True, check=True, stdout=subprocess.DEVNULL)

        def importing(target: str, path: Path) -> str:
            return f'.import --csv --skip 1 "{path}" {target}'

        shell(f"CREATE TABLE contacts ({SQLITE_TYPES})", "CREATE UNIQUE INDEX key ON contacts (email)")
        if operation is Operation.INSALL:
            return timed(lambda: shell(importing("contacts", files.all)))
        shell(importing("contacts", files.half), "UPDATE contacts SET score = -1")
        staging = f"CREATE TABLE staging ({SQLITE_TYPES})"
        return timed(lambda: shell(staging, importing("staging", files.all), upsert("contacts"), "DROP TABLE staging"))


def _ours_in_sqlite(folder: Path, files: Files, operation: Operation, undoable: bool) -> float:
    loader = SqliteLoader(folder)

    async def make() -> None:
        store = SqliteContacts(folder)
        await store.create(TABLE)
        await store.close()

    asyncio.run(make())
    if operation is Operation.UPDINS:
        ours(loader, files.half, Operation.INSALL, 1, False)
        subprocess.run(["sqlite3", str(folder / "1.sqlite"), "UPDATE contacts SET score = -1"], check=True)
    return timed(lambda: ours(loader, files.all, operation, 2, undoable))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-undo", dest="undo", action="store_false", help="keep nothing of what the rows were")
    parser.add_argument("--engine", choices=("postgres", "sqlite"))
    parser.add_argument("--operation", choices=("INSALL", "UPDINS"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        files = Files(folder / "all.csv", folder / "half.csv")
        write(files.all, options.rows)
        write(files.half, options.rows // 2)
        with postgres.server(folder) as server:
            for engine, peer in (("postgres", "psql \\copy"), ("sqlite", "sqlite3 .import")):
                for operation in (Operation.INSALL, Operation.UPDINS):
                    if options.engine not in {None, engine} or options.operation not in {None, operation}:
                        continue
                    took: dict[str, list[float]] = {"peer": [], "ours": []}
                    for _ in range(options.runs):
                        for who, times in took.items():
                            if engine == "postgres":
                                times.append(in_postgres(server, files, operation, who, options.undo))
                            else:
                                times.append(in_sqlite(folder, files, operation, who, options.undo))
                    theirs, mine = statistics.median(took["peer"]), statistics.median(took["ours"])
                    print(
                        f"{engine:8} {operation} {options.rows} rows: {peer} {theirs:.2f} s, ours {mine:.2f} s,"
                        f" {theirs / mine:.2f} times its speed",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
