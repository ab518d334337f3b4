"""The plans by which PostgreSQL answers the hot queries: `python -m bench.plans > docs/reference/query-plans.md`.

Starts a server of its own, fills a database as a year of work would, and explains each query as it is prepared.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import psycopg

from loadingdock.adapters.records.postgres import PostgresRecords
from loadingdock.adapters.records.postgres.connection import READING, WRITING, Statements, connect, conninfo
from tests.engines.postgres import server

COMPANIES = 200
FILES = 200_000
JOBS = 50_000

_FILL = f"""
INSERT INTO companies (code, number, name, created_at)
    SELECT 'company' || n, n, 'Company ' || n, 0 FROM generate_series(1, {COMPANIES}) n;
INSERT INTO ledger SELECT id, 0, 0 FROM companies;
INSERT INTO files (company_id, id, api, namespace, name, name_nfc, name_folded, alias, owner, acl, created_at,
        expires_at, attached, latest, state)
    SELECT 1 + (n::bigint * n) % {COMPANIES}, md5(n::text), CASE n % 3 WHEN 0 THEN 'file-upload' ELSE 'management' END,
        CASE n % 4 WHEN 0 THEN 'rewards' ELSE '' END, 'report ' || n, 'report ' || n, 'report ' || n, 's3://WS/' || n,
        'owner ' || n % 1000, 'PRIVATE', n, CASE n % 2 WHEN 0 THEN 10 * n END, 0, 1,
        CASE WHEN n % 50 = 0 THEN 'infected' ELSE 'ready' END
    FROM generate_series(1, {FILES}) n;
INSERT INTO versions (company_id, file_id, number, state, created_at, updated_at, size, sha256, blob_key)
    SELECT company_id, id, 1, state, created_at, created_at, 1000, md5(id) || md5(id), md5('blob' || id) FROM files;
INSERT INTO uploads (company_id, id, file_id, version, max_size, created_at, expires_at, received, completed_at)
    SELECT company_id, md5('upload' || id), id, 1, 1000, created_at, created_at + 100, 0,
        CASE WHEN created_at % 100 > 0 THEN created_at END
    FROM files;
INSERT INTO jobs (id, company_id, kind, subject, state, attempts, run_at, created_at, fence, finished_at, lease_until)
    SELECT md5('job' || n), CASE n % 2 WHEN 0 THEN 1 ELSE 1 + n % {COMPANIES} END, 'process', md5(n::text),
        CASE WHEN n % 5 = 0 THEN 'waiting' WHEN n % 501 = 0 THEN 'running' ELSE 'done' END, 1, n, n, 1,
        CASE WHEN n % 5 > 0 AND n % 501 > 0 THEN n END, CASE WHEN n % 5 > 0 AND n % 501 = 0 THEN n END
    FROM generate_series(1, {JOBS}) n;
INSERT INTO events (at, company_id, kind, subject)
    SELECT n, 1 + n % {COMPANIES}, 'file.ready', md5(n::text) FROM generate_series(1, {FILES}) n;
INSERT INTO audit (at, company_id, actor, action, subject, outcome)
    SELECT n, 1 + n % {COMPANIES}, 'user:anna', 'upload', md5(n::text), 'ok' FROM generate_series(1, {FILES}) n;
