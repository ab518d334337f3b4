"""Migrations, other programs' databases, and plans of the queries."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from loadingdock.adapters.records.queries import Query, migrations
from loadingdock.adapters.records.sqlite import SqliteRecords, schema
from loadingdock.adapters.records.sqlite.connection import QUERIES, connect
from loadingdock.core.errors import Conflict, Unavailable
from loadingdock.testing.records.store import an_entry

KNOWN = len(migrations())
_MIGRATE = """
import sys
from pathlib import Path
from loadingdock.adapters.records.sqlite import schema
sys.stdin.readline()
print(*schema.migrate(Path(sys.argv[1])))
"""


def test_several_processes_may_start_at_once(tmp_path: Path) -> None:
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, str(tmp_path / "records.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in starting)
    assert said == [f"0 {KNOWN}", *[f"{KNOWN} {KNOWN}"] * 3]


async def test_an_empty_database_has_version_0(tmp_path: Path) -> None:
    records = SqliteRecords.open(tmp_path / "records.db")
    try:
        assert await records.schema_version() == (0, KNOWN)
        assert await records.migrate() == (0, KNOWN)
        assert await records.schema_version() == (KNOWN, KNOWN)
    finally:
        await records.close()


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    schema.migrate(path)
    connection = connect(path)
    connection.pragma("user_version", KNOWN + 5)
    connection.close()
    with pytest.raises(Conflict, match=rf"schema version {KNOWN + 5}, but this program knows versions up to {KNOWN}"):
        schema.migrate(path)
    assert schema.version(path) == KNOWN + 5


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.db"
    monkeypatch.setattr(schema, "migrations", lambda: (*migrations(), (KNOWN + 1, "CREATE TABLE half (a); nonsense;")))
    with pytest.raises(apsw.SQLError):
        schema.migrate(path)
    assert schema.version(path) == 0
    connection = connect(path)
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
    connection.close()


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(Conflict, match=r"other\.db is the database of another program"):
        schema.migrate(path)


@pytest.mark.parametrize("name", ["folder", "missing/records.db", "text.db"])
def test_what_is_no_database_is_unavailable(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("This is no database, however long one looks at it.\n" * 100)
    with pytest.raises(Unavailable):
        SqliteRecords.open(tmp_path / name)


async def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    schema.migrate(path)
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 8192)
    assert schema.examine(path).problems


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    path = tmp_path_factory.mktemp("plans") / "records.db"
    schema.migrate(path)
    connection = connect(path)
    yield connection
    connection.close()


@pytest.mark.security(28)
@pytest.mark.parametrize("deed", ["UPDATE audit SET outcome = 'ok'", "DELETE FROM audit"])
async def test_audit_rows_are_for_good(tmp_path: Path, deed: str) -> None:
    records = SqliteRecords.open(tmp_path / "records.db")
    await records.migrate()
    await records.write(None, lambda unit: unit.audit.add(an_entry(0)))
    connection = connect(records.path)
    with pytest.raises(apsw.ConstraintError, match="append-only"):
        connection.execute(deed)
    connection.close()
    await records.close()


# Tables that a query reads from end to end, and may: they are small, all is asked for, or there is a limit.
READ_WHOLE = {
    "company_list": {"companies"},
    "signing_keys": {"signing_keys"},
    "ledger_drift": {"versions"},
    "versions_with_bytes": {"v"},
    "job_list": {"jobs"},
    "forget_events": {"events"},
}
# Queries that sort what they found: few rows, or an order that no index has.
SORTING = {
    "attachment_list",
    "callback_secrets",
    "client_list",
    "key_list",
    "upload_of_file",
    "jobs_companies_due",
    "job_list",
    "known_blobs",
    "ledger_drift",
    "signing_keys",
}


def plans(database: apsw.Connection, query: Query) -> Iterator[tuple[set[str], list[str]]]:
    """(given conditions, steps) of every variant."""
    conditions = sorted(query.conditions)
    for count in range(len(conditions) + 1):
        for given in itertools.combinations(conditions, count):
            text = query.text(dict.fromkeys(conditions) | dict.fromkeys(given, 1))
            params = dict.fromkeys(re.findall(r":(\w+)", text), 1)
            steps = database.execute("EXPLAIN QUERY PLAN " + text, params).fetchall()
            yield {*given}, [str(step[3]) for step in steps]


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_query_goes_by_an_index(database: apsw.Connection, name: str) -> None:
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")} | {"f", "v"}
    for given, steps in plans(database, QUERIES[name]):
        scanned = {match[1] for step in steps if (match := re.match(r"SCAN (\w+)$", step))}
        assert scanned & tables <= READ_WHOLE.get(name, set()), steps
        if name not in SORTING and "sha256" not in given:
            assert not any("TEMP B-TREE" in step for step in steps), (given, steps)


def test_plans_do_not_depend_on_parameters(database: apsw.Connection) -> None:
    """Else SQLite plans a query anew for every value that a partial index's condition might meet."""
    assert database.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1
