"""Records against bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from loadingdock.cli.desk import with_system
from loadingdock.cli.output import Json, bar, to_json

if TYPE_CHECKING:
    from loadingdock.bootstrap import System
    from loadingdock.core.inspection import Finding, Progress


def register(app: typer.Typer) -> None:
    app.command("fsck")(fsck)


def fsck(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended; says what it did.")] = False,
    as_json: Json = False,
) -> None:
    """Check records against bytes and contact tables: missing, altered, orphaned, counted wrongly. Code 1 if something
    stays wrong.

    Repairing never removes bytes that a record points at. A version whose bytes are missing or altered is marked
    rejected, so that nobody reads it; bytes that no record points at are removed once they are older than the
    setting `orphan_grace`; the ledger is set to what was counted. Contact tables are
    looked at, never changed.
    """
    wrong = with_system(lambda system: _fsck(system, repair, as_json))
    if wrong:
        raise typer.Exit(1)


async def _fsck(system: System, repair: bool, as_json: bool) -> int:
    """How much stays wrong. Findings are printed as they are made, so that none of them has to be kept."""
    from loadingdock.core.inspection import Inspection, Progress

    inspection = Inspection(
        system.records,
        system.blobs,
        system.services.contacts,
        system.services.clock,
        orphan_grace=system.settings.orphan_grace,
    )
    progress = Progress()
    with bar("checking", visible=not as_json) as draw:

        def told() -> None:
            draw(progress.bytes, progress.total_bytes)

        findings = inspection.run(repair=repair, progress=progress, told=told)
        return await (_as_object if as_json else _as_lines)(findings, progress, repair)


async def _as_lines(findings: AsyncIterator[Finding], progress: Progress, repair: bool) -> int:
    from loadingdock.core.inspection import REPAIRS

    found = wrong = 0
    async for finding in findings:
        found += 1
        wrong += not finding.repaired
        where = finding.subject if finding.version is None else f"{finding.subject} version {finding.version}"
        said = "repaired" if finding.repaired else f"--repair {REPAIRS[finding.problem]}"
        print(f"{finding.problem.value}: {where}: {finding.detail} [{said}]")
    ending = "Everything is as it should be." if not found else f"{found} problems found, {found - wrong} repaired."
    print(
        f"Looked at {progress.versions} versions ({progress.bytes} bytes) and, for orphans, at {progress.blobs} blobs "
        f"past the grace time. {ending}"
    )
    return wrong


async def _as_object(findings: AsyncIterator[Finding], progress: Progress, repair: bool) -> int:
    """One object, written piece by piece: there may be more findings than should be held."""
    from loadingdock.cli.failures import sentence

    found = wrong = 0
    rest: dict[str, object] = {}
    print('{"problems": [', end="")
    try:
        async for finding in findings:
            print(", " if found else "", to_json(asdict(finding)), sep="", end="")
            found += 1
            wrong += not finding.repaired
    except Exception as error:
        code, message = sentence(error)
        rest = {"error": {"code": code, "message": message}}
        wrong += 1
    checked = {"versions": progress.versions, "bytes": progress.bytes, "blobs": progress.blobs}
    rest = {"found": found, "repaired": found - wrong + bool(rest), "ok": not wrong, "checked": checked, **rest}
    print("], " + to_json(rest)[1:])
    return wrong
