"""A process that reads and loads contacts: `python -m loadingdock.adapters.contacts.importing.child PARENT`.

It does one job after the other, and ends with its parent.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadingdock.adapters.confined.child import pipes
from loadingdock.adapters.contacts.importing import messages, passes
from loadingdock.adapters.contacts.importing.link import Link
from loadingdock.adapters.contacts.importing.rules import column_rules, dialect, refusals
from loadingdock.adapters.contacts.importing.undoing import undo
from loadingdock.adapters.contacts.reading.dialect import Limits
from loadingdock.adapters.contacts.reading.reader import open_records
from loadingdock.adapters.records.tables import of_declared
from loadingdock.core.errors import DockError, StorageFull
from loadingdock.core.loading import ContactLoader
from loadingdock.core.ports.imports import Source

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PIECE = 1 << 16


def main(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return  # it was gone before it could be watched
    threading.excepthook = lambda _: os._exit(1)  # a thread that is missing is missed by nobody
    link = Link(*pipes())
    _, place = link.next()
    try:
        loader = _loader(**place)
    except Exception:
        link.say("failed", traceback=traceback.format_exc())
        return
    while True:
        kind, facts = link.next()
        try:
            with refusals():
                _JOBS[kind](loader, link, facts)
        except DockError as error:
            link.say("raised", **messages.of_error(error))
        except MemoryError:
            os._exit(1)  # who knows what is left of it
        except Exception as error:
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                link.say("raised", **messages.of_error(StorageFull()))
            else:
                link.say("failed", traceback=traceback.format_exc())
        _give_back()


def _loader(engine: str, where: str, settings: Mapping[str, str]) -> ContactLoader:
    if engine == "sqlite":
        from loadingdock.adapters.contacts.loading.sqlite import SqliteLoader

        return SqliteLoader(Path(where))
    from loadingdock.adapters.contacts.loading.postgres import PostgresLoader

    os.environ.update(settings)
    return PostgresLoader(where)


def _look(loader: ContactLoader, link: Link, facts: Mapping[str, Any]) -> None:
    asked = messages.asked_of(facts["asked"])
    head = base64.b64decode(facts["head"])
    # As little as there can be: behind the header the head may end anywhere.
    reader = open_records(
        (head[at : at + _PIECE] for at in range(0, len(head), _PIECE)),
        dialect(asked),
        column_rules(of_declared(facts["table"])),
        asked.columns,
        Limits(block=1),
        name=facts["name"],
    )
    link.say("done", columns=reader.names, warnings=reader.warnings)


def _load(loader: ContactLoader, link: Link, facts: Mapping[str, Any]) -> None:
    load, asked = messages.load_of(facts["load"]), messages.asked_of(facts["asked"])
    source = Source(Path(facts["path"]), facts["name"])
    passes.run(passes.Job(load, asked, source, Path(facts["folder"])), loader, link)


def _undo(loader: ContactLoader, link: Link, facts: Mapping[str, Any]) -> None:
    done, rows, report = undo(loader, of_declared(facts["table"]), facts["number"], Path(facts["folder"]))
    link.say(
        "done",
        removed=done.removed,
        restored=done.restored,
        left=len(done.conflicts),
        rows=messages.of_rows(rows),
        report=report and str(report),
    )


def _forget(loader: ContactLoader, link: Link, facts: Mapping[str, Any]) -> None:
    loader.forget(of_declared(facts["table"]), facts["number"])
    link.say("done")


_JOBS: Mapping[str, Callable[[ContactLoader, Link, Mapping[str, Any]], None]] = {
    "look": _look,
    "load": _load,
    "undo": _undo,
    "forget": _forget,
}


def _give_back() -> None:
    """Free memory, to the system: a child may wait for its next job for a while."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
