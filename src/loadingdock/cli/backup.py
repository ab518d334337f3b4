"""The whole installation, put away and brought back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadingdock.cli.desk import settings
from loadingdock.cli.output import Json, answer, bar


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    target: Annotated[Path, typer.Argument(help="A new folder, or an earlier backup of this installation.")],
    as_json: Json = False,
) -> None:
    """Put records and bytes of one moment into a folder, while the service runs. Code 1 if any bytes were damaged.

    What was acknowledged before is in it. Into an earlier backup only new bytes are copied; until its end the earlier
    one stays whole. What is in it are secrets: keep it as safe as the data folder.
    """
    from loadingdock import bootstrap, logs

    logs.configure("warning", "text")
    with bar("copying", visible=not as_json) as told:
        made = bootstrap.back_up(settings(), target, told)
    manifest = made.manifest
    damaged = [{"key": key, "detail": detail} for key, detail in sorted(manifest.damaged.items())]
    told_of = (
        f"Backed up {manifest.blobs} blobs ({manifest.blob_bytes} bytes) and the records of {manifest.made_at} to"
        f" {target}: {made.copied} copied ({made.copied_bytes} bytes), {made.kept} there already."
    )
    answer(
        as_json,
        {
            "target": str(target),
            "made_at": manifest.made_at,
            "installation": manifest.installation,
            "blobs": manifest.blobs,
            "bytes": manifest.blob_bytes,
            "database_bytes": manifest.database_bytes,
            "copied": {"blobs": made.copied, "bytes": made.copied_bytes},
            "kept": {"blobs": made.kept, "bytes": made.kept_bytes},
            "damaged": damaged,
            "ok": not damaged,
        },
        "\n".join(
            [
                *(f"damaged: {one['key']} {one['detail']}" for one in damaged),
                told_of,
                *(["Damaged is the installation itself: look with `loadingdock fsck`."] if damaged else []),
            ]
        ),
    )
    if damaged:
        raise typer.Exit(1)


def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `loadingdock backup` made.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the backup, and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a backup back into an empty data folder. Nothing is there before all of it was read and checked.

    Every digest is compared; what is damaged is named and nothing is restored. Uploads that were under way begin
    again.
    """
    from loadingdock import bootstrap, logs

    logs.configure("warning", "text")
    chosen = settings()
    with bar("checking" if dry_run else "restoring", visible=not as_json) as told:
        manifest = bootstrap.restore(chosen, source, told, dry_run=dry_run)
    held = f"{manifest.blobs} blobs ({manifest.blob_bytes} bytes) and the records of {manifest.made_at}"
    known = f" {len(manifest.damaged)} blobs were damaged when it was made." if manifest.damaged else ""
    answer(
        as_json,
        {
            "source": str(source),
            "data": None if dry_run else str(chosen.data.resolve()),
            "made_at": manifest.made_at,
            "installation": manifest.installation,
            "blobs": manifest.blobs,
            "bytes": manifest.blob_bytes,
            "damaged": len(manifest.damaged),
            "restored": not dry_run,
        },
        f"The backup is whole: {held}.{known}"
        if dry_run
        else f"Restored {held} into {chosen.data.resolve()}.{known} Now run `loadingdock fsck`.",
    )
