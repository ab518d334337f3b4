"""Imports whose processes are killed: what was not settled is not applied, and nobody is left over."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from loadingdock.adapters.contacts.importing.children import Children, Place
from loadingdock.adapters.contacts.importing.importer import ChildImporter
from loadingdock.core.errors import InvalidInput
from loadingdock.core.loading import Counts, Operation
from loadingdock.core.model.contacts import Column, Kind
from loadingdock.core.model.imports import Asked, ImportState
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.core.ports.imports import Interrupted
from loadingdock.testing.contacts.import_endings import ASKED, MANY, one
from loadingdock.testing.contacts.import_material import Imports, Unhappy, Watching, lines
from loadingdock.testing.contacts.material import a_table, exported
from tests.contract.import_parents import Parent
from tests.contract.processes import Watched, children, descriptors, importers, peak

SLOW = pytest.mark.slow  # a process or two are started anew


class Killing(Watching):
    """Kills the child when told of that."""

    def __init__(self, of: str, before: set[int]) -> None:
        super().__init__()
        self._of = of
        self._before = before

    def _told(self, of: str) -> None:
        if of == self._of:
            (child,) = importers() - self._before
            os.kill(child, signal.SIGKILL)


@pytest.mark.asyncio(loop_scope="module")
class KilledImports:
    """Subclasses give `place`, where the fixture `contacts` has its tables."""

    @pytest_asyncio.fixture(loop_scope="module")
    async def own(self, place: Place, tmp_path: Path) -> AsyncIterator[Imports]:
        importer = ChildImporter(place)
        yield Imports(importer, tmp_path)
        await importer.close()

    @pytest.mark.parametrize(
        ("of", "number"),
        [pytest.param("began", 2_001, marks=SLOW), pytest.param("reported", 2_002, marks=SLOW), ("settled", 2_003)],
    )
    @pytest.mark.slow
    async def test_a_child_that_is_killed_has_loaded_nothing(
        self, contacts: ContactStore, own: Imports, of: str, number: int
    ) -> None:
        table = await one(contacts)
        asked = Asked(Operation.UPDINS, columns=ASKED.columns, strict=False)
        watching = Killing(of, importers())
        with pytest.raises(Interrupted) as raised:
            await own.run(table, "x,,\n2,two,b\n", asked, watching, number=number)
        assert "signal 9" in raised.value.why
        assert [contact.values for contact in await exported(contacts, table)] == [(1, "one", "a")]
        again = await own.run(table, "x,,\n2,two,b\n", asked, number=number)
        assert (again.counts, again.known) == (Counts(inserted=1, rejected=1), False)

    @pytest.mark.slow
    async def test_closing_ends_what_is_under_way(self, contacts: ContactStore, own: Imports) -> None:
        table = await one(contacts)
        began = asyncio.Event()

        class Beginning(Watching):
            async def began(self, state: ImportState) -> None:
                began.set()

        with own.endless(MANY) as (source, _):
            load = asyncio.create_task(own.run(table, source, ASKED, Beginning()))
            await began.wait()
            await own.importer.close()
            with pytest.raises(Interrupted):
                await load
        with pytest.raises(Interrupted):
            await own.importer.forget(table, 1)

    @SLOW
    async def test_nothing_is_left_over(self, contacts: ContactStore, place: Place, tmp_path: Path) -> None:
        table = await one(contacts)
        await exported(contacts, table)  # which has opened what it needs
        open_before, before = descriptors(), children(os.getpid())
        imports = Imports(ChildImporter(place), tmp_path)
        file = imports.file("2,two,b\n")
        with pytest.raises(Interrupted):
            await imports.run(table, file, ASKED, Killing("settled", before))
        with pytest.raises(Unhappy):
            await imports.run(table, file, ASKED, Watching(unhappy_with="began"))
        with pytest.raises(InvalidInput):
            await imports.importer.look(table, Asked(), "x", [])
        await imports.run(table, file, ASKED)
        await imports.importer.close()
        assert children(os.getpid()) <= before
        assert descriptors() <= open_before

    @SLOW
    async def test_a_child_waits_for_the_next_job_for_a_while(self, place: Place) -> None:
        pool = Children(place, idle=0.3)
        pids = []
        for _ in range(2):
            async with pool.one() as child:
                await child.give("look", table="", asked={}, name="", head="")
                with suppress(Exception):
                    await child.receive()
                pids.append(child.pid)
        assert pids[0] == pids[1]
        await Watched(pids[0]).ended()
        async with pool.one() as child:
            assert child.pid != pids[0]
        await pool.close()

    @SLOW
    async def test_memory_is_bounded(self, contacts: ContactStore, own: Imports) -> None:
        table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), Column("BORN", Kind.DATE), key=("ID",))
        await contacts.create(table)
        file = lines((n, "x" * 40, "1999-02-28" if n % 100 else "1999-02-29") for n in range(100_000))
        peaks = []
        before = importers()

        class Measuring(Watching):
            async def settled(self, *_: Any) -> None:
                (child,) = importers() - before
                peaks.append(peak(child))

        asked = Asked(Operation.UPDINS, columns=("ID", "NAME", "BORN"), strict=False)
        assert (await own.run(table, file, asked, Measuring())).counts == Counts(inserted=99_000, rejected=1_000)
        assert peaks[0] < 300

    # --- the parent is killed --------------------------------------------------------------------

    async def test_a_parent_that_is_killed_before_the_commit_has_loaded_nothing(
        self, contacts: ContactStore, place: Place, own: Imports
    ) -> None:
        parent = await Parent.of(contacts, place, own, strict=False)
        assert not await parent.check(await parent.killed(hanging=True))

    @pytest.mark.slow
    @pytest.mark.timeout(1800)
    @pytest.mark.cycles(4, all=100)
    @pytest.mark.parametrize("strict", [True, False])
    async def test_a_parent_that_is_killed_anywhen_has_loaded_all_or_nothing(
        self, contacts: ContactStore, place: Place, own: Imports, strict: bool, cycles: int, chance: random.Random
    ) -> None:
        parent = await Parent.of(contacts, place, own, strict=strict)
        began = time.monotonic()
        words = await parent.killed()  # when it is over
        whole = time.monotonic() - began
        assert await parent.check(words)
        for _ in range(cycles):
            parent = await Parent.of(contacts, place, own, strict=strict)
            await parent.check(await parent.killed(after=chance.uniform(0, whole)))
