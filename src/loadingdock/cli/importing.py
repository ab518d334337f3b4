"""What `import run` and `import undo` do besides asking for it: a file brought in, an import watched to its end, and
its jobs done here where nobody else does them."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from loadingdock.bootstrap import System
from loadingdock.cli.desk import with_system
from loadingdock.cli.output import CommandFailed, bar
from loadingdock.cli.progress import drawn
from loadingdock.core import settings
from loadingdock.core.importnotes import shown
from loadingdock.core.importqueue import UNREAD, subject
from loadingdock.core.imports import API
from loadingdock.core.model.callbacks import CallbackState
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.files import File
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.imports import Asked, Import
from loadingdock.core.ports.records import Unit
from loadingdock.core.receiving import Declaration

_PIECE = 1 << 20  # bytes read at once
_PATIENCE = 0.5  # seconds in which a worker that runs somewhere has begun
_GIVE_BACK = timedelta(seconds=2)  # for what else this process has begun by the time it ends
_AFTERWARDS = 60.0  # seconds at most that an import's reports and callback are waited for


@dataclass(frozen=True, slots=True)
class Submitted:
    operator: Principal
    asked: Import


async def submit(
    opened: System,
    operator: Principal,
    table: ContactTable,
    asked: Asked,
    path: Path,
    callback: str,
    *,
    visible: bool,
) -> Submitted:
    """The file brought in and its import asked for. Raises what `Uploads.declare` and `Imports.submit` do, OSError."""
    services, company = opened.services, operator.company
    about = await asyncio.to_thread(path.stat)
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    declared = services.uploads.declare(
        operator,
        Declaration(
            api=API,
            name=path.name,
            max_size=company.get(settings.MAX_SIZE),
            size=about.st_size if stat.S_ISREG(about.st_mode) else None,
            strict_type=company.get(settings.TYPE_POLICY) == "strict",
            keep=settings.life(company, services.company_settings.get(f"retention.{API}", settings.RETENTION)),
        ),
    )
    with await asyncio.to_thread(path.open, "rb") as source, bar("storing", visible=visible) as draw:
        async with services.uploads.receiving(declared) as receiver:
            while piece := await asyncio.to_thread(source.read, _PIECE):
                await receiver.write([piece])
                draw(receiver.received, declared.size or 0)
            blob = await receiver.finish()
    made = await services.imports.submit(operator, table, asked, declared, blob, callback_url=callback)
    return Submitted(operator, made)


def carried(submit: Callable[[System], Awaitable[Submitted]], *, wait: bool, visible: bool) -> dict[str, Any]:
    """What was submitted, as it is shown: at its end, or with no `wait` as it stands. Raises CommandFailed if whoever
    typed the command has seen enough before."""
    submitted: Submitted | None = None

    async def work(opened: System) -> dict[str, Any]:
        nonlocal submitted
        submitted = await submit(opened)
        operator, now = submitted.operator, opened.services.clock.now
        if not wait:
            return shown(submitted.asked, operator.company, now())
        with drawn(visible=visible) as told:
            ended = await _ended(opened, operator, submitted.asked, lambda of: told(shown(of, operator.company, now())))
        return shown(ended, operator.company, now())

    try:
        return with_system(work)
    except KeyboardInterrupt:
        if submitted is None:
            raise
        number = submitted.asked.number
        raise CommandFailed(
            f"Import {number} goes on where `loadingdock serve` or `loadingdock work` runs;"
            f" `loadingdock import cancel {number}` ends it, `loadingdock import show {number}` tells how it is.",
            "interrupted",
        ) from None


async def readable(opened: System, operator: Principal, files: Iterable[File]) -> None:
    """Returns as soon as there is a verdict on the files."""
    ids = [file.id for file in files]

    async def over() -> bool:
        found = [await opened.services.files.get(operator, id, deleted=True) for id in ids]
        return not any(file.state in UNREAD for file in found)

    async with _helping(opened) as begin:
        await _until(opened, operator, ids, over, begin)


async def _ended(opened: System, operator: Principal, of: Import, told: Callable[[Import], None]) -> Import:
    """The import at its end. Its reports can be read by then, and its callback has been tried once."""
    imports = opened.services.imports

    async def over() -> bool:
        nonlocal of
        of = await imports.get(operator, of.number)
        told(of)
        return of.ended

    async with _helping(opened) as begin:
        await _until(opened, operator, [str(of.number), of.file_id], over, begin)
        with suppress(TimeoutError):
            async with asyncio.timeout(_AFTERWARDS):
                await _reported(opened, operator, of, begin)
    return of


async def _reported(opened: System, operator: Principal, of: Import, begin: Callable[[], None]) -> None:
    services = opened.services
    reports = [of.rejected_file, of.report_file, None if of.undone is None else of.undone.report_file]
    ids = [id for id in reports if id is not None]

    async def over() -> bool:
        files = [await services.files.get(operator, id, deleted=True) for id in ids]
        if any(file.state in UNREAD for file in files):
            return False
        if of.callback_url is None:
            return True
        page = await services.callbacks.list(operator, limit=1, subject=subject(of.number))
        return any(each.attempts or each.state is not CallbackState.PENDING for each in page.items)

    await _until(opened, operator, ids, over, begin)


async def _until(
    opened: System,
    operator: Principal,
    subjects: Iterable[str],
    over: Callable[[], Awaitable[bool]],
    begin: Callable[[], None],
) -> None:
    """Asks `over` at every event about these subjects, and now and then. If none comes for a while, `begin`."""
    records, company, ours = opened.services.records, operator.company.id, frozenset(subjects)
    loop = asyncio.get_running_loop()
    after = await records.read(company, _last)
    heard = loop.time()
    while not await over():
        relevant = False
        while not relevant and loop.time() < heard + _PATIENCE:
            events = await records.watch(company, after, timedelta(seconds=max(0.0, heard + _PATIENCE - loop.time())))
            after = max((event.seq for event in events), default=after)
            relevant = any(event.subject in ours for event in events)
        if not relevant:
            begin()
        heard = loop.time()


async def _last(unit: Unit) -> int:
    return await unit.events.last()


@asynccontextmanager
async def _helping(opened: System) -> AsyncIterator[Callable[[], None]]:
    """What to call to have jobs done here, until the end of the block: where no server runs, a command has to come to
    its end all the same. What is not done by then goes back to the queue."""
    worker = replace(opened, settings=opened.settings.model_copy(update={"drain": _GIVE_BACK})).worker()
    running: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal running
        running = running or asyncio.create_task(worker.run(), name="worker")

    try:
        yield begin
    finally:
        worker.stop()
        if running is not None:
            await running
