"""The service itself."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import CommandFailed, Json, answer

if TYPE_CHECKING:
    import asyncio

    from loadingdock.settings import Settings
    from loadingdock.web.services import Services


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 finds a free one.")] = 8080,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run the jobs inside.")] = True,
    as_json: Json = False,
) -> None:
    """Run the service until SIGTERM or SIGINT.

    Says in one line when it is ready, where, on which database, store and scanner, and where its data lie. On SIGTERM
    it takes no new connections, lets requests and jobs end for as long as the setting `drain` says, and gives the rest
    back.
    """
    import asyncio

    from loadingdock import logs
    from loadingdock.web import server
    from loadingdock.web.app import Application
    from loadingdock.web.protocol import Limits

    chosen = settings()
    logs.configure(chosen.log_level, chosen.log_format)
    held = holding(host, port)
    address = url_of(host, held.getsockname()[1])
    if "public_url" not in chosen.model_fields_set:
        chosen = chosen.model_copy(update={"public_url": address})
    draining = asyncio.Event()
    life = _Life(chosen, worker, draining)

    def listening(_: str, __: int) -> None:
        life.listening = True
        answer(as_json, life.described(address), life.sentence(address))

    for number in (signal.SIGTERM, signal.SIGINT):  # before and after the server's own handlers: end well
        signal.signal(number, _end)
    try:
        server.run(
            Application(life.lifetime, draining=draining),
            host,
            held.getsockname()[1],
            limits=Limits(header_time=chosen.header_deadline.total_seconds()),
            drain=int(chosen.drain.total_seconds()),
            on_listening=listening,
            on_draining=draining.set,
        )
    except SystemExit as end:
        if not end.code:
            raise
    if life.failure is not None:
        raise life.failure
    if not life.listening:
        raise CommandFailed("The service did not start; its log says why.", "not_started")


class _Life:
    """What the application stands on, and what became of it."""

    def __init__(self, chosen: Settings, worker: bool, draining: asyncio.Event) -> None:
        self._settings = chosen
        self._worker = worker
        self._draining = draining
        self.listening = False
        self.services: Services | None = None
        self.failure: Exception | None = None

    @asynccontextmanager
    async def lifetime(self) -> AsyncIterator[Services]:
        from loadingdock.bootstrap import lifetime

        try:
            async with lifetime(self._settings, worker=self._worker, draining=self._draining)() as services:
                self.services = services
                yield services
        except Exception as error:
            self.failure = error
            raise

    def described(self, address: str) -> dict[str, object]:
        assert self.services is not None
        return {
            "url": address,
            "public_url": self._settings.public_url,
            **{part.replace(" ", "_"): what for part, what in self.services.standing.items()},
            "antivirus": self.services.scanner.antivirus,
            "data": str(self._settings.data.resolve()),
            "worker": self._worker,
        }

    def sentence(self, address: str) -> str:
        assert self.services is not None
        jobs = "" if self._worker else " Jobs wait for `loadingdock work`."
        return (
            f"Ready at {address}, docs at {address}/docs. {on(self.services)}"
            f" Data: {self._settings.data.resolve()}.{jobs}"
        )


def on(services: Services) -> str:
    """What the service stands on, as sentences."""
    said = dict(services.standing)
    if not services.scanner.antivirus:
        said["scanner"] += ", which is no antivirus"
    return " ".join(f"{part.capitalize()}: {what}." for part, what in said.items())


def holding(host: str, port: int) -> socket.socket:
    """Makes sure that the address can be had before anything is opened. The socket is bound and never listens, so it
    holds the port for the server, which may take it by SO_REUSEADDR, and for nobody else."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        reason = error.strerror or str(error)
        raise CommandFailed(f"Cannot listen on {host} port {port}: {reason}.", "address") from error
    return held


def url_of(host: str, port: int) -> str:
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - read, not bound
    return f"http://{name}:{port}"


def _end(_: int, __: object) -> None:
    raise SystemExit(0)
