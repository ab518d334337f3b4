"""Imports in a process that is killed, and what is there after that."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from loadingdock.adapters.contacts.importing.children import Place
from loadingdock.adapters.contacts.importing.messages import of_asked, of_load
from loadingdock.core.loading import Counts, Ending, Load, Operation
from loadingdock.core.model.contacts import Column, Kind, Value
from loadingdock.core.model.imports import Asked
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import Source
from loadingdock.testing.contacts.import_material import Imports, lines
from loadingdock.testing.contacts.material import a_table, exported, filled
from tests.contract.importing_parent import settled
from tests.contract.processes import Watched

ROWS = 6_000
_ROOT = Path(__file__).parents[2]
_numbers = itertools.count(3_000)


@dataclass(frozen=True)
class Parent:
    """An import that updates the even half of a table and inserts the other half; with a hundredth of the records
    wrong, unless it is strict."""

    load: Load
    asked: Asked
    source: Source
    folder: Path
    place: Place
    contacts: ContactStore
    imports: Imports

    @staticmethod
    async def of(contacts: ContactStore, place: Place, imports: Imports, *, strict: bool) -> Parent:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), key=("ID",))
        await filled(contacts, table, _rows("old", range(0, ROWS, 2)))
        bad = range(0) if strict else range(50, ROWS, 100)
        source = imports.file(lines(("x" if n in bad else n * 7_919 % ROWS, "new") for n in range(ROWS)))
        asked = Asked(Operation.UPDINS, columns=("ID", "NAME"), strict=strict)
        load = Load(table, next(_numbers), asked.operation, ("ID", "NAME"), ("ID",), strict=strict)
        return Parent(load, asked, source, imports.fresh(), place, contacts, imports)

    async def killed(self, *, hanging: bool = False, after: float | None = None) -> set[str]:
        """After so many seconds, or when it has settled, where it then hangs. What it said, when no child of it is left
        over."""
        job = self.folder / "job"
        said = {
            "engine": "sqlite" if isinstance(self.place, Path) else "postgres",
            "where": str(self.place),
            "path": str(self.source.path),
            "folder": str(self.folder),
            "load": of_load(self.load),
            "asked": of_asked(self.asked),
            "hanging": hanging,
        }
        job.write_text(json.dumps(said))
        command = [sys.executable, "-m", "tests.contract.importing_parent", str(job)]
        parent = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE)
        assert parent.stdout is not None
        words: list[str] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(after):
                while word := (await parent.stdout.readline()).decode().strip():
                    words.append(word)
                    if hanging and word == "settled":
                        break
        with contextlib.suppress(ProcessLookupError):
            parent.kill()
        words += (await parent.stdout.read()).decode().split()
        await parent.wait()
        for word in words:
            with contextlib.suppress(ValueError, ProcessLookupError):
                await Watched(int(word)).ended()
        return {*words}

    async def check(self, words: set[str]) -> bool:
        """Whether it was committed; all of it or nothing, and only what was settled. Then it is done again, and there
        once."""
        before = {(n, "old") for n in range(0, ROWS, 2)}
        wrong = set() if self.asked.strict else {n * 7_919 % ROWS for n in range(50, ROWS, 100)}
        after = {(n, "new") for n in {*range(ROWS)} - wrong} | {(n, "old") for n in wrong if n % 2 == 0}
        counts = Counts(ROWS // 2 - len(wrong) + _even(wrong), ROWS // 2 - _even(wrong), rejected=len(wrong))
        found = await self._found()
        done = found != before
        assert found == (after if done else before)
        assert settled(self.folder) in ({counts} if done else {None, counts})
        assert done or "done" not in words
        loaded = await self.imports.run(self.load.table, self.source, self.asked, number=self.load.number)
        counts = replace(counts, rejected=0) if done else counts
        assert (loaded.ending, loaded.counts, loaded.known) == (Ending.COMMITTED, counts, done)
        assert await self._found() == after
        return done

    async def _found(self) -> set[tuple[Value, ...]]:
        rows = [contact.values for contact in await exported(self.contacts, self.load.table)]
        assert len(rows) == len({*rows})
        return {*rows}


def _even(numbers: set[int]) -> int:
    return sum(n % 2 == 0 for n in numbers)


def _rows(name: str, numbers: range) -> list[tuple[Value, ...]]:
    return [(n, name) for n in numbers]
