"""Bringing the schema up to date, and looking whether the server keeps what it is given."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
from psycopg import errors

from loadingdock.adapters.records import sealing
from loadingdock.adapters.records.postgres.connection import LOCKS, WRITING, Connection, connect, first_line
from loadingdock.adapters.records.postgres.executor import refusal
from loadingdock.adapters.records.queries import fill, migrations
from loadingdock.core.errors import Conflict, Unavailable
from loadingdock.core.ports.examination import Examination

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds for a server that is starting as well
# What a server says, in English, while it cannot serve yet or has too much to do; libpq hands no code of it on.
_PASSING = re.compile("starting up|shutting down|recovery|too many|reserved")
_OLDEST = 150_000  # PostgreSQL 15
_SKEW = 5.0  # seconds: a quarter of what a lease is by default, and far more than a slow answer takes
_MARK = "loadingdock_migrations"


def known_version() -> int:
    return len(migrations())


async def version(info: str) -> int:
    """0 for a database without our tables. Raises Conflict for another program's, and Unavailable."""
    async with _connected(info) as connection:
        return await _version(connection)


async def migrate(info: str) -> tuple[int, int]:
    """All of the missing migrations or none, in one transaction under a lock: of several processes that start at once
    one does it, and the others wait and find nothing to do. Raises Conflict for a newer database, for another
    program's, and for a proxy that shares sessions; and Unavailable."""
    known = known_version()
    async with _connected(info) as connection:
        await _of_our_own(connection, info)
        if (before := await _version(connection)) == known:
            return known, known
        # A large table may take its time; whoever waits for that waits as long.
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("SET lock_timeout = 0")
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({LOCKS}, -1)")
            before = await _version(connection)
            if before > known:
                raise Conflict(
                    f"The database has schema version {before}, but this program knows versions up to {known}: "
                    "start a newer program, or restore a backup from before the upgrade."
                )
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_MARK} (number BIGINT PRIMARY KEY, at TIMESTAMPTZ DEFAULT now())"
            )
            for number, text in migrations()[before:]:
                await connection.execute(fill(text, WRITING).encode())
                await connection.execute(f"INSERT INTO {_MARK} (number) VALUES (%s)", (number,))  # noqa: S608 - ours
        return before, known


async def sealed(info: str) -> str:
    """Where the installation is being moved to, or has been; empty if it takes changes."""
    async with _connected(info) as connection:
        (marked,) = await _row(connection, "SELECT to_regclass(%s) IS NOT NULL", sealing.MARK)
        rows = await (await connection.execute(sealing.SEALED.encode())).fetchall() if marked else []
        return str(rows[0][0]) if rows else ""


async def _of_our_own(connection: Connection, info: str) -> None:
    """Raises Conflict if two connections are one session of the server. Prepared statements, settings and LISTEN belong
    to a session: where a proxy hands it on after each transaction they fail, or are silently somebody else's. Such a
    proxy gives the session that became free last, so that both are given the same one."""
    async with _connected(info) as other:
        for _ in range(3):
            ours, theirs = await _process(connection), await _process(other)
            if ours == theirs:
                raise Conflict(
                    "The database URL leads to a proxy that pools transactions or statements; name the server itself,"
                    " or have the proxy pool sessions (PgBouncer: pool_mode = session)."
                )


async def _process(connection: Connection) -> object:
    """Of the server, which serves this connection. Not prepared: that is what such a proxy cannot do."""
    row = await (await connection.execute("SELECT pg_backend_pid()", prepare=False)).fetchone()
    return row and row[0]


