"""A file of contacts by Python, row by row: `python -m bench.peers.per_row ENGINE TARGET OPERATION FILE`.

csv reads, every value is checked, and what is wrong is kept with its line; psycopg's COPY and sqlite3's executemany
load, in one transaction. ENGINE is `postgres`, TARGET a URL; or `sqlite`, and a file. Prints seconds, CPU seconds,
how many rows were loaded and how many rejected. The table is `target`, its key `email`.
"""

from __future__ import annotations

import csv
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import psycopg

from bench.contactfile import KEY, NAMES, TYPES
from bench.importing.targets import POSTGRES_TYPES, upsert

_EMAIL = re.compile(r"[^@\s]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+").fullmatch
_PHONE = re.compile(r"\+[1-9][0-9]{7,14}").fullmatch
_DECIMAL = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,2})?").fullmatch
_TRUTHS = frozenset({"true", "false"})


def checked(file: Path, rejected: list[tuple[int, list[str], str]]) -> Iterator[list[str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        rows = csv.reader(lines)
        next(rows)
        for row in rows:
            try:
                number, first, last, email, phone, born, joined, balance, score, active, city, _ = row
                int(number)
                int(score)
                date.fromisoformat(born)
                datetime.fromisoformat(joined)
                if not (
                    len(first) <= 100
                    and len(last) <= 100
                    and len(city) <= 200
                    and _EMAIL(email)
                    and _PHONE(phone)
                    and _DECIMAL(balance)
                    and active in _TRUTHS
                ):
                    raise ValueError("a value is none of its type")
            except ValueError as error:
                rejected.append((rows.line_num, row, str(error)))
            else:
                yield row


def into_postgres(url: str, operation: str, rows: Iterator[list[str]]) -> int:
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        into = "target"
        if operation == "UPDINS":
            into = "staging"
            cursor.execute(f"CREATE UNLOGGED TABLE staging ({POSTGRES_TYPES})".encode())
        with cursor.copy(f"COPY {into} ({NAMES}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        loaded = cursor.rowcount
        if operation == "UPDINS":
            cursor.execute(upsert("target").encode())
            cursor.execute("DROP TABLE staging")
    return loaded


def into_sqlite(path: str, operation: str, rows: Iterator[list[str]]) -> int:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        insert = f"INSERT INTO target ({NAMES}) VALUES ({', '.join('?' * len(TYPES))})"
        if operation == "UPDINS":
            changed = ", ".join(f'"{name}" = excluded."{name}"' for name in TYPES if name != KEY)
            insert += f" ON CONFLICT ({KEY}) DO UPDATE SET {changed}"
        return connection.executemany(insert, rows).rowcount


def main() -> None:
    engine, target, operation, file = sys.argv[1:]
    rejected: list[tuple[int, list[str], str]] = []
    begun, cpu = time.perf_counter(), time.process_time()
    load = into_postgres if engine == "postgres" else into_sqlite
    loaded = load(target, operation, checked(Path(file), rejected))
    print(time.perf_counter() - begun, time.process_time() - cpu, loaded, len(rejected))


if __name__ == "__main__":
    main()
