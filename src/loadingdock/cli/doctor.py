"""Is everything as the service needs it?"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import Json, answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from loadingdock.bootstrap import System
    from loadingdock.core.diagnosis import Check
    from loadingdock.settings import Settings


_DISK = "Look at the disk: `dmesg`, `df`, SMART."
_BUCKET = "Correct it; docs/howto/s3.md says what the keys must be allowed."
_FOLDER = "Look at the folder, its disk and who may write there."
_SERVER = "Look at the server, and at LOADINGDOCK_DATABASE_URL."
_REDIS = "Look at the Redis, and at LOADINGDOCK_RATE_LIMIT_URL: without it logins and limited requests are refused."
_PATIENCE = timedelta(seconds=10)
_SETTINGS = "Correct it; `docs/reference/settings.md` lists them all."


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Check settings, database, store, scanner, rate limits, clock and disk; say what to do. Code 1 if anything fails.

    A database of an older release is brought up to date, as by every command; what else it writes to what it checks it
    takes away again. The scanner is sent the largest file that it may get.
    """
    import asyncio

    from pydantic import ValidationError

    from loadingdock import logs
    from loadingdock.cli.failures import settings_sentence
    from loadingdock.core.diagnosis import Grade, fail

    logs.configure("error", "text")
    try:
        chosen = settings()
    except ValidationError as error:
        checks = [fail("settings", settings_sentence(error), _SETTINGS)]
    else:
        checks = asyncio.run(_examine(chosen))
    healthy = not any(check.grade is Grade.FAIL for check in checks)
    answer(as_json, {"ok": healthy, "checks": [asdict(check) for check in checks]}, "\n".join(map(_line, checks)))
    if not healthy:
        raise typer.Exit(1)


async def _examine(chosen: Settings) -> list[Check]:
    """What stands in front of the database first: if that is wrong, the rest can say no more than so."""
    from loadingdock.bootstrap import system
    from loadingdock.cli import surroundings
    from loadingdock.core.diagnosis import Grade, fail, guarded
    from loadingdock.core.errors import DockError, Unavailable
    from loadingdock.settings import WrongSetting

    checks = [
        surroundings.settings(chosen),
        surroundings.open_files(),
        surroundings.public_url(chosen.public_url, given="public_url" in chosen.model_fields_set),
        surroundings.folder(chosen.data),
    ]
    if checks[-1].grade is Grade.FAIL:
        return checks
    checks.append(surroundings.file_system(chosen.data))
    try:
        async with system(_impatient(chosen)) as opened:
            for name, check, advice in _of_the_service(opened):
                if name == "store URLs" and any(one.name == "store" and one.grade is Grade.FAIL for one in checks):
                    continue  # they would fail for what is wrong with the store
                checks.append(await guarded(name, check, advice))
    except DockError as error:
        why = error.why if isinstance(error, Unavailable) else ""
        advice = _FOLDER if chosen.database_url is None else _SERVER
        checks.append(fail("database", why or error.message, advice))
    except WrongSetting as error:
        checks[0] = fail("settings", str(error), _SETTINGS)
    except Exception as error:
        checks.append(fail("start", f"{type(error).__name__}: {error}", "Correct it; the service does not start so."))
    return checks


def _impatient(chosen: Settings) -> Settings:
    """Who asks the doctor waits for the answer: a store that hangs is not asked for as long as an upload may take."""
    patience = {"store_timeout": min(chosen.store_timeout, _PATIENCE), "store_retries": min(chosen.store_retries, 1)}
    return chosen.model_copy(update=patience)


def _of_the_service(opened: System) -> Iterator[tuple[str, Callable[[], Awaitable[Check]], str]]:
    """(name, check, what to do if it cannot be made)."""
    from loadingdock.core import diagnosis
    from loadingdock.web.cors import origin_of

    chosen, services = opened.settings, opened.services
    server = _FOLDER if chosen.database_url is None else _SERVER
    yield "database", lambda: diagnosis.database(opened.records), server
    yield "contacts", lambda: diagnosis.contacts(services.contacts), server
    yield "store", lambda: diagnosis.store(opened.blobs), _DISK if chosen.store_url is None else _BUCKET
    if (inbox := opened.inbox) is not None:

        async def urls() -> Check:
            origins = await diagnosis.origins(opened.records, origin_of(chosen.public_url))
            return await diagnosis.urls(inbox, origins, direct=chosen.store_uploads == "direct")

        yield "store URLs", urls, _BUCKET
    yield "scanner", lambda: diagnosis.scanner(opened.scanner), "Start it, or correct LOADINGDOCK_SCANNER_URL."
    if (limiter := services.limiter) is not None:
        yield "rate limits", lambda: diagnosis.rates(limiter, services.standing["rate limits"]), _REDIS
    yield "clock", lambda: diagnosis.clock(services.clock, opened.records), "Set the clock."
    yield "types", lambda: diagnosis.types(opened.detector), "Install libmagic."
    yield "text", lambda: diagnosis.text(opened.extractor), "Look at the limits of this user: `ulimit -a`."
    yield "jobs", lambda: diagnosis.jobs(opened.queue, services.clock), server


def _line(check: Check) -> str:
    advice = f"\n{'':17}-> {check.advice}" if check.advice else ""
    return f"{check.grade.value:4} {check.name:11} {check.detail}{advice}"
