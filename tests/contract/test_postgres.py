"""What the contract of records leaves to PostgreSQL's adapter: whose database it is, what its server promises, and what
other processes are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.adapters.records.postgres.connection import conninfo, where
from loadingdock.adapters.records.postgres.schema import known_version, skew
from loadingdock.core.errors import Conflict, InvalidInput, Unavailable
from loadingdock.core.model.companies import Usage
from loadingdock.core.model.jobs import JobState
from loadingdock.core.ports.records import Connections, Unit
from loadingdock.testing.jobs.asking import claim, enqueue
from loadingdock.testing.records.identity import a_key, a_user
from loadingdock.testing.records.store import NOW, SOON, Store, an_entry
from tests.desk import eventually
from tests.engines.postgres import Postgres, name_of, postgres

__all__ = ["postgres"]
pytestmark = pytest.mark.engine("postgres")


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@asynccontextmanager
async def opened(url: str, **options: int) -> AsyncIterator[PostgresRecords]:
    records = await PostgresRecords.open(url, **options)
    try:
        yield records
    finally:
        await records.close()


async def test_an_empty_database_has_version_0(database: str) -> None:
    async with opened(database) as records:
        assert await records.schema_version() == (0, known_version())
        assert await records.migrate() == (0, known_version())
        assert await records.schema_version() == (known_version(), known_version())


async def test_a_newer_database_is_refused(postgres: Postgres, database: str) -> None:
    async with opened(database) as records:
        await records.migrate()
        postgres.ask("INSERT INTO loadingdock_migrations (number) VALUES (99)", name_of(database))
        with pytest.raises(Conflict, match="schema version 99, but this program knows versions up to"):
            await records.migrate()


async def test_a_database_of_another_program_is_left_alone(postgres: Postgres, database: str) -> None:
    postgres.ask("CREATE TABLE users (name TEXT)", name_of(database))
    async with opened(database) as records:
        with pytest.raises(Conflict, match="tables of another program"):
            await records.migrate()


async def test_who_is_refused_is_told_why(database: str) -> None:
    async with opened(database + "_that_is_not_there") as records:
        with pytest.raises(Conflict, match=r"The database refuses us: .*does not exist"):
            await records.migrate()


@pytest.mark.parametrize(
    "url", ["postgresql://dock:opensesame@db/dock?nonsense=1", "postgresql://dock:open sesame@db?x=1"]
)
def test_what_is_no_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(Conflict, match="postgresql://user:password@host") as refused:
        PostgresRecords(url)
    assert "sesame" not in str(refused.value)


def test_where_it_lies_is_told_without_who_may() -> None:
    url = "postgresql://dock:opensesame@db.example.com:5433/records?sslmode=require"
    assert where(url) == "db.example.com:5433/records"
    assert "sslmode=require" in conninfo(url)
    assert "target_session_attrs=read-write" in conninfo(url)
    assert where("postgresql://dock:opensesame@a,b:5433/records") == "a,b:5433/records"
    assert where("postgresql://dock@a:1,b:2/records") == "a:1,b:2/records"


@pytest.mark.slow
async def test_why_there_is_no_connection_is_told(
    postgres: Postgres, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = await PostgresRecords.open(database, pool=2)
    try:
        await records.migrate()
        release, busy = asyncio.Event(), asyncio.Barrier(3)

        async def hold(unit: Unit) -> None:
            await busy.wait()
            await release.wait()

        holding = [asyncio.create_task(records.write(None, hold)) for _ in range(2)]
        await asyncio.wait_for(busy.wait(), SOON)
        waiting = asyncio.create_task(records.ping())
        waited = Connections(most=2, open=2, in_use=2, waiting=1)
        await asyncio.to_thread(eventually, lambda: records.connections() == waited)
        with pytest.raises(Unavailable) as refused:
            await waiting
        assert refused.value.why == "all 2 connections of this process are taken"
        release.set()
        await asyncio.gather(*holding)
        assert records.connections() == Connections(most=2, open=2, in_use=0, waiting=0)
    finally:
        await records.close()
    away = await PostgresRecords.open("postgresql://dock@127.0.0.1:1/dock", pool=2)
    try:
        with pytest.raises(Unavailable) as refused:
            await away.ping()
    finally:
        await away.close()
    assert refused.value.why == "it gives no connection"
    told = [record.getMessage() for record in caplog.records if record.name.endswith("postgres.pool")]
    assert told[0].endswith("all 2 connections of this process are taken")
    assert "it gives no connection: " in told[-1]
    assert "Connection refused" in told[-1]  # which whoever reads the log can act on


async def test_what_durability_needs_is_looked_at(postgres: Postgres, database: str) -> None:
    async with opened(database) as records:
        await records.migrate()
        examined = await records.examine()
        assert examined.engine.startswith("PostgreSQL ")
        assert examined.engine.endswith(f" at 127.0.0.1:{postgres.port}/{name_of(database)}")
        assert examined.problems == ()
        postgres.ask("ALTER SYSTEM SET full_page_writes = off")
        postgres.ask("SELECT pg_reload_conf()")
        try:
            async with asyncio.timeout(SOON):
                while not (problems := (await records.examine()).problems):
                    pass
            assert problems == (
                "The server runs with full_page_writes = off: a crash of the machine may leave torn pages.",
            )
        finally:
            postgres.ask("ALTER SYSTEM RESET full_page_writes")
            postgres.ask("SELECT pg_reload_conf()")


async def test_more_connections_than_the_server_gives_are_told(database: str) -> None:
    async with opened(database, pool=5_000) as records:
        await records.migrate()
        (problem,) = (await records.examine()).problems
    assert problem.startswith("This process may open 5001 connections, but the server gives all its users ")


@pytest.mark.parametrize(("away", "said"), [(0, ""), (4, ""), (-4, ""), (90, "+90 s away"), (-6, "-6 s away")])
def test_a_clock_that_would_take_leases_away_is_told(away: int, said: str) -> None:
    found = skew(NOW, NOW + timedelta(seconds=away))
    assert said in found
    assert bool(found) == bool(said)


@pytest.mark.security(28)
@pytest.mark.parametrize("deed", ["UPDATE audit SET outcome = 'ok'", "DELETE FROM audit", "TRUNCATE audit"])
async def test_audit_rows_are_for_good(postgres: Postgres, database: str, deed: str) -> None:
    async with opened(database) as records:
        await records.migrate()
        await records.write(None, lambda unit: unit.audit.add(an_entry(0)))
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        postgres.ask(deed, name_of(database))


async def test_other_processes_forget_who_changed(database: str) -> None:
    async with opened(database) as here, opened(database) as there:
        await here.migrate()
        forgotten: asyncio.Queue[str | None] = asyncio.Queue()
        there.when_forgotten(forgotten.put_nowait)
        store = Store(here, here.jobs, lambda: pytest.fail("not asked for"))
        company = await store.company()
        user, key = a_user(company, "anna maria"), a_key(company)

        async def work(unit: Unit) -> None:
            await unit.users.add(user)
            await unit.keys.add(key)
            await unit.users.save(replace(user, disabled_at=NOW))
            await unit.keys.revoke(key.id, NOW)
            await unit.companies.save(company)

        await store.write(company, work)
        heard: set[str | None] = set()
        async with asyncio.timeout(SOON):
            while not {"anna maria", key.id, None} <= heard:
                heard.add(await forgotten.get())


async def test_what_is_committed_together_fails_by_itself(database: str) -> None:
    """Statements of one moment share a commit; one that cannot be kept takes none of its neighbours with it."""
    async with opened(database) as records:
        await records.migrate()
        store = Store(records, records.jobs, lambda: pytest.fail("not asked for"))
        company = await store.company()
        for subject in "abc":
            await enqueue(store, company, subject)
        first, second, third = sorted(await claim(store, 3), key=lambda job: job.subject)
        told = await asyncio.gather(
            records.jobs.remember(first, {"scan": "clean"}),
            records.jobs.retry(second, run_at=NOW, error="a NUL: \0"),
            records.jobs.finish(replace(third, fence=7), NOW),
            records.jobs.finish(third, NOW),
            return_exceptions=True,
        )
        assert told[0] is True
        assert isinstance(told[1], InvalidInput)
        assert [*told[2:]] == [False, True]
        assert {job.subject: (job.state, job.memo) for job in await records.jobs.list()} == {
            "a": (JobState.RUNNING, {"scan": "clean"}),
            "b": (JobState.RUNNING, {}),
            "c": (JobState.DONE, {}),
        }


async def test_a_deadlock_is_nobodys_error(database: str) -> None:
    """Two units take the same two rows, each in another order; one of them is run again."""
    async with opened(database) as records:
        await records.migrate()
        store = Store(records, records.jobs, lambda: pytest.fail("not asked for"))
        companies = [await store.company(code) for code in ("one", "two")]
        both = asyncio.Barrier(2)
        runs = 0

        async def cross(first: int, second: int) -> None:
            nonlocal runs

            async def work(unit: Unit) -> None:
                nonlocal runs
                runs += 1
                await unit.companies.save(companies[first])
                if runs <= 2:
                    await both.wait()
                await unit.companies.save(companies[second])

            await store.write(None, work)

        await asyncio.wait_for(asyncio.gather(cross(0, 1), cross(1, 0)), SOON)
        assert runs == 3
        assert await store.read(companies[0], lambda unit: unit.ledger.get()) == Usage(0, 0)
