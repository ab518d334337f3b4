"""Runs the servers beside each other, in alternation, and prints medians and ratios."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bench.cases import CASES, MIB, Memory, dump
from bench.disk import disk
from bench.report import run

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


if __name__ == "__main__":
    sys.exit(main())
