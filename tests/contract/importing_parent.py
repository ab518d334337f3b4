"""A process that imports and is killed: `python -m tests.contract.importing_parent JOB`.

The job is a file of JSON. It says the child's number, then `settled` when what was settled is in a file, and `done`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadingdock.adapters.contacts.importing.importer import ChildImporter
from loadingdock.adapters.contacts.importing.messages import asked_of, counts_of, load_of, of_counts
from loadingdock.core.loading import Counts
from loadingdock.core.model.imports import ImportState, Progress, RowReport
from loadingdock.core.ports.imports import Reported, Source
from tests.contract.processes import importers


def say(word: object) -> None:
    print(word, flush=True)


class Saying:
    def __init__(self, folder: Path, *, hanging: bool) -> None:
        self._folder = folder
        self._hanging = hanging

    async def began(self, state: ImportState) -> None:
        say(*importers())

    async def again(self) -> None: ...

    async def proceeded(self, progress: Progress, counts: Counts) -> bool:
        return True

    async def reported(self, rows: Sequence[RowReport]) -> None: ...

    async def settled(self, counts: Counts, reported: Reported) -> None:
        fresh = self._folder / "fresh"
        fresh.write_text(json.dumps(of_counts(counts)))
        fresh.rename(self._folder / "settled")
        say("settled")
        if self._hanging:
            await asyncio.Event().wait()


def settled(folder: Path) -> Counts | None:
    path = folder / "settled"
    return counts_of(json.loads(path.read_text())) if path.exists() else None


async def main(said: dict[str, Any]) -> None:
    importer = ChildImporter(Path(said["where"]) if said["engine"] == "sqlite" else said["where"])
    source, folder = Source(Path(said["path"]), "contacts.csv"), Path(said["folder"])
    watcher = Saying(folder, hanging=said["hanging"])
    await importer.load(load_of(said["load"]), asked_of(said["asked"]), source, folder, watcher)
    say("done")
    await importer.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
