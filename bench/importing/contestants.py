"""Who imports a file: each of them into an empty table of the same columns and key, or one that has half of it."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Figure
from bench.contactfile import NAMES
from bench.importing.material import Material
from bench.importing.service import Done, Stage
from bench.importing.targets import POSTGRES_TYPES, SQLITE_TYPES, upsert
from bench.servers import HERE
from tests.engines.postgres import name_of

INSALL, UPDINS = "INSALL", "UPDINS"


@dataclass
class Contestant:
    """A Peer that is started anew for each measurement."""

    name: str
    measure: Callable[[], Figure]
    url: str = ""
    folder: Path = HERE

    def cpu_seconds(self) -> float:
        return 0.0

    def stop(self) -> None: ...


def figure(rows: int, seconds: float, cpu: float, **notes: float) -> Figure:
    return Figure(rows / seconds, cpu, {"s": seconds, **notes})


# --- ours ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ours:
    """`whole`: from the file's first byte to the import's end is measured; otherwise the import alone, which is what
    the others do. CPU seconds are of the whole in both. `warm` is a file that was imported before, None for a server
    that has imported nothing."""

    stage: Stage
    material: Material
    operation: str = INSALL
    strict: bool = False
    bad: bool = False
    whole: bool = False
    warm: Path | None = None

    def __call__(self) -> Figure:
        rows, of = self.material.rows, self.material
        with self.stage.service(self.warm) as service:
            if self.operation == UPDINS:
                service.load(of.half)
            self.stage.settle(service.database, service.data)
            before = self.stage.spent(service)
            done = service.load(of.bad if self.bad else of.all, operation=self.operation, strict=self.strict)
            cpu = {who: spent - before[who] for who, spent in self.stage.spent(service).items()}
        self._check(done)
        looked = sum(done.steps.values())
        notes = {"sent": done.sent, "looked into": looked, "import": done.job, "whole": done.whole}
        notes |= {f"CPU of {who}": spent for who, spent in cpu.items()}
        return figure(rows, done.whole if self.whole else done.job, sum(cpu.values()), **notes)

    def _check(self, done: Done) -> None:
        rows, half = self.material.rows, self.material.rows // 2
        rejected = self.material.rejected if self.bad else 0
        updated = half if self.operation == UPDINS else 0
        expected = {"inserted": rows - updated - rejected, "updated": updated, "rejected": rejected}
        if done.counts != {"unchanged": 0, "skipped": 0, **expected}:
            raise RuntimeError(f"{done.counts} and not {expected}")


# --- the databases' own tools, and Python ---------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Time of a command, and CPU seconds of it and of the database's server."""

    stage: Stage
    material: Material

    def _timed(self, command: list[str], said: str = "") -> Figure:
        cpu, begun = self._cpu(), time.perf_counter()
        subprocess.run(command, input=said, text=True, check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - begun
        return figure(self.material.rows, took, self._cpu() - cpu)

    def _cpu(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return self.stage.cpu_seconds() + children.ru_utime + children.ru_stime

    def _told(self, command: list[str]) -> Figure:
        """By the command itself, without its start: seconds, CPU seconds, rows loaded."""
        cpu = self.stage.cpu_seconds()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, own, loaded, *_ = map(float, done.stdout.split()[:3])
        if loaded != self.material.rows:
            raise RuntimeError(f"{command[1]} loaded {loaded} rows")
        return figure(self.material.rows, seconds, own + self.stage.cpu_seconds() - cpu)


class Psql(Measured):
    def __call__(self, operation: str = INSALL, *, ours: bool = False) -> Figure:
        """`ours`: into the very table that an import goes into, which numbers its rows."""
        with self._target() as (url, table):
            into = "contacts_1.contacts" if ours else table
            if operation == INSALL:
                return self._timed(_psql(url, _copy(into, self.material.all)))
            self._half(url, into)
            staging = f"CREATE UNLOGGED TABLE staging ({POSTGRES_TYPES})"
            copy = _copy("staging", self.material.all)
            return self._timed(_psql(url, staging, copy, upsert(into), "DROP TABLE staging"))

    @contextmanager
    def _target(self) -> Iterator[tuple[str, str]]:
        with self.stage.database() as url:
            assert url is not None
            subprocess.run(_psql(url, f"CREATE TABLE target ({POSTGRES_TYPES}, UNIQUE (email))"), check=True)
            assert self.stage.postgres is not None
            self.stage.postgres.ask("CHECKPOINT", name_of(url))
            yield url, "target"

    def _half(self, url: str, table: str) -> None:
        subprocess.run(_psql(url, _copy(table, self.material.half)), check=True)
        self.stage.settle(url, self.stage.folder)


class PostgresByRow(Psql):
    def __call__(self, operation: str = INSALL, *, ours: bool = False) -> Figure:
        with self._target() as (url, table):
            if operation == UPDINS:
                self._half(url, table)
            return self._told(_by_row("postgres", url, operation, self.material.all))


class SqliteShell(Measured):
    def __call__(self, operation: str = INSALL) -> Figure:
        with self._target() as file:
            if operation == INSALL:
                return self._shell(file, _import("target", self.material.all))
            self._half(file)
            staging = f"CREATE TABLE staging ({SQLITE_TYPES});"
            copy = _import("staging", self.material.all)
            return self._shell(file, staging, copy, upsert("target") + ";", "DROP TABLE staging;")

    @contextmanager
    def _target(self) -> Iterator[Path]:
        with self.stage.scratch() as folder:
            file = folder / "target.sqlite"
            self._shell(file, f"CREATE TABLE target ({SQLITE_TYPES});", "CREATE UNIQUE INDEX key ON target (email);")
            yield file

    def _half(self, file: Path) -> None:
        self._shell(file, _import("target", self.material.half), "PRAGMA wal_checkpoint;")

    def _shell(self, file: Path, *said: str) -> Figure:
        durable = ("PRAGMA journal_mode = WAL;", "PRAGMA synchronous = FULL;")
        return self._timed(["sqlite3", "-bail", str(file)], "\n".join((*durable, *said)) + "\n")


class SqliteByRow(SqliteShell):
    def __call__(self, operation: str = INSALL) -> Figure:
        with self._target() as file:
            if operation == UPDINS:
                self._half(file)
            return self._told(_by_row("sqlite", str(file), operation, self.material.all))


@dataclass(frozen=True)
class Django(Measured):
    """`python` is one that has django-import-export. `checked`: it validates each row."""

    python: Path
    checked: bool = False

    def __call__(self) -> Figure:
        if self.stage.postgres is not None:
            with self.stage.database() as url:
                assert url is not None
                subprocess.run(_psql(url, f"CREATE TABLE target ({POSTGRES_TYPES}, UNIQUE (email))"), check=True)
                return self._import(url)
        with self.stage.scratch() as folder:
            file = folder / "target.sqlite"
            made = f"CREATE TABLE target ({SQLITE_TYPES}); CREATE UNIQUE INDEX key ON target (email);"
            subprocess.run(["sqlite3", str(file), made], check=True)
            return self._import(f"sqlite://{file}")

    def _import(self, url: str) -> Figure:
        script, checked = str(HERE / "peers/django_import.py"), ["--checked"] if self.checked else []
        return self._told([str(self.python), script, url, str(self.material.all), *checked])


def _psql(url: str, *commands: str) -> list[str]:
    said = [part for command in commands for part in ("-c", command)]
    return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *said, url]


def _copy(table: str, file: Path) -> str:
    return f"\\copy {table} ({NAMES}) from '{file}' with (format csv, header)"


def _import(table: str, file: Path) -> str:
    return f'.import --csv --skip 1 "{file}" {table}'


def _by_row(engine: str, target: str, operation: str, file: Path) -> list[str]:
    return [sys.executable, "-m", "bench.peers.per_row", engine, target, operation, str(file)]
