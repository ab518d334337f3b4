"""The demo."""

from __future__ import annotations

import typer

from loadingdock.cli.output import Json


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(as_json: Json = False) -> None:
    """Start a throwaway service and send real files through its APIs, one of them infected; kill it in the middle.

    Shows each request as a curl command with its answer, and says at the end what passed. Code 1 if anything did not.
    """
    from loadingdock import logs
    from loadingdock.demo.play import play

    logs.configure("warning", "text")
    if not play(as_json):
        raise typer.Exit(1)
