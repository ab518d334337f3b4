"""Runs the servers beside each other, in alternation, and prints medians and ratios."""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cases import CASES, MIB, Case, Figure, Memory, dump
from bench.disk import disk
from bench.servers import Server

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each case; medians are taken over them")
    parser.add_argument("--size", type=int, default=256, help="MiB of a large file")
    parser.add_argument("--only", default="", help="a word of the cases' names")
    parser.add_argument("--on", type=Path, help="folder whose disk is used (default: the temporary folder)")
    options = parser.parse_args()
    console = Console(width=120)
    chosen = [case for case in CASES if options.only.lower() in case.name.lower()]
    with disk(options.on) as (folder, what):
        source = folder / "source"
        block = bytes(range(256)) * (MIB // 256)
        with source.open("wb") as file:
            for _ in range(options.size):
                file.write(block)
        console.print(f"On {what}. Ours: SHA-256, fsync and a committed record before each answer; theirs: none of it.")
        results = {}
        for case_type in chosen:
            case = case_type(options.size * MIB, source)
            rounds = 1 if case_type is Memory else options.rounds
            results[case.name] = run(case, folder / f"{case_type.__name__.lower()}", rounds, console)
    dump(results, RESULTS)
    return 0


def run(case: Case, folder: Path, rounds: int, console: Console) -> dict[str, object]:
    servers: list[Server] = []
    figures: dict[str, list[Figure]] = {}
    try:
        for kind in case.peers:
            if missing := kind.missing():
                console.print(f"[yellow]{kind.name} is left out; to have it: {missing}")
                continue
            servers.append(kind(folder / kind.name.replace("/", "_").replace(" ", "_")))
        for number in range(rounds):
            # Whoever begins finds the disk in another state than who follows: the order turns.
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                figures.setdefault(server.name, []).append(case.measure(server))
    finally:
        for server in servers:
            server.stop()
    return report(case, figures, console)


def report(case: Case, figures: dict[str, list[Figure]], console: Console) -> dict[str, object]:
    table = Table(
        title=f"{case.name} ({case.unit}, median of {len(next(iter(figures.values())))})", title_justify="left"
    )
    for column in ("server", "median", "all rounds", "ours is", "to reach", "CPU s", "seen"):
        table.add_column(column)
    medians = {name: statistics.median(f.value for f in seen) for name, seen in figures.items()}
    ours = medians["loadingdock"]
    wanted = {target.peer: target.ratio for target in case.targets}
    ratios = {}
    for name, seen in figures.items():
        notes = {key: statistics.median(f.notes[key] for f in seen) for key in seen[0].notes}
        ratio = target = ""
        if name != "loadingdock":
            ratios[name] = ours / medians[name]
            ratio = f"{ratios[name]:.2f}x"
            if name in wanted:
                target = f">= {wanted[name]}x " + ("[green]yes" if ratios[name] >= wanted[name] else "[red]no")
        table.add_row(
            name,
            f"{medians[name]:,.0f}",
            " ".join(f"{f.value:,.0f}" for f in seen),
            ratio,
            target,
            f"{statistics.median(f.cpu for f in seen):.2f}",
            ", ".join(f"{key} {value:,.1f}" for key, value in notes.items()),
        )
    console.print(table)
    return {"unit": case.unit, "medians": medians, "ratios": ratios}


if __name__ == "__main__":
    sys.exit(main())
