"""What was acknowledged stays, and of what failed nothing does, however the server or its connections end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.adapters.records.postgres.schema import known_version
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.companies import Company, Usage
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, SOON, Store, a_file
from tests.desk import eventually
from tests.engines.postgres import Postgres, name_of, server

pytestmark = [pytest.mark.engine("postgres"), pytest.mark.timeout(300)]

_TERMINATE = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' AND application_name <> ''"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Stopped and killed here, so it is nobody else's; on a disk."""
    with server(memory=False) as running:
        yield running


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    records = await PostgresRecords.open(url)
    try:
        await records.migrate()
        yield Store(records, records.jobs, lambda: opened(url))
    finally:
        await records.close()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    async with opened(database) as store:
        yield store


@pytest.fixture
async def company(store: Store) -> Company:
    return await store.company()


async def terminate(postgres: Postgres, database: str) -> None:
    """Every backend that serves the store."""
    await asyncio.to_thread(postgres.ask, _TERMINATE.format(name_of(database)))


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(eventually, condition)


async def charge(store: Store, company: Company) -> None:
    await store.write(company, lambda unit: unit.ledger.charge(1, 1, max_bytes=None, max_files=None))


async def used(store: Store, company: Company) -> Usage:
    return await store.read(company, lambda unit: unit.ledger.get())


async def test_a_connection_lost_within_a_unit_is_not_noticed(
    postgres: Postgres, database: str, store: Store, company: Company
) -> None:
    """Nothing of the first run was committed, so the unit is run again, whole."""
    runs = 0

    async def work(unit: Unit) -> None:
        nonlocal runs
        runs += 1
        await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
        await unit.events.add(NOW, "kind", "file", {})
        if runs == 1:
            await terminate(postgres, database)
        assert (await unit.ledger.get()).files == 1

    await store.write(company, work)
    assert runs == 2
    assert await used(store, company) == Usage(1, 1)
    assert len(await store.read(company, lambda unit: unit.events.after(0, limit=9))) == 1


async def test_a_connection_lost_before_the_last_rows_is_no_success(
    postgres: Postgres, database: str, store: Store, company: Company
) -> None:
    """They go with the COMMIT, so nobody knows whether that came about; here it did not, and nothing is kept."""

    async def work(unit: Unit) -> None:
        await unit.ledger.charge(1, 1, max_bytes=None, max_files=None)
        await unit.events.add(NOW, "kind", "file", {})
        await terminate(postgres, database)

    with pytest.raises(Unavailable):
        await store.write(company, work)
    assert await used(store, company) == Usage(0, 0)
    assert await store.read(company, lambda unit: unit.events.after(0, limit=9)) == ()


async def test_idle_connections_that_were_lost_fail_nobody(
    postgres: Postgres, database: str, store: Store, company: Company
) -> None:
    await asyncio.gather(*(charge(store, company) for _ in range(30)))
    await terminate(postgres, database)
    await asyncio.gather(*(charge(store, company) for _ in range(30)))
    assert await used(store, company) == Usage(60, 60)


async def test_a_commit_that_nobody_knows_of_is_no_success(
    postgres: Postgres, database: str, store: Store, company: Company
) -> None:
    """The server is stopped while it commits: a constraint that is looked at then lets it sleep."""
    for statement in (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION slow()",
    ):
        await asyncio.to_thread(postgres.ask, statement, name_of(database))
    runs = 0

    async def work(unit: Unit) -> None:
        nonlocal runs
        runs += 1
        await unit.events.add(NOW, "kind", "file", {})

    writing = asyncio.create_task(store.write(company, work))
    looks = "SELECT 1 FROM pg_stat_activity WHERE datname = '{}' AND query = 'COMMIT' AND state = 'active'"
    await until(lambda: postgres.ask(looks.format(name_of(database))))
    await terminate(postgres, database)
    with pytest.raises(Unavailable):
        await writing
    assert runs == 1, "what may have been committed is not done again"


async def test_nothing_acknowledged_is_lost_by_a_crash_of_the_server(
    postgres: Postgres, store: Store, company: Company
) -> None:
    acknowledged: list[str] = []
    over = asyncio.Event()

    async def upload() -> str:
        file = a_file(company)

        async def work(unit: Unit) -> str:
            await unit.ledger.charge(51, 1, max_bytes=None, max_files=None)
            await unit.files.add(file)
            await unit.jobs.enqueue("process", file.id, at=NOW)
            return file.id

        return await store.write(company, work)

    async def client() -> None:
        while not over.is_set():
            with suppress(Unavailable):
                acknowledged.append(await upload())

    def at_least(count: int) -> Callable[[], bool]:
        return lambda: len(acknowledged) >= count

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(client())
        for _ in range(3):
            await until(at_least(len(acknowledged) + 50))  # it recovers by itself
            await asyncio.to_thread(postgres.stop, "immediate")
            await asyncio.to_thread(postgres.start)
        over.set()

    async def everything(unit: Unit) -> tuple[set[str], Usage]:
        return {id for id in acknowledged if await unit.files.get(id) is not None}, await unit.ledger.get()

    kept, usage = await store.read(company, everything)
    assert kept == set(acknowledged)
    assert usage.files >= len(acknowledged)
    assert await store.read(None, lambda unit: unit.housekeeping.ledger_drift()) == ()
    due, *_ = await store.jobs.depth(NOW)
    assert due == usage.files


async def test_a_server_that_is_away_is_unavailable_and_then_back(
    postgres: Postgres, store: Store, company: Company
) -> None:
    watching = asyncio.create_task(store.records.watch(company.id, 0, timedelta(seconds=1)))
    await charge(store, company)
    assert await watching == ()
    await asyncio.to_thread(postgres.stop, "immediate")
    try:
        for ask in (charge, used):
            with pytest.raises(Unavailable):
                await ask(store, company)
        with pytest.raises(Unavailable):
            await store.records.ping()
        with pytest.raises(Unavailable):
            await store.jobs.claim("worker", lease=MINUTE, limit=1, cap=1, now=NOW)
    finally:
        await asyncio.to_thread(postgres.start)
    async with asyncio.timeout(SOON):
        while True:
            with suppress(Unavailable):
                await store.records.ping()
                break
    assert await used(store, company) == Usage(1, 1)
    async with store.twin() as twin:  # and is told again what others commit
        watching = asyncio.create_task(store.records.watch(company.id, 0, HOUR))
        await twin.tell(company)
        assert len(await asyncio.wait_for(watching, SOON)) == 1


_MIGRATE = """
import asyncio, sys
from loadingdock.adapters.records.postgres import schema
from loadingdock.adapters.records.postgres.connection import conninfo
sys.stdin.readline()
print(*asyncio.run(schema.migrate(conninfo(sys.argv[1]))))
"""


def test_several_processes_may_start_at_once(postgres: Postgres) -> None:
    url, known = postgres.database(), known_version()
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in starting)
    assert said == [f"0 {known}", *[f"{known} {known}"] * 3]
