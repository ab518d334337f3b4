"""What an import costs before its first row, its memory, how soon it tells, and what uploads feel of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from rich.console import Console
from rich.table import Table

from bench.cases import BASIC, Figure, SmallForms
from bench.importing.material import Material, bad_of, declaration
from bench.importing.service import Done, Service, Stage
from bench.servers import HERE

_PARTS = ("whole", "sent", "scan", "type", "text", "waited", "import")
_FORM = "/dana/conversation/http/rest/file/upload"
_FORM_SIZE = 16 * 1024
_FIXED = 1.0  # seconds at most
_MEMORY = 400  # MiB at most
_FIRST = 2.0  # seconds until a rejected row can be read, at most
_SLOWER = 2.0  # times the 99th percentile without a load, at most


def fixed(stage: Stage, few: Path, rounds: int, console: Console) -> None:
    """A file of twenty rows: where its time goes. The first of each service starts all the processes."""
    first: list[Done] = []
    later: list[Done] = []
    for _ in range(rounds):
        with stage.service() as service:
            first.append(service.load(few))
            for number in range(3):
                service.call("POST", "/api/v1/tables", declaration(f"few{number}"))
                later.append(service.load(few, table=f"few{number}"))
    table = Table(title=f"Twenty rows into {stage.engine}, milliseconds (medians)", title_justify="left")
    for column in ("", *_PARTS, "to reach"):
        table.add_column(column)
    for name, seen in (("first after the start", first), ("later", later)):
        medians = [statistics.median(parts(done)[part] for done in seen) for part in _PARTS]
        reached = f"<= {_FIXED:.0f} s " + ("[green]yes" if medians[0] <= _FIXED else "[red]no")
        table.add_row(name, *(f"{value * 1000:,.0f}" for value in medians), reached)
    console.print(table)


def parts(done: Done) -> dict[str, float]:
    """Seconds. `waited` is all the rest: turns, and what is between two steps."""
    steps = {name: done.steps.get(name, 0.0) for name in ("scan", "type", "text")}
    return {"whole": done.whole, "sent": done.sent, **steps, "waited": done.waited, "import": done.job}


def memory(stage: Stage, sizes: Sequence[int], console: Console) -> None:
    """Once for each size: lenient, one record in a hundred bad, and somebody looks for the first of these."""
    table = Table(title=f"One import into {stage.engine}, 1 % bad", title_justify="left")
    for column in ("rows", "importer, MiB at most", "server, MiB at most", "first rejected row after", *_PARTS):
        table.add_column(column)
    for rows in sizes:
        with stage.scratch() as folder, stage.service() as service:
            done = service.load(bad_of(folder, rows), watching=True)
        assert done.rejects is not None
        table.add_row(
            f"{rows:,}",
            f"{done.importer:,.0f} " + ("[green]yes" if done.importer <= _MEMORY else "[red]no"),
            f"{done.server:,.0f}",
            f"{done.rejects:.2f} s " + ("[green]yes" if done.rejects <= _FIRST else "[red]no"),
            *(f"{value:,.1f} s" for value in parts(done).values()),
        )
    console.print(table)


# --- uploads beside a load ------------------------------------------------------------------------


def uploads(stage: Stage, of: Material, warm: Path, rounds: int, console: Console) -> None:
    """16 KiB forms from 32 connections, in turns without and with an import under way in the same server. Its worker
    looks into what was uploaded, in both; what that left is done before the next begins."""
    quiet: list[Figure] = []
    loaded: list[Figure] = []
    shares: list[float] = []
    with stage.service(warm) as service, ThreadPoolExecutor(1) as pool:
        for number in range(rounds):
            quiet.append(_forms(service))
            service.idle()
            figure, share = _beside(service, pool, of.all, f"beside{number}")
            loaded.append(figure)
            shares.append(share)
            service.idle()
    table = Table(title=f"16 KiB forms, 32 connections, {stage.engine} (medians of {rounds})", title_justify="left")
    for column in ("", "p99 ms", "all rounds", "requests/s", "to reach"):
        table.add_column(column)
    before, after = (statistics.median(figure.notes["p99 ms"] for figure in seen) for seen in (quiet, loaded))
    ratio = after / before
    for name, seen, median in (("alone", quiet, before), ("beside a load", loaded, after)):
        reached = f"{ratio:.2f}x, <= {_SLOWER}x " + ("[green]yes" if ratio <= _SLOWER else "[red]no")
        table.add_row(
            name,
            f"{median:,.0f}",
            " ".join(f"{figure.notes['p99 ms']:,.0f}" for figure in seen),
            f"{statistics.median(figure.value for figure in seen):,.0f}",
            "" if seen is quiet else reached,
        )
    console.print(table)
    console.print(f"The loads were under way in {min(shares):.0%} of the time of each round or more.")


def _forms(service: Service) -> Figure:
    form = str(HERE / "peers/form.lua")
    wrk = SmallForms(0, Path()).wrk
    return wrk(service, service.url + _FORM, "-s", form, BENCH_SIZE=str(_FORM_SIZE), BENCH_AUTH=BASIC)


def _beside(service: Service, pool: ThreadPoolExecutor, file: Path, table: str) -> tuple[Figure, float]:
    """And in which share of the time the load was under way."""
    service.call("POST", "/api/v1/tables", declaration(table))
    begun = Event()
    load: Future[Done] = pool.submit(service.load, file, table=table, begun=begun.set)
    while not begun.wait(0.05):
        if load.done():
            load.result()
    figure = _forms(service)
    share = 1.0 if not load.done() else min(1.0, load.result().job / SmallForms.seconds)
    load.result()
    return figure, share
