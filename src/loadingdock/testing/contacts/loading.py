"""What every ContactLoader has to keep.

A test module subclasses `LoadingContract` and gives the fixtures `contacts`, a fresh ContactStore; `loader`, a
ContactLoader for the same tables; and `batch_of`, which makes a batch of a table's columns, of rows of values and of
their ordinals.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from loadingdock.core.errors import Conflict, InvalidInput
from loadingdock.core.loading import (
    AMBIGUOUS,
    DUPLICATE,
    NOT_UNIQUE,
    REQUIRED,
    ContactLoader,
    Counts,
    Ending,
    Operation,
    Outcome,
)
from loadingdock.core.model.contacts import Column, Kind
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.load_material import BatchOf, Run, Told, a_load
from loadingdock.testing.contacts.load_model import ModelContract
from loadingdock.testing.contacts.load_undoing import UndoingContract
from loadingdock.testing.contacts.material import EVERY, ROWS, a_table, exported, filled

__all__ = ["BatchOf", "LoadingContract"]


class LoadingContract(ModelContract, UndoingContract):
    @pytest.mark.parametrize("operation", Operation)
    async def test_every_value_is_loaded_as_it_is(self, contacts: ContactStore, run: Run, operation: Operation) -> None:
        table = a_table(Column("N", Kind.INTEGER), *EVERY, key=("N",))
        await contacts.create(table)
        names = [column.name for column in table.columns]
        rows = [(n, *row) for n, row in enumerate(ROWS)]
        first = Operation.INSALL if operation is Operation.UPALL else operation
        outcome = await run(a_load(table, first, names, ["N"]), rows)
        assert outcome == Outcome(Ending.COMMITTED, Counts(inserted=len(rows)))
        other = [(n, *reversed_) for (n, *_), (_, *reversed_) in zip(rows, rows[::-1], strict=True)]
        if operation in {Operation.UPDINS, Operation.UPALL}:
            assert (await run(a_load(table, operation, names, ["N"]), other)).counts == Counts(updated=len(rows))
            rows = other
        loaded = await exported(contacts, table)
        assert sorted(contact.values for contact in loaded) == rows
        assert await contacts.examine(1, [table]) == ()

    async def test_again_and_nothing_changes(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(key=("EMAIL",))
        put = await filled(contacts, table)
        names = [column.name for column in table.columns]
        outcome = await run(a_load(table, Operation.UPDINS, names, ["EMAIL"]), ROWS)
        without = sum(row[0] is None for row in ROWS)
        assert outcome.counts == Counts(inserted=without, unchanged=len(ROWS) - without)
        assert (await exported(contacts, table))[: len(put)] == list(put)

    async def test_an_update_changes_what_the_file_brings(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(Column("A"), Column("B"), Column("C"), key=("A",))
        await filled(contacts, table, [("x", "b", "c"), ("y", "b", "c")])
        assert (
            await run(a_load(table, Operation.UPALL, ["c", "a"], ["a"]), [("new", "x"), (None, "y")])
        ).counts == Counts(updated=2)
        assert [contact.values for contact in await exported(contacts, table)] == [("x", "b", "new"), ("y", "b", None)]

    async def test_the_last_of_a_key_wins_wherever_it_is(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(Column("A"), Column("B", Kind.INTEGER), key=("A",))
        await filled(contacts, table, [("x", 0)])
        told = Told()
        rows = [("x", 1), ("y", 1), ("x", 2), ("y", 2), (None, 3), (None, 3), ("x", 9), ("z", 1)]
        assert (await run(a_load(table, Operation.UPDINS, ["A", "B"], ["A"]), rows, told, 2)).counts == Counts(
            4, 1, 0, 3, 0
        )
        assert told.skips == {1: DUPLICATE, 2: DUPLICATE, 3: DUPLICATE}
        assert next(iter(await exported(contacts, table))).values == ("x", 9)
        assert told.progress[-1] == told.settlement

    @pytest.mark.parametrize("strict", [False, True])
    async def test_what_only_one_may_have_is_told_by_record(
        self, contacts: ContactStore, run: Run, strict: bool
    ) -> None:
        table = a_table(Column("A"), Column("B", unique=True), key=("A",))
        put = await filled(contacts, table, [("x", "taken")])
        told = Told()
        rows = [("1", "taken"), ("2", "new"), ("3", "new"), ("4", None), ("x", None), ("5", None)]
        outcome = await run(a_load(table, Operation.INSALL, ["A", "B"], strict=strict), rows, told)
        assert outcome.counts == Counts(inserted=3, rejected=3)
        assert told.rejections == {1: (NOT_UNIQUE, "B"), 3: (NOT_UNIQUE, "B"), 5: (NOT_UNIQUE, "A")}
        assert [row.reason for row in told.refusals] == [
            "The contact of row 1 has this B already.",
            "Record 2 of the file has this B already.",
            "The contact of row 1 has this A already.",
        ]
        assert outcome.ending is (Ending.REFUSED if strict else Ending.COMMITTED)
        assert (await exported(contacts, table) == list(put)) is strict

    async def test_no_row_is_named_that_the_load_itself_put_in(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(Column("A"), Column("B", unique=True))
        await contacts.create(table)
        told = Told()
        rows = [(f"{n}", f"{n}") for n in range(6)] + [("late", "0")]
        outcome = await run(a_load(table, Operation.INSALL, ["A", "B"], strict=True), rows, told)
        assert (outcome.ending, told.rejections) == (Ending.REFUSED, {7: (NOT_UNIQUE, "B")})
        assert [row.reason for row in told.refusals] == ["An earlier record of the file has this B already."]

    async def test_a_key_that_several_contacts_have_names_none(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(Column("A"), Column("B"))
        await filled(contacts, table, [("x", "1"), ("x", "2"), ("y", "1")])
        told = Told()
        load = a_load(table, Operation.UPDINS, ["A", "B"], ["A"])
        assert (await run(load, [("x", "new"), ("y", "new")], told)).counts == Counts(updated=1, rejected=1)
        assert told.rejections == {1: (AMBIGUOUS, "A")}

    async def test_new_contacts_have_all_that_is_required(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(Column("A"), Column("B", required=True), Column("C"), key=("A",))
        await filled(contacts, table, [("x", "b", None)])
        told = Told()
        load = a_load(table, Operation.UPDINS, ["A", "C"], ["A"])
        assert (await run(load, [("x", "c"), ("y", "c")], told)).counts == Counts(updated=1, rejected=1)
        assert told.rejections == {2: (REQUIRED, "B")}
        assert (await run(a_load(table, Operation.INSALL, ["A"]), [("z",)])).counts == Counts(rejected=1)

    async def test_an_empty_value_that_leaves_what_is_there_is_none_for_a_new_contact(
        self, contacts: ContactStore, run: Run
    ) -> None:
        table = a_table(Column("A"), Column("B", required=True), Column("C"), key=("A",))
        await filled(contacts, table, [("x", "b", None)])
        records = [("x", None, "c"), ("y", None, "c"), ("z", "b", "c")]
        for operation, counts, rejections in (
            (Operation.UPDINS, Counts(inserted=1, updated=1, rejected=1), {2: (REQUIRED, "B")}),
            (Operation.UPALL, Counts(updated=1, unchanged=1, skipped=1), {}),
        ):
            told = Told()
            load = a_load(table, operation, ["A", "B", "C"], ["A"], ignore_empty=True)
            assert (await run(load, records, told)).counts == counts
            assert told.rejections == rejections
            records[0] = ("x", None, "d")
        values = [contact.values for contact in await exported(contacts, table)]
        assert values == [("x", "b", "d"), ("z", "b", "c")]

    async def test_nothing_of_a_dry_run_stays(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(key=("EMAIL",))
        put = await filled(contacts, table)
        load = a_load(table, Operation.UPDINS, ["EMAIL", "NAME"], ["EMAIL"], dry_run=True)
        outcome = await run(load, [("a@example.com", "other"), ("new@example.com", None)])
        assert outcome == Outcome(Ending.DRY, Counts(1, 1))
        assert await exported(contacts, table) == list(put)

    async def test_it_ends_before_the_next_batch(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table()
        put = await filled(contacts, table)
        load = a_load(table, Operation.INSALL, ["NAME"])
        told = Told(stop_at=2)
        assert await run(load, [("x",)] * 10, told) == Outcome(Ending.CANCELLED, Counts(inserted=6))
        assert told.settlement is None
        assert await exported(contacts, table) == list(put)
        assert await asyncio.to_thread(loader.committed, table, load.number) is None

    async def test_an_exception_of_whoever_watches_rolls_back(self, contacts: ContactStore, run: Run) -> None:
        table = a_table()
        await contacts.create(table)

        class Full(Told):
            def settled(self, counts: Counts) -> None:
                raise OSError("no room for the report")

        with pytest.raises(OSError, match="no room"):
            await run(a_load(table, Operation.INSALL, ["NAME"]), [("x",)], Full())
        assert await exported(contacts, table) == []

    async def test_a_load_is_applied_once(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table()
        await contacts.create(table)
        load = a_load(table, Operation.INSALL, ["NAME"])
        for _ in range(2):
            assert await run(load, [("x",), ("y",)]) == Outcome(Ending.COMMITTED, Counts(inserted=2))
        assert len(await exported(contacts, table)) == 2
        assert await asyncio.to_thread(loader.committed, table, load.number) == Counts(inserted=2)

    async def test_a_commit_under_way_is_waited_for(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        table = a_table()
        await contacts.create(table)
        settling, go_on = threading.Event(), threading.Event()

        class Stopped(Told):
            def settled(self, counts: Counts) -> None:
                settling.set()
                go_on.wait()

        load = a_load(table, Operation.INSALL, ["NAME"])
        loading = asyncio.ensure_future(run(load, [("x",)], Stopped()))
        try:
            await asyncio.to_thread(settling.wait)
            asking = asyncio.create_task(asyncio.to_thread(loader.committed, table, load.number))
            assert (await asyncio.wait({asking}, timeout=0.3))[0] == set()
        finally:
            go_on.set()
        assert await asking == (await loading).counts == Counts(inserted=1)

    async def test_what_cannot_be_asked_is_refused(self, contacts: ContactStore, run: Run) -> None:
        table = a_table(key=("EMAIL",))
        await contacts.create(table)
        for columns, key in ((["NAME"], ["EMAIL"]), (["NAME"], []), (["NAME", "name"], ["NAME"]), ([], [])):
            with pytest.raises(InvalidInput):
                await run(a_load(table, Operation.UPDINS, columns, key), [])
        with pytest.raises(Conflict):
            await run(a_load(replace(table, version=9), Operation.INSALL, ["NAME"]), [])
