"""What is said of imports on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from loadingdock.cli.output import time

COUNTS = ("inserted", "updated", "unchanged", "skipped", "rejected")


def ending(found: Mapping[str, Any]) -> Iterator[str]:
    """How it ended, and what can be done now, line by line; of an import as `importnotes.shown` shows it."""
    number, state, undone = found["logID"], found["state"], found["undone"]
    name = f"Import {number}"
    for warning in found["warnings"]:
        yield f"Warning: {warning}"
    match state:
        case "undone":
            yield (
                f"{name} is undone: {undone['removed']:,} contacts removed, {undone['restored']:,} restored,"
                f" {undone['left']:,} left as they were changed since."
            )
            if undone["left"]:
                yield f"`loadingdock import rejects {number} --outcome left` shows them."
            return
        case "finished" | "finished_with_errors":
            dry = " A dry run: nothing was changed." if found["dry_run"] else ""
            yield f"{name} has finished: {_counted(found)}.{dry}"
            if found["reason"]:
                yield f"It could not be undone: {found['reason']}"
        case "rejected":
            yield f"{name} was rejected, and nothing was changed. {found['reason'] or _counted(found) + '.'}"
        case "failed" | "cancelled":
            what = "has failed" if state == "failed" else "was cancelled"
            yield " ".join(filter(None, (f"{name} {what}, and nothing was changed.", found["reason"])))
        case _:
            yield f"{name} is {state}; `loadingdock import show {number}` tells how it goes on."
    if found["rejected"]:
        yield f"`loadingdock import rejects {number}` says why; with --csv it writes them, to be corrected."
    if found["undo_until"]:
        yield f"Until {time(found['undo_until'])} it can be undone: `loadingdock import undo {number}`."


def _counted(found: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{found[name]:,} {name}" for name in COUNTS if found[name])
    return f"{found['lineCount']:,} records" + (f", {counts}" if counts else "")


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """All of it."""
    for name, value in found.items():
        match value:
            case dict():
                inner = ", ".join(f"{key} {_plain(each)}" for key, each in value.items() if each is not None)
                yield f"{name}: {inner}"
            case _:
                yield f"{name}: {_plain(value)}"


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return time(value)
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
