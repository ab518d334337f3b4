"""A load is taken back row by row."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import pytest

from loadingdock.core.errors import NotFound
from loadingdock.core.loading import ContactLoader, Counts, Operation, Undone
from loadingdock.core.model.contacts import MOST_COLUMNS, Column, Kind
from loadingdock.core.ports.contacts import ContactStore, Piece
from loadingdock.testing.contacts.load_material import Run, Runs, a_load
from loadingdock.testing.contacts.material import EVERY, ROWS, a_table, exported, filled


class UndoingContract(Runs):
    async def test_loads_are_taken_back_one_after_the_other(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        table = a_table(Column("A"), Column("B"), Column("C", Kind.INTEGER), key=("A",))
        await filled(contacts, table, [("a", "old", None), ("b", None, 1), ("c", "old", 2)])
        stages = []
        for names, rows in (
            (["A", "B"], [("a", None), ("b", "new"), ("d", "new")]),
            (["C", "A"], [(7, "a"), (None, "b"), (7, "d"), (2, "c")]),
            (["A", "B", "C"], [("a", "old", None), ("b", None, 1), ("d", None, None), ("e", "x", 0)]),
        ):
            stages.append((a_load(table, Operation.UPDINS, names, ["A"]), await exported(contacts, table)))
            await run(stages[-1][0], rows)
        for load, before in reversed(stages):
            assert (await asyncio.to_thread(loader.undo, table, load.number)).conflicts == ()
            assert await exported(contacts, table) == before

    async def test_of_as_many_columns_as_there_may_be(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        columns = [Column(f"C{n}") for n in range(MOST_COLUMNS)]
        table, names = a_table(*columns, key=("C0",)), [column.name for column in columns]
        width = len(names) - 1
        put = await filled(contacts, table, [("a", *["x", None] * (width // 2), "x"), ("b", *[None] * width)])
        load = a_load(table, Operation.UPDINS, names, ["C0"])
        outcome = await run(load, [(name, *["y"] * width) for name in "abc"])
        assert outcome.counts == Counts(inserted=1, updated=2)
        assert await asyncio.to_thread(loader.undo, table, load.number) == Undone(1, 2, ())
        assert await exported(contacts, table) == list(put)

    async def test_what_was_altered_since_is_not_what_it_was(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        table = a_table(Column("A"), Column("N", Kind.DECIMAL, precision=6, scale=1), Column("T", max=3), key=("A",))
        put = await filled(contacts, table, [("a", Decimal("1.5"), "x"), ("b", Decimal("2.5"), "x")])
        numbers = a_load(table, Operation.UPDINS, ["A", "N"], ["A"])
        await run(numbers, [("a", Decimal("7.5")), ("b", None), ("c", Decimal("7.5"))])
        texts = a_load(table, Operation.UPALL, ["A", "T"], ["A"])
        await run(texts, [("b", "y")])
        columns = (table.columns[0], replace(table.columns[1], scale=2), replace(table.columns[2], name="U", max=5))
        later = replace(table, version=2, columns=(*columns, Column("D", Kind.DATE)))
        await contacts.alter(later, table)
        assert await asyncio.to_thread(loader.undo, later, texts.number) == Undone(0, 1, ())
        undone = await asyncio.to_thread(loader.undo, later, numbers.number)
        assert (undone.removed, undone.restored) == (1, 0)
        assert [(each.row, each.why) for each in undone.conflicts] == [(each.row, "changed") for each in put]
        assert [contact.values for contact in await exported(contacts, later)] == [
            ("a", Decimal("7.50"), "x", None),
            ("b", None, "x", None),
        ]

    async def test_a_column_gets_nothing_back_that_it_would_not_take_by_now(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        columns = Column("A"), Column("T", max=9), Column("N", Kind.DECIMAL, precision=6, scale=2), Column("R")
        table = a_table(*columns, key=("A",))
        long, high, none, fits = (
            ("long", "too long", Decimal("1.00"), "r"),
            ("high", "t", Decimal("-100.00"), "r"),
            ("none", "t", Decimal("1.00"), None),
            ("fits", "ttt", Decimal("99.99"), "r"),
        )
        put = await filled(contacts, table, [long, high, none, fits])
        load = a_load(table, Operation.UPDINS, ["A", "T", "N", "R"], ["A"])
        await run(load, [(values[0], "new", Decimal("2.00"), "new") for values in (long, high, none, fits)])
        narrowed = (
            table.columns[0],
            replace(table.columns[1], max=3),
            replace(table.columns[2], precision=4),
            replace(table.columns[3], required=True),
        )
        later = replace(table, version=2, columns=narrowed)
        await contacts.alter(later, table)
        undone = await asyncio.to_thread(loader.undo, later, load.number)
        assert (undone.removed, undone.restored) == (0, 1)
        assert [(each.row, each.why) for each in undone.conflicts] == [(each.row, "changed") for each in put[:3]]
        assert [contact.values for contact in await exported(contacts, later)] == [
            *((values[0], "new", Decimal("2.00"), "new") for values in (long, high, none)),
            fits,
        ]

    async def test_undone_it_is_as_it_was(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table(Column("N", Kind.INTEGER), *EVERY, key=("N",))
        put = await filled(contacts, table, [(n, *row) for n, row in enumerate(ROWS)])
        names = [column.name for column in table.columns]
        load = a_load(table, Operation.UPDINS, names, ["N"])
        assert (await run(load, [(n + 1, *row) for n, row in enumerate(ROWS)])).counts == Counts(1, 5)
        assert await asyncio.to_thread(loader.undo, table, load.number) == Undone(1, 5, ())
        assert await exported(contacts, table) == list(put)
        assert await contacts.examine(1, [table]) == ()
        assert await asyncio.to_thread(loader.undo, table, load.number) == Undone(1, 5, ())
        assert await exported(contacts, table) == list(put)

    async def test_no_number_is_given_twice(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        """Or what one load has put in would be taken back with another."""
        table = a_table(Column("A"), key=("A",))
        await contacts.create(table)
        first = a_load(table, Operation.INSALL, ["A"])
        outcome = await run(first, [(name,) for name in ("a", "b", "c", "d", "b", "e", "f", "g")])
        assert outcome.counts == Counts(inserted=7, rejected=1)
        before = await exported(contacts, table)
        assert [contact.values[0] for contact in before] == list("abcdefg")
        assert len({contact.row for contact in before}) == 7
        await contacts.delete(table, before[-1].row)
        await run(a_load(table, Operation.INSALL, ["A"]), [(name,) for name in "hijkl"])
        updating = a_load(table, Operation.UPDINS, ["A"], ["A"])
        await run(updating, [("m",)])
        numbers = [contact.row for contact in await exported(contacts, table)]
        assert numbers == sorted(numbers)
        assert min(numbers[6:]) > before[-1].row
        assert (await asyncio.to_thread(loader.undo, table, first.number)).removed == 6
        assert [contact.values[0] for contact in await exported(contacts, table)] == list("hijklm")

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

    async def test_what_it_did_is_told_to_whoever_asks_again(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        """The one who asked first may be gone. More rows are left than are asked for at once."""
        table, some = a_table(Column("N", Kind.INTEGER), Column("B"), key=("N",)), range(1_200)
        put = await filled(contacts, table, [(n, "old") for n in some])
        load = a_load(table, Operation.UPDINS, ["N", "B"], ["N"])
        await run(load, [(n, "new") for n in range(1_500)], size=700)
        await run(a_load(table, Operation.UPALL, ["N", "B"], ["N"]), [(n, "since") for n in some[100:]], size=700)
        await contacts.delete(table, put[0].row)
        await contacts.delete(table, put[200].row)
        first = await asyncio.to_thread(loader.undo, table, load.number)
        assert (first.removed, first.restored) == (300, 99)
        assert Counter(each.why for each in first.conflicts) == {"changed": 1_099, "gone": 2}
        rows = await exported(contacts, table)
        await run(a_load(table, Operation.UPALL, ["N", "B"], ["N"]), [(n, "later") for n in some], size=700)
        assert await asyncio.to_thread(loader.undo, table, load.number) == first
        assert [contact.values[1] for contact in await exported(contacts, table)] == ["later"] * len(rows)
        await contacts.delete(table, put[300].row)
        again = await asyncio.to_thread(loader.undo, table, load.number)
        assert [each for each in again.conflicts if each.row != put[300].row] == [
            each for each in first.conflicts if each.row != put[300].row
        ]
        assert [(each.key, each.why) for each in again.conflicts if each.row == put[300].row] == [((), "changed")]

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

    async def test_it_is_taken_back_in_a_copy_of_the_table(
        self, contacts: ContactStore, run: Run, loader: ContactLoader
    ) -> None:
        table = a_table(Column("N", Kind.INTEGER), *EVERY, key=("N",))
        copy = replace(table, company_id=2)
        put = await filled(contacts, table, [(n, *row) for n, row in enumerate(ROWS)])
        assert await contacts.undoable(table) == 0
        load = a_load(table, Operation.UPDINS, [column.name for column in table.columns], ["N"])
        await run(load, [(n + 1, *row) for n, row in enumerate(ROWS)])
        await contacts.create(copy)
        pieces = [piece async for piece in contacts.copy(table)]
        assert [(len(each.contacts), len(each.loads), len(each.former)) for each in pieces] == [
            (7, 0, 0),
            (0, 1, 0),
            (0, 1, 5),
        ]
        for piece in pieces:
            await contacts.put(copy, piece.contacts)
            await contacts.keep(copy, piece)
        assert [piece async for piece in contacts.copy(copy)] == pieces
        assert await contacts.undoable(copy) == await contacts.undoable(table) == 1
        assert await asyncio.to_thread(loader.undo, copy, load.number) == Undone(1, 5, ())
        assert await exported(contacts, copy) == list(put)
        assert (await contacts.undoable(copy), await contacts.undoable(table)) == (0, 1)

    async def test_a_copy_is_of_one_moment(self, contacts: ContactStore, run: Run) -> None:
        """What is committed meanwhile is in it neither as contacts nor as a load."""
        table = a_table(Column("A"), Column("B"), key=("A",))
        put = await filled(contacts, table, [("a", "old")])
        await run(a_load(table, Operation.UPDINS, ["A", "B"], ["A"]), [("a", "new")])
        whole = [piece async for piece in contacts.copy(table)]
        (known,) = whole[1].loads
        async with aclosing(contacts.copy(table)) as pieces:
            begun = await anext(pieces)
            await contacts.put(table, [replace(put[0], row=7, values=("b", None))])
            await contacts.keep(table, Piece(loads=(replace(known, number=known.number + 1_000, changed="[]"),)))
            assert [begun, *[piece async for piece in pieces]] == whole
        later = [piece async for piece in contacts.copy(table)]
        assert (len(later[0].contacts), len(later[1].loads)) == (2, 2)

    async def test_forgotten_it_cannot_be_undone(self, contacts: ContactStore, run: Run, loader: ContactLoader) -> None:
        table = a_table()
        await contacts.create(table)
        for undoable in (True, False):
            load = a_load(table, Operation.INSALL, ["NAME"], undoable=undoable)
            await run(load, [("x",)])
            await asyncio.to_thread(loader.forget, table, load.number)
            with pytest.raises(NotFound):
                await asyncio.to_thread(loader.undo, table, load.number)
