"""Whole imports of contacts beside their peers: `python -m bench.contacts_imports [--rows N] [--only WORD]`.

A running service takes a file in, looks into it and imports it in a process of its own, with its reports and what an
undo needs; the databases' own tools, Python row by row, django-import-export and Directus load the same file into a
table of the same columns and key. Nothing but ours checks what it loads as ours does. Medians, taken in turns.

The last two are left out unless `--peers FOLDER` has them: `python -m venv FOLDER/django && FOLDER/django/bin/pip
install django-import-export 'psycopg[binary]'`, and `npm install --prefix FOLDER directus@11` with Node 22, which is
FOLDER/bin/node where that is there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from bench.cases import Case, Figure, Target
from bench.disk import disk
from bench.importing import alone
from bench.importing.contestants import (
    UPDINS,
    Contestant,
    Django,
    Ours,
    PostgresByRow,
    Psql,
    SqliteByRow,
    SqliteShell,
)
from bench.importing.directus import Directus
from bench.importing.material import Material, material
from bench.importing.service import Stage
from bench.report import in_turns, report
from bench.servers import Peer
from tests.engines import postgres

SMALL = 20_000
OURS, STRICT, BAD = "loadingdock", "loadingdock, strict", "loadingdock, 1 % bad"
PSQL, SHELL, BY_ROW = "psql \\copy", "sqlite3 .import", "Python by row"
DJANGO, DJANGO_CHECKED = "django-import-export", "django-import-export, checked"


class Race(Case):
    """`targets` by the name of ours that has to reach them: one table is printed for each."""

    unit = "rows/s"

    def __init__(self, name: str, peers: Sequence[Peer], wanted: Mapping[str, Sequence[Target]]) -> None:
        self.name = name
        self._peers = peers
        self._wanted = wanted

    def servers(self, folder: Path, console: Console) -> Iterator[Peer]:
        yield from self._peers

    def measure(self, server: Peer) -> Figure:
        assert isinstance(server, Contestant | Directus)
        return server.measure()

    def run(self, folder: Path, rounds: int, console: Console) -> None:
        figures = in_turns(self, folder, rounds, console)
        peers = {name: seen for name, seen in figures.items() if not name.startswith(OURS)}
        name = self.name
        for ours, targets in self._wanted.items():
            self.name = f"{name}: {ours.removeprefix(OURS).lstrip(', ') or 'lenient'}"
            self.targets = tuple(targets)
            report(self, {OURS: figures[ours], **peers}, console)
        self.name = f"{name}: ours beside each other"
        self.targets = ()
        report(self, {name: seen for name, seen in figures.items() if name.startswith(OURS)}, console)


# --- races ---------------------------------------------------------------------------------------


def small(stage: Stage, of: Material, warm: Path, peers: Path | None, console: Console) -> Race:
    """From the file's first byte sent to the import's end: what somebody waits for."""
    ours = [
        Contestant(OURS, Ours(stage, of, whole=True, warm=warm)),
        Contestant(f"{OURS}, strict", Ours(stage, of, strict=True, whole=True, warm=warm)),
        Contestant(f"{OURS}, the first after its start", Ours(stage, of, whole=True)),
    ]
    others: list[Peer] = []
    if stage.postgres:
        others += [Contestant(PSQL, Psql(stage, of)), Contestant(BY_ROW, PostgresByRow(stage, of))]
    else:
        others += [Contestant(SHELL, SqliteShell(stage, of)), Contestant(BY_ROW, SqliteByRow(stage, of))]
    targets = []
    if peers is not None and (python := peers / "django/bin/python").exists():
        others.append(Contestant(DJANGO, Django(stage, of, python)))
        others.append(Contestant(DJANGO_CHECKED, Django(stage, of, python, checked=True)))
        targets += [Target(DJANGO, 20), Target(DJANGO_CHECKED, 20)]
    else:
        console.print(f"[yellow]{DJANGO} is left out; --help says how to have it")
    if stage.postgres and peers is not None and (peers / "node_modules/directus").exists():
        others.append(Directus(stage.folder / "directus", peers, stage, of))
        targets.append(Target(Directus.name, 40))
    elif stage.postgres:
        console.print(f"[yellow]{Directus.name} is left out; --help says how to have it")
    name = f"{of.rows:,} rows into {stage.engine}, from the first byte sent to the end"
    return Race(name, [*ours, *others], {each.name: targets for each in ours[:2]})


def into_postgres(stage: Stage, of: Material, warm: Path) -> Race:
    ours = [
        Contestant(OURS, Ours(stage, of, warm=warm)),
        Contestant(STRICT, Ours(stage, of, strict=True, warm=warm)),
        Contestant(BAD, Ours(stage, of, bad=True, warm=warm)),
    ]
    peers = [
        Contestant(PSQL, Psql(stage, of)),
        Contestant(f"{PSQL} into our table", partial(Psql(stage, of), ours=True)),
        Contestant(BY_ROW, PostgresByRow(stage, of)),
    ]
    by_row = Target(BY_ROW, 3)
    lenient = 1.1 if of.rows >= 5_000_000 else 1.2
    wanted = {OURS: (Target(PSQL, lenient), by_row), STRICT: (Target(PSQL, 1.0), by_row), BAD: (by_row,)}
    return Race(f"INSALL of {of.rows:,} rows into PostgreSQL", [*ours, *peers], wanted)


def into_sqlite(stage: Stage, of: Material, warm: Path) -> Race:
    ours = [
        Contestant(OURS, Ours(stage, of, warm=warm)),
        Contestant(STRICT, Ours(stage, of, strict=True, warm=warm)),
        Contestant(BAD, Ours(stage, of, bad=True, warm=warm)),
    ]
    peers = [Contestant(SHELL, SqliteShell(stage, of)), Contestant(BY_ROW, SqliteByRow(stage, of))]
    by_row = Target(BY_ROW, 3)
    wanted = {OURS: (Target(SHELL, 2), by_row), STRICT: (by_row,), BAD: (by_row,)}
    return Race(f"INSALL of {of.rows:,} rows into SQLite", [*ours, *peers], wanted)


def updating(stage: Stage, of: Material, warm: Path) -> Race:
    ours = [
        Contestant(OURS, Ours(stage, of, UPDINS, warm=warm)),
        Contestant(STRICT, Ours(stage, of, UPDINS, strict=True, warm=warm)),
    ]
    by_row = Target(BY_ROW, 3)
    if stage.postgres:
        peers = [
            Contestant(PSQL, partial(Psql(stage, of), UPDINS)),
            Contestant(BY_ROW, partial(PostgresByRow(stage, of), UPDINS)),
        ]
        wanted = {OURS: (Target(PSQL, 1.05), by_row), STRICT: ()}
    else:
        peers = [
            Contestant(SHELL, partial(SqliteShell(stage, of), UPDINS)),
            Contestant(BY_ROW, partial(SqliteByRow(stage, of), UPDINS)),
        ]
        wanted = {OURS: (Target(SHELL, 1.8), by_row), STRICT: ()}
    return Race(f"UPDINS of {of.rows:,} rows into {stage.engine}, half of them there", [*ours, *peers], wanted)


# --- all of it -----------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.contacts_imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="of the large files")
    parser.add_argument("--rounds", type=int, default=5, help="medians are taken over them")
    parser.add_argument(
        "--only", default="", help="small, fixed, insall, updins, memory or uploads; several with commas between"
    )
    parser.add_argument("--engine", choices=("postgres", "sqlite"), help="only that one")
    parser.add_argument("--memory", type=int, nargs="+", help="rows of the files whose memory is measured")
    parser.add_argument("--peers", type=Path, help="folder that has django-import-export and Directus")
    parser.add_argument("--on", type=Path, help="folder whose disk is used (default: the temporary folder)")
    options = parser.parse_args()
    sections = options.only.split(",") if options.only else ["small", "fixed", "insall", "updins", "memory", "uploads"]
    console = Console(width=160)
    with disk(options.on) as (folder, what), ExitStack() as stack:
        console.print(f"On {what}. Ours: checked, synced, reported and with what an undo needs.")
        warm, few = material(folder, 20).all, material(folder, SMALL)
        many = material(folder, options.rows)
        engines: list[postgres.Postgres | None] = []
        if options.engine != "sqlite":
            engines.append(stack.enter_context(postgres.server(folder)))
        if options.engine != "postgres":
            engines.append(None)
        for engine in engines:
            stage = Stage(folder / ("postgres" if engine else "sqlite"), engine)
            if "small" in sections:
                small(stage, few, warm, options.peers, console).run(folder, options.rounds, console)
            if "fixed" in sections:
                alone.fixed(stage, warm, options.rounds, console)
            if "insall" in sections:
                race = into_postgres if engine else into_sqlite
                race(stage, many, warm).run(folder, options.rounds, console)
            if "updins" in sections:
                updating(stage, many, warm).run(folder, options.rounds, console)
            if "memory" in sections:
                alone.memory(stage, options.memory or [options.rows], console)
            if "uploads" in sections:
                alone.uploads(stage, many, warm, options.rounds, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
