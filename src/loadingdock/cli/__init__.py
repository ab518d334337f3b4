"""What the operator types: one module for each noun.

Only what a command needs is imported when it runs, so that `loadingdock version` and `--help` are there at once.
"""

from __future__ import annotations


def main() -> None:
    from loadingdock.cli.program import run

    raise SystemExit(run())
