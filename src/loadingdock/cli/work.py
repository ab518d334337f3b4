"""A worker alone."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import Json, answer
from loadingdock.cli.serve import holding, on, url_of

if TYPE_CHECKING:
    from loadingdock.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("work")(work)


def work(
    host: Annotated[str, typer.Option(help="The address to listen on, with --port.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Answer /healthz, /readyz and /metrics at this port; 0 finds a free one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run jobs until SIGTERM or SIGINT, beside `serve --no-worker` or in place of its worker.

    On SIGTERM it claims no more; jobs that do not end within the setting `drain` go back to the queue.
    """
    import asyncio

    from loadingdock import logs

    chosen = settings()
    logs.configure(chosen.log_level, chosen.log_format)
    held = None if port is None else holding(host, port)
    asyncio.run(_work(chosen, None if held is None else (host, held.getsockname()[1]), as_json))


async def _work(chosen: Settings, address: tuple[str, int] | None, as_json: bool) -> None:
    import asyncio
    from contextlib import AsyncExitStack, nullcontext

    from loadingdock.bootstrap import system

    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(system(chosen))
        worker = opened.worker()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        folder = str(chosen.data.resolve())
        data: dict[str, Any] = {"worker": worker.name}
        heard = ""
        if address is not None:
            from loadingdock.web.app import Application
            from loadingdock.web.server import beside

            application = Application(lambda: nullcontext(opened.services), operations_alone=True)
            await stack.enter_async_context(beside(application, *address))
            data["url"] = url_of(*address)
            heard = f" Metrics at {data['url']}/metrics."
        data |= {
            **{part.replace(" ", "_"): what for part, what in opened.services.standing.items()},
            "antivirus": opened.scanner.antivirus,
            "data": folder,
        }
        answer(as_json, data, f"Working as {worker.name}. {on(opened.services)} Data: {folder}.{heard}")
        await worker.run()
