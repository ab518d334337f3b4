"""Jobs of three remembered steps a second, through the worker and its queue: `python -m bench.jobs`.

Each job is put in by a unit of its own, claimed, remembers its three steps one after another and ends: every one of
these is on the disk before the next begins. A worker's own work is left out: what is measured is the queue.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench.disk import disk
from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.adapters.records.sqlite import SqliteRecords
from loadingdock.core.model.companies import Company
from loadingdock.core.model.jobs import Job
from loadingdock.worker import Limits, Worker
from tests.engines.postgres import Postgres, server

COMPANIES = 8  # so that none of them is held up by its cap
_KIND = "bench"
_TO_REACH = {"SQLite": 1_000, "PostgreSQL": 600}

Store = PostgresRecords | SqliteRecords
Open = Callable[[], AbstractAsyncContextManager[Store]]


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Round:
    """Jobs a second."""

    put_in: float
    run: float


async def measure(records: Store, jobs: int, concurrency: int) -> Round:
    clock = Now()
    codes = (f"c{time.time_ns()}-{number}" for number in count())
    companies = [await _company(records, next(codes)) for _ in range(COMPANIES)]
    started = time.perf_counter()
    turns = iter(range(jobs))

    async def producer() -> None:
        for turn in turns:
            company = companies[turn % COMPANIES]
            await records.write(company.id, lambda unit: unit.jobs.enqueue(_KIND, "subject", at=clock.now()))

    await asyncio.gather(*(producer() for _ in range(concurrency)))
    put_in = jobs / (time.perf_counter() - started)

    left = jobs

    async def three_steps(job: Job) -> None:
        nonlocal left
        memo: dict[str, str] = {}
        for step in ("scan", "type", "text"):
            memo[step] = "done"
            assert await records.jobs.remember(job, memo)
        left -= 1
        if not left:
            worker.stop()

    limits = Limits(concurrency, timedelta(seconds=20), 5, timedelta(seconds=10))
    worker = Worker(records.jobs, {_KIND: three_steps}, (), clock, limits)
    started = time.perf_counter()
    await worker.run()
    run = jobs / (time.perf_counter() - started)
    assert await records.jobs.depth(clock.now()) == (0, 0, 0, 0.0)
    return Round(put_in, run)


async def _company(records: Store, code: str) -> Company:
    number = time.time_ns() % 10**12
    return await records.write(None, lambda unit: unit.companies.add(code, code, number, datetime.now(UTC)))


def sqlite(folder: Path) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        records = SqliteRecords(Path(tempfile.mkdtemp(dir=folder)) / "records.sqlite")
        await records.migrate()
        try:
            yield records
        finally:
            await records.close()

    return opened


def postgres(running: Postgres) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        records = await PostgresRecords.open(running.database())
        await records.migrate()
        try:
            yield records
        finally:
            await records.close()

    return opened


async def rounds(opening: Open, options: argparse.Namespace) -> list[Round]:
    async with opening() as records:
        return [await measure(records, options.jobs, options.concurrency) for _ in range(options.rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=3_000, help="in each round")
    parser.add_argument("--concurrency", type=int, default=32, help="jobs under way at once")
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over them")
    parser.add_argument("--on", type=Path, help="folder whose disk is used (default: the temporary folder)")
    parser.add_argument("--only", default="", choices=["", "sqlite", "postgresql"])
    options = parser.parse_args()
    with ExitStack() as stack:
        folder, what = stack.enter_context(disk(options.on))
        engines: dict[str, Open] = {}
        if options.only in ("", "sqlite"):
            engines["SQLite"] = sqlite(folder)
        if options.only in ("", "postgresql"):
            engines["PostgreSQL"] = postgres(stack.enter_context(server(folder)))
        table = Table(title=f"Three-step jobs a second, on {what}", title_justify="left")
        for column in ("records", "run", "all rounds", "to reach", "put in, one by one"):
            table.add_column(column)
        for name, opening in engines.items():
            seen = uvloop.run(rounds(opening, options))
            run = statistics.median(each.run for each in seen)
            wanted = f">= {_TO_REACH[name]:,} " + ("[green]yes" if run >= _TO_REACH[name] else "[red]no")
            put_in = f"{statistics.median(each.put_in for each in seen):,.0f}"
            table.add_row(name, f"{run:,.0f}", " ".join(f"{each.run:,.0f}" for each in seen), wanted, put_in)
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
