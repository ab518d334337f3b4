"""A worker alone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import Json, answer
from loadingdock.cli.serve import on

if TYPE_CHECKING:
    from loadingdock.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("work")(work)


def work(as_json: Json = False) -> None:
    """Run jobs until SIGTERM or SIGINT, beside `serve --no-worker` or in place of its worker.

    On SIGTERM it claims no more; jobs that do not end within the setting `drain` go back to the queue.
    """
    import asyncio

    from loadingdock import logs

    chosen = settings()
    logs.configure(chosen.log_level, chosen.log_format)
    asyncio.run(_work(chosen, as_json))


async def _work(chosen: Settings, as_json: bool) -> None:
    import asyncio

    from loadingdock.bootstrap import system

    async with system(chosen) as opened:
        worker = opened.worker()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        folder = str(chosen.data.resolve())
        data = {
            "worker": worker.name,
            **{part.replace(" ", "_"): what for part, what in opened.services.standing.items()},
            "antivirus": opened.scanner.antivirus,
            "data": folder,
        }
        answer(as_json, data, f"Working as {worker.name}. {on(opened.services)} Data: {folder}.")
        await worker.run()
