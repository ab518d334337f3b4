"""Is everything as the service needs it?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import Json, answer

if TYPE_CHECKING:
    from loadingdock.core.diagnosis import Check
    from loadingdock.settings import Settings


_STORE_DISK = "Look at the disk: `dmesg`, `df`, SMART."
_STORE_S3 = "Correct it; docs/howto/s3.md says what the keys must be allowed."


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(as_json: Json = False) -> None:
    """Check settings, database, store, scanner, clock and disk; say what to do. Code 1 if anything fails."""
    import asyncio

    from pydantic import ValidationError

    from loadingdock import logs
    from loadingdock.cli.failures import settings_sentence
    from loadingdock.core.diagnosis import Grade, fail

    logs.configure("error", "text")
    try:
        chosen = settings()
    except ValidationError as error:
        checks = [
            fail("settings", settings_sentence(error), "Correct it; `docs/reference/settings.md` lists them all.")
        ]
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
    from loadingdock.core import diagnosis
    from loadingdock.core.diagnosis import Grade, fail, guarded
    from loadingdock.core.errors import DockError

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
        async with system(chosen) as opened:
            services = opened.services
            for name, check, advice in (
                ("database", lambda: diagnosis.database(opened.records), "Restore the last good backup."),
                (
                    "store",
                    lambda: diagnosis.store(opened.blobs),
                    _STORE_DISK if chosen.store_url is None else _STORE_S3,
                ),
                ("scanner", lambda: diagnosis.scanner(opened.scanner), "Start it, or correct LOADINGDOCK_SCANNER_URL."),
                ("clock", lambda: diagnosis.clock(services.clock, opened.records), "Set the clock."),
                ("types", lambda: diagnosis.types(opened.detector), "Install libmagic."),
                ("text", lambda: diagnosis.text(opened.extractor), "Look at the limits of this user: `ulimit -a`."),
                ("jobs", lambda: diagnosis.jobs(opened.queue, services.clock), "Restore the last good backup."),
            ):
                checks.append(await guarded(name, check, advice))
    except DockError as error:
        embedded = chosen.database_url is None
        what = (
            "the folder, its disk and who may write there"
            if embedded
            else "the server, and at LOADINGDOCK_DATABASE_URL"
        )
        checks.append(fail("database", error.message, f"Look at {what}."))
    except Exception as error:
        checks.append(fail("start", f"{type(error).__name__}: {error}", "Correct it; the service does not start so."))
    return checks


def _line(check: Check) -> str:
    advice = f"\n{'':17}-> {check.advice}" if check.advice else ""
    return f"{check.grade.value:4} {check.name:11} {check.detail}{advice}"