"""

_COMPANY = {"company_id": 1 + 100 * 100 % COMPANIES}
_LIST: Mapping[str, Any] = _COMPANY | dict.fromkeys(
    ("owner", "namespace", "named", "api", "state", "expired", "search", "sha256", "before", "before_id")
)
_ALL = JOBS * 10

# (query, whether it writes, parameters, when it runs and what is to be seen)
HOT: tuple[tuple[str, bool, Mapping[str, Any], str], ...] = (
    ("file_by_id", False, _COMPANY | {"id": "{file}"}, "Every read of a file: two lookups by primary key."),
    ("file_lock", True, _COMPANY | {"id": "{file}"}, "Before a unit reads a file that it may change."),
    (
        "file_by_name", False, _COMPANY | {"namespace": "rewards", "name": "report 100"},
        "Uploads into a namespace; the partial index is the one that makes the name unique.",
    ),
    ("file_page", False, _LIST | {"limit": 51}, "A page of a list, newest first: as many rows are read as are shown."),
    (
        "file_page", False, _LIST | {"limit": 51, "before": 150_000, "before_id": "f"},
        "A later page costs what the first one does: the place is a key, not a number of rows to skip.",
    ),
    ("file_page", False, _LIST | {"limit": 51, "state": "infected"}, "A list of one state: its own index."),
    ("ledger_charge", True, _COMPANY | {"bytes": 1, "files": 1, "max_bytes": 10**12, "max_files": None},
     "The quota, in every upload: a condition on the row that is locked by it."),
    ("upload_complete", True, _COMPANY | {"id": "{upload}", "at": 1}, "The one success of a promised upload."),
    ("jobs_companies_due", True, {"now": _ALL, "kinds": '["process"]', "cap": 8, "limit": 4},
     "A claim's first look: from company to company over the index of waiting jobs, however many each of them has."),
    ("jobs_due", True, _COMPANY | {"now": _ALL, "kinds": '["process"]', "limit": 4}, "A claim's candidates, in order."),
    ("jobs_claim", True, {"ids": '["{job}"]', "worker": "w", "lease_until": _ALL}, "The claim."),
    ("job_finish", True, {"id": "{job}", "fence": 1, "now": 1}, "Its end; heartbeats and memos go the same way."),
    ("jobs_release_lost", True, {"now": 1}, "Leases that ran out: what runs is all that is looked at."),
    ("events_after", False, _COMPANY | {"seq": FILES - 500, "limit": 100}, "What a stream of events sends next."),
    ("expired_files", False, {"now": 1_000, "limit": 200}, "A sweep: the partial index holds what can expire at all."),
    ("abandoned_uploads", False, {"now": 1_000, "limit": 200}, "Another: open uploads only."),
    ("known_blobs", False, {"keys": '["{blob}", "b"]'}, "Which bytes have a record: the sweep of orphans."),
)  # fmt: skip

_HEAD = f"""<!-- Made by `python -m bench.plans`. -->
# Query plans on PostgreSQL

How PostgreSQL {{version}} answers the queries that requests, workers and sweeps ask, with {FILES:,} files, as many events,
audit rows and uploads, and {JOBS:,} jobs, half of them of one of the {COMPANIES} companies. `rows` are those that a step really gave, `Buffers` the
pages of 8 KiB that it looked at. Whatever grows is reached by an index; only the few rows of companies and their ledgers,
two pages of them, are read as a whole.
"""  # noqa: E501 - lines of the page


async def _fill(url: str) -> None:
    records = await PostgresRecords.open(url)
    await records.migrate()
    await records.close()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_FILL.encode())
        await connection.execute("VACUUM ANALYZE")


async def _known(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Ids that are there, by their placeholders."""
    found = {}
    for name, text in (
        ("{file}", f"SELECT id FROM files WHERE company_id = {_COMPANY['company_id']} LIMIT 1"),
        ("{upload}", f"SELECT id FROM uploads WHERE company_id = {_COMPANY['company_id']} LIMIT 1"),
        ("{blob}", "SELECT blob_key FROM versions LIMIT 1"),
        ("{job}", "SELECT id FROM jobs WHERE state = 'waiting' LIMIT 1"),
    ):
        row = await (await connection.execute(text.encode())).fetchone()
        assert row is not None
        found[name] = row[0]
    return found


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    for placeholder, id in known.items() if isinstance(value, str) else ():
        value = value.replace(placeholder, id)
    return value


async def _plan(connection: psycopg.AsyncConnection[Any], sql: bytes, values: list[Any]) -> str:
    """As it is when its pages are in memory: from the second time on."""
    cursor = psycopg.AsyncRawCursor(connection)
    lines: list[str] = []
    for _ in range(2):
        await connection.execute("BEGIN")
        await cursor.execute(b"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) " + sql, values)
        lines = [str(line) for (line,) in await cursor.fetchall()]
        await connection.execute("ROLLBACK")
    text = "\n".join(lines[: lines.index("Planning:")] if "Planning:" in lines else lines)
    return re.sub(r" (?:dirtied|written)=\d+", "", text)


async def main(url: str) -> str:
    await _fill(url)
    statements = {False: Statements(READING), True: Statements(WRITING)}
    async with await connect(conninfo(url)) as connection:
        known = await _known(connection)
        version = connection.info.server_version // 10_000
        parts = [_HEAD.format(version=version)]
        for name, writing, params, remark in HOT:
            sql, values = statements[writing].of(name, params)
            values = [_filled(value, known) for value in values]
            plan = await _plan(connection, sql, values)
            parts.append(f"## {name}\n\n{remark}\n\n```sql\n{sql.decode().strip()}\n```\n\n```text\n{plan}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with server() as running:
        print(asyncio.run(main(running.database())), end="")
