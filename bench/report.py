"""Runs a case's servers in alternation; medians and ratios as a table."""

from __future__ import annotations

import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cases import Case, Figure
from bench.servers import Peer


def run(case: Case, folder: Path, rounds: int, console: Console) -> dict[str, object]:
    return report(case, in_turns(case, folder, rounds, console), console)


def in_turns(case: Case, folder: Path, rounds: int, console: Console) -> dict[str, list[Figure]]:
    """What was measured of each server, in the order of the rounds."""
    servers: list[Peer] = []
    figures: dict[str, list[Figure]] = {}
    try:
        for server in case.servers(folder, console):
            servers.append(server)
        for number in range(rounds):
            # Whoever begins finds the disk in another state than who follows: the order turns.
            turn = number % len(servers)
            for server in servers[turn:] + servers[:turn]:
                figures.setdefault(server.name, []).append(case.measure(server))
    finally:
        for server in servers:
            server.stop()
    return figures


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
