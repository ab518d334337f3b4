"""Which version this is."""

from __future__ import annotations

import typer

from loadingdock import __version__
from loadingdock.cli.output import Json, answer


def register(app: typer.Typer) -> None:
    app.command("version")(version)


def version(as_json: Json = False) -> None:
    """Print the version."""
    answer(as_json, {"version": __version__}, f"loadingdock {__version__}")
