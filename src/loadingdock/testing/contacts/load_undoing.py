"""A load is taken back row by row."""

from __future__ import annotations

import asyncio

import pytest

from loadingdock.core.contactmodel import Column, Kind
from loadingdock.core.contactports import ContactStore
from loadingdock.core.errors import NotFound
from loadingdock.core.loading import ContactLoader, Counts, Operation, Undone
from loadingdock.testing.contacts.load_material import Run, Runs, a_load
from loadingdock.testing.contacts.material import EVERY, ROWS, a_table, exported, filled


class UndoingContract(Runs):
    async def test_undone_it_is_as_it_was(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table(Column("N", Kind.INTEGER), *EVERY, key=("N",))
        put = await filled(contacts, table, [(n, *row) for n, row in enumerate(ROWS)])
        names = [column.name for column in table.columns]
        load = a_load(table, Operation.UPDINS, names, ["N"])
        assert (await run(load, [(n + 1, *row) for n, row in enumerate(ROWS)])).counts == Counts(1, 5)
        assert await asyncio.to_thread(loader.undo, table, load.number) == Undone(1, 5, ())
        assert await exported(contacts, table) == list(put)
        assert await contacts.examine(1, [table]) == ()
        with pytest.raises(NotFound):
            await asyncio.to_thread(loader.undo, table, load.number)

    async def test_what_was_changed_since_stays(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table(Column("A"), Column("B"), Column("C"), key=("A",))
        await filled(contacts, table, [(name, "old", None) for name in "abcd"])
        first = a_load(table, Operation.UPDINS, ["A", "B"], ["A"])
        await run(first, [(name, "new") for name in "abcdefg"])
        await run(a_load(table, Operation.UPALL, ["A", "C"], ["A"]), [("a", "since"), ("e", "since")])
        rows = {contact.values[0]: contact.row for contact in await exported(contacts, table)}
        await contacts.delete(table, rows["b"])
        await contacts.delete(table, rows["f"])
        undone = await asyncio.to_thread(loader.undo, table, first.number)
        assert (undone.removed, undone.restored) == (1, 2)
        assert [(each.row, each.key, each.why) for each in undone.conflicts] == [
            (rows["a"], ("a",), "changed"),
            (rows["b"], (), "gone"),
            (rows["e"], ("e",), "changed"),
        ]
        assert {contact.values for contact in await exported(contacts, table)} == {
            ("a", "new", "since"),
            ("c", "old", None),
            ("d", "old", None),
            ("e", "new", "since"),
        }

    async def test_a_value_that_another_one_has_by_now_is_not_given_back(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        table = a_table(Column("A"), Column("B", unique=True), key=("A",))
        await filled(contacts, table, [("x", "1"), ("y", "2")])
        first = a_load(table, Operation.UPALL, ["A", "B"], ["A"])
        await run(first, [("x", "3"), ("y", "4")])
        await run(a_load(table, Operation.INSALL, ["A", "B"]), [("z", "1")])
        undone = await asyncio.to_thread(loader.undo, table, first.number)
        assert undone.restored == 1
        assert [(each.key, each.why) for each in undone.conflicts] == [(("x",), "not_unique")]

    async def test_forgotten_it_cannot_be_undone(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table()
        await contacts.create(table)
        for undoable in (True, False):
            load = a_load(table, Operation.INSALL, ["NAME"], undoable=undoable)
            await run(load, [("x",)])
            await asyncio.to_thread(loader.forget, table, load.number)
            with pytest.raises(NotFound):
                await asyncio.to_thread(loader.undo, table, load.number)
