"""How loads end, and that nothing was changed by those that were not to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from loadingdock.core.loading import NOT_UNIQUE, Counts, Ending, Operation
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.model.imports import Asked, ImportState, Outcome, RowReport
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.import_material import Importing, Imports, Unhappy, Watching, lines, report_of
from loadingdock.testing.contacts.material import a_table, exported, filled

ASKED = Asked(Operation.UPDINS, columns=("ID", "NAME", "CODE"))
MANY = lines((n, "some name or other", "") for n in range(2, 100_000))


async def one(contacts: ContactStore) -> ContactTable:
    """A table with one contact."""
    table = a_table(Column("ID", Kind.INTEGER), Column("NAME"), Column("CODE", unique=True), key=("ID",))
    await filled(contacts, table, [(1, "one", "a")])
    return table


class EndingsContract(Importing):
    async def test_a_strict_one_is_checked_to_its_end(self, contacts: ContactStore, imports: Imports) -> None:
        table = await one(contacts)
        watching = Watching()
        loaded = await imports.run(table, "x,bad,\n2,two,a\n3,three,c\n4,four\n", ASKED, watching)
        assert (loaded.ending, loaded.counts) == (Ending.REFUSED, Counts(skipped=2, rejected=2))
        assert watching.states == [ImportState.CHECKING]
        assert list(watching.problems()) == [1, 4]
        assert [each["ordinal"] for each in report_of(loaded.reported.report)] == [1, 4]
        assert loaded.reported.rejects is not None
        assert watching.settlement is None
        assert len(await exported(contacts, table)) == 1

    async def test_a_strict_one_is_refused_for_what_only_the_table_knows(
        self, contacts: ContactStore, imports: Imports
    ) -> None:
        table = await one(contacts)
        watching = Watching()
        loaded = await imports.run(table, "2,two,a\n3,three,c\n1,again,a\n4,four,a\n", ASKED, watching)
        assert (loaded.ending, loaded.counts) == (Ending.REFUSED, Counts(skipped=2, rejected=2))
        assert watching.states == [ImportState.CHECKING, ImportState.LOADING]
        assert watching.problems() == {1: [("CODE", NOT_UNIQUE)], 4: [("CODE", NOT_UNIQUE)]}
        assert watching.settlement is None
        assert len(await exported(contacts, table)) == 1

    async def test_a_strict_one_skips_what_comes_again(self, contacts: ContactStore, imports: Imports) -> None:
        table = await one(contacts)
        watching = Watching()
        loaded = await imports.run(table, "2,x,\n2,y,\n1,one,a\n", ASKED, watching)
        assert (loaded.ending, loaded.counts) == (Ending.COMMITTED, Counts(inserted=1, unchanged=1, skipped=1))
        assert [(row.outcome, row.ordinal) for row in watching.rows] == [(Outcome.SKIPPED, 1)]
        assert loaded.reported.rejects is None

    @pytest.mark.parametrize("strict", [True, False])
    async def test_nothing_of_a_dry_run_stays(self, contacts: ContactStore, imports: Imports, strict: bool) -> None:
        table = await one(contacts)
        watching = Watching()
        asked = replace(ASKED, strict=strict, dry_run=True)
        bad = "" if strict else "x,,\n"
        loaded = await imports.run(table, "1,new,a\n2,two,b\n" + bad, asked, watching)
        assert loaded.ending is Ending.DRY
        assert loaded.counts == Counts(inserted=1, updated=1, rejected=len(bad) // 4)
        assert watching.settlement is None
        assert [contact.values for contact in await exported(contacts, table)] == [(1, "one", "a")]

    async def test_a_file_without_records_is_loaded(self, contacts: ContactStore, imports: Imports) -> None:
        table = await one(contacts)
        for strict in (True, False):
            loaded = await imports.run(table, "", Asked(columns=("ID",), strict=strict))
            assert (loaded.ending, loaded.counts) == (Ending.COMMITTED, Counts())

    @pytest.mark.parametrize(
        "of", [*(pytest.param(of, marks=pytest.mark.slow) for of in ("began", "proceeded", "reported")), "settled"]
    )
    async def test_whoever_watches_may_end_it_by_an_exception(
        self, contacts: ContactStore, imports: Imports, of: str
    ) -> None:
        table = await one(contacts)
        with imports.endless("x,,\n" + MANY) as (source, ended):
            if of == "settled":
                ended.set()
            with pytest.raises(Unhappy, match=of):
                await imports.run(table, source, replace(ASKED, strict=False), Watching(unhappy_with=of))
        assert [contact.values for contact in await exported(contacts, table)] == [(1, "one", "a")]

    @pytest.mark.parametrize("state", [ImportState.CHECKING, ImportState.LOADING])
    @pytest.mark.slow
    async def test_it_is_cancelled_at_once(self, contacts: ContactStore, imports: Imports, state: ImportState) -> None:
        """Although it waits for its file."""
        table = await one(contacts)
        watching = Watching(stop_in=state)
        asked = replace(ASKED, strict=state is ImportState.CHECKING)
        with imports.endless("x,,\n" + MANY) as (source, _):
            loaded = await imports.run(table, source, asked, watching)
        assert loaded.ending is Ending.CANCELLED
        assert watching.states == [state]
        assert loaded.counts == Counts(skipped=loaded.counts.skipped, rejected=1)
        assert loaded.counts.skipped > 0
        assert watching.settlement is None
        assert [each["ordinal"] for each in report_of(loaded.reported.report)] == list(watching.problems()) == [1]
        assert [contact.values for contact in await exported(contacts, table)] == [(1, "one", "a")]
        after = await imports.run(table, "2,two,b\n", ASKED)  # nothing is in its way
        assert after.counts == Counts(inserted=1)

    async def test_the_first_rejected_record_is_told_long_before_the_end(
        self, contacts: ContactStore, imports: Imports
    ) -> None:
        table = await one(contacts)
        with imports.endless("x,,\n" + MANY) as (source, ended):

            class Waiting(Watching):
                async def reported(self, rows: Sequence[RowReport]) -> None:
                    await super().reported(rows)
                    ended.set()

            loaded = await imports.run(table, source, replace(ASKED, strict=False, dry_run=True), Waiting())
        assert loaded.counts == Counts(inserted=MANY.count("\n"), rejected=1)

    @pytest.mark.slow
    async def test_a_task_that_is_cancelled_loads_nothing(self, contacts: ContactStore, imports: Imports) -> None:
        table = await one(contacts)

        class Settling(Watching):
            settling = asyncio.Event()

            async def settled(self, *_: Any) -> None:
                self.settling.set()
                await asyncio.Event().wait()

        watching = Settling()
        load = asyncio.create_task(imports.run(table, "2,two,b\n", ASKED, watching))
        await watching.settling.wait()
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        assert [contact.values for contact in await exported(contacts, table)] == [(1, "one", "a")]
        assert (await imports.run(table, "2,two,b\n", ASKED)).counts == Counts(inserted=1)