async def examine(info: str, where: str, connections: int) -> Examination:
    """`connections`: as many as this process may have.

    Settings that durability needs, indexes that a failed build left unusable, and damage that checksums or, where
    the extension is there, amcheck found: with it all indexes are read."""
    async with _connected(info) as connection:
        await connection.execute("SET statement_timeout = 0")
        release, number = await _row(
            connection, "SELECT current_setting('server_version'), current_setting('server_version_num')::int"
        )
        engine = f"PostgreSQL {str(release).split()[0]} at {where}"
        found = [f"It is {release}, but 15 or newer is needed."] if int(str(number)) < _OLDEST else []
        for setting, loss in (
            ("fsync", "a crash of the machine may destroy the database"),
            ("full_page_writes", "a crash of the machine may leave torn pages"),
        ):
            (value,) = await _row(connection, "SELECT current_setting(%s)", setting)
            if value == "off":
                found.append(f"The server runs with {setting} = off: {loss}.")
        (encoding, standby) = await _row(connection, "SELECT current_setting('server_encoding'), pg_is_in_recovery()")
        if encoding != "UTF8":
            found.append(f"The database's encoding is {encoding}, not UTF8: it cannot hold every file name.")
        if standby:
            found.append("The server is a standby, which cannot write.")
        (room,) = await _row(
            connection,
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int",
        )
        if connections > int(str(room)):
            found.append(
                f"This process may open {connections} connections, but the server gives all its users {room} together;"
                " lower LOADINGDOCK_DATABASE_CONNECTIONS, or raise max_connections."
            )
        (theirs,) = await _row(connection, "SELECT clock_timestamp()")
        if off := skew(theirs, datetime.now(UTC)):
            found.append(off)
        (failures,) = await _row(
            connection,
            "SELECT COALESCE(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()",
        )
        # That it can be written to, durably; the row stays as it is.
        await connection.execute(f"UPDATE {_MARK} SET at = at")  # noqa: S608 - ours
        if failures:
            found.append(f"{failures} pages had a wrong checksum; the server's log names them.")
        found += await _broken_indexes(connection)
        return Examination(engine, tuple(found))


def skew(theirs: object, ours: datetime) -> str:
    """What is wrong with the clocks; empty if nothing is. The server stands for all other machines that work here."""
    assert isinstance(theirs, datetime)
    seconds = (ours - theirs).total_seconds()
    if abs(seconds) <= _SKEW:
        return ""
    return (
        f"This machine's clock is {seconds:+.0f} s away from the server's; set both with NTP: a worker takes another's"
        " job when by its own clock the lease has run out."
    )


async def _broken_indexes(connection: Connection) -> list[str]:
    rows = await connection.execute(
        "SELECT i.indexrelid, c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_am a ON a.oid = c.relam"
        " WHERE c.relnamespace = current_schema()::regnamespace AND a.amname = 'btree' ORDER BY c.relname"
    )
    indexes = await rows.fetchall()
    found = [f"The index {name} is invalid; REINDEX it." for _, name, valid in indexes if not valid]
    (amcheck,) = await _row(connection, "SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'")
    for oid, name, valid in indexes if amcheck else ():
        if valid:
            try:
                await connection.execute("SELECT bt_index_check(%s::bigint::oid::regclass)", (oid,))
            except psycopg.Error as error:
                found.append(f"The index {name} is damaged: {first_line(error)}")
    return found


async def _version(connection: Connection) -> int:
    marked, tables = await _row(
        connection,
        "SELECT count(*) FILTER (WHERE relname = %s), count(*) FROM pg_class"
        " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')",
        _MARK,
    )
    if not marked:
        if tables:
            raise Conflict(
                f"The database {connection.info.dbname} has tables of another program; give us a database of our own."
            )
        return 0
    (number,) = await _row(connection, f"SELECT COALESCE(max(number), 0) FROM {_MARK}")  # noqa: S608 - ours
    return int(str(number))


async def _row(connection: Connection, text: str, *values: object) -> tuple[object, ...]:
    row = await (await connection.execute(text.encode(), values)).fetchone()
    assert row is not None
    return row


@asynccontextmanager
async def _connected(info: str) -> AsyncIterator[Connection]:
    """A connection of its own: the pool's have limits that these do not suit. A server that does not answer yet is
    waited for; one that refuses us is not, and the reason is told."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE
    while True:
        try:
            connection = await connect(info)
            break
        except psycopg.Error as error:
            reason = first_line(error)
            if "FATAL" in reason and not _PASSING.search(reason):
                raise Conflict(f"The database refuses us: {reason}") from error
            if loop.time() >= deadline:
                log.warning("the database does not answer: %s", reason)
                raise Unavailable("database", why=f"no answer: {reason}") from error
        await asyncio.sleep(0.2)
    role, name = connection.info.user, connection.info.dbname
    try:
        async with connection:
            yield connection
    except errors.InsufficientPrivilege as error:
        raise Conflict(
            f"The role {role} may not do what is needed in the database {name} ({first_line(error)}); make it the"
            f' owner: ALTER DATABASE "{name}" OWNER TO "{role}"'
        ) from error
    except psycopg.Error as error:
        if (refused := refusal(error)) is None:
            raise
        log.warning("the database failed: %s", first_line(error))
        raise refused() from error
