"""A table becomes another one whole or not at all, and what its rows contradict is told by row."""

from __future__ import annotations

from decimal import Decimal

import pytest

from loadingdock.core.contactchanges import ColumnChange
from loadingdock.core.errors import Conflict
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.material import a_table, change, exported, filled, found


class AlteringContract:
    async def values(self, contacts: ContactStore, table: ContactTable) -> list[tuple[object, ...]]:
        return [contact.values for contact in await exported(contacts, table)]

    async def test_a_column_is_added(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"))
        await filled(contacts, table, [("x",)])
        added = (Column("B", Kind.DECIMAL), Column("C", unique=True), Column("D", Kind.DATE))
        table = await change(contacts, table, added=added, key=("C",))
        assert await self.values(contacts, table) == [("x", None, None, None)]
        assert await contacts.standing(1, table.number) == {table.number: table}
        assert await contacts.examine(1, [table]) == ()

    async def test_columns_are_renamed_even_for_one_another(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"), Column("B", unique=True), Column("C"), key=("B",))
        await filled(contacts, table, [("a", "b", "c")])
        table = await change(
            contacts,
            table,
            columns={"A": ColumnChange(name="B"), "b": ColumnChange(name="A"), "C": ColumnChange(name="c")},
        )
        assert [column.name for column in table.columns] == ["B", "A", "c"]
        assert table.key == ("A",)
        assert await self.values(contacts, table) == [("a", "b", "c")]
        assert await contacts.find(table, ["b"])
        assert await contacts.examine(1, [table]) == ()

    async def test_a_retired_column_is_kept_and_comes_back(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"), Column("B", unique=True, required=True))
        await filled(contacts, table, [("a", "b")])
        table = await change(contacts, table, columns={"B": ColumnChange(retired=True)})
        assert await self.values(contacts, table) == [("a",)]
        assert await contacts.examine(1, [table]) == ()
        table = await change(contacts, table, columns={"B": ColumnChange(name="BACK", retired=False)})
        assert await self.values(contacts, table) == [("a", "b")]
        assert await contacts.examine(1, [table]) == ()

    async def test_numbers_are_widened(self, contacts: ContactStore) -> None:
        table = a_table(Column("N", Kind.INTEGER), Column("D", Kind.DECIMAL, precision=5, scale=2), key=("N",))
        await filled(contacts, table, [(7, Decimal("-123.45")), (None, None), (-8, Decimal("0.10"))])
        table = await change(
            contacts,
            table,
            columns={
                "N": ColumnChange(name="M", type=Column("", Kind.DECIMAL, precision=10, scale=3)),
                "D": ColumnChange(type=Column("", Kind.DECIMAL, precision=18, scale=4)),
            },
        )
        wide = [(Decimal("7.000"), Decimal("-123.4500")), (None, None), (Decimal("-8.000"), Decimal("0.1000"))]
        assert [tuple(map(str, row)) for row in await self.values(contacts, table)] == [
            tuple(map(str, r)) for r in wide
        ]
        assert await found(contacts, table, "M>=-8", "D<0") == [1]
        back = {"M": ColumnChange(type=Column("", Kind.INTEGER))}
        table = await change(contacts, table, columns=back)
        assert [row[0] for row in await self.values(contacts, table)] == [7, None, -8]
        assert await contacts.examine(1, [table]) == ()

    async def test_what_rows_contradict_is_refused(self, contacts: ContactStore) -> None:
        table = a_table(
            Column("A", max=9),
            Column("N", Kind.INTEGER),
            Column("D", Kind.DECIMAL, precision=9, scale=2),
        )
        rows = [("long enough"[:9], 1, Decimal("1.25")), ("same", 2**62, Decimal("1.00")), ("same", None, None)]
        put = await filled(contacts, table, rows)
        for changes, count, rows_told, said in (
            ({"A": ColumnChange(unique=True)}, 2, [2], "'same'"),
            ({"N": ColumnChange(required=True)}, 1, [3], "have no value for N"),
            ({"A": ColumnChange(type=Column("", Kind.TEXT, max=8))}, 1, [1], "more than 8 characters"),
            ({"D": ColumnChange(type=Column("", Kind.DECIMAL, precision=9, scale=1))}, 1, [1], "1.25"),
            ({"D": ColumnChange(type=Column("", Kind.INTEGER))}, 1, [1], "cannot hold"),
            ({"N": ColumnChange(type=Column("", Kind.DECIMAL, precision=18, scale=0))}, 1, [2], "cannot hold"),
            ({"N": ColumnChange(type=Column("", Kind.DECIMAL, precision=18, scale=18))}, 2, [1, 2], "cannot hold"),
        ):
            with pytest.raises(Conflict, match=said) as refused:
                await change(contacts, table, columns=changes)
            assert refused.value.facts == {"count": count, "rows": rows_told}
        with pytest.raises(Conflict, match="3 contacts would have no value for NEW"):
            await change(contacts, table, added=(Column("NEW", required=True),), name="other")
        assert await contacts.standing(1, table.number) == {table.number: table}
        assert await exported(contacts, table) == list(put)
        assert await contacts.examine(1, [table]) == ()

    async def test_a_key_that_two_share_is_refused(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"), Column("N", Kind.INTEGER), Column("D", Kind.DATE))
        await filled(contacts, table, [("same", 1, None), ("same", 1, None), (None, 2, None), (None, 2, None)])
        with pytest.raises(Conflict, match=r"2 contacts share their A, N with another one\. Rows: 1 \('same', '1'\)\."):
            await change(contacts, table, key=("A", "N"))
        assert (await change(contacts, table, key=("A", "D"))).key == ("A", "D")

    async def test_only_the_first_of_many_are_told(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"), Column("B"))
        await filled(contacts, table, [("x", None)] * 30)
        with pytest.raises(
            Conflict, match=r"30 contacts have no value for B\. Rows: 1, 2, 3, 4, 5, \.\.\.\."
        ) as refused:
            await change(contacts, table, columns={"B": ColumnChange(required=True)})
        assert refused.value.facts["count"] == 30

    async def test_of_two_who_alter_one_is_told(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"))
        await contacts.create(table)
        await change(contacts, table, added=(Column("B"),))
        with pytest.raises(Conflict, match="just been altered"):
            await change(contacts, table, added=(Column("C"),))
