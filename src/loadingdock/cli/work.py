"""A worker alone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import Json, answer

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
        scanner = opened.scanner
        data = {
            "worker": worker.name,
            "scanner": scanner.name,
            "antivirus": scanner.antivirus,
            "data": str(chosen.data.resolve()),
        }
        warning = "" if scanner.antivirus else ", which is no antivirus"
        answer(as_json, data, f"Working as {worker.name}. Scanner: {scanner.name}{warning}. Data: {data['data']}.")
        await worker.run()
