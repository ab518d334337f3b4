"""Rows found, in order, page by page; exported at one moment; deleted by number."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from loadingdock.core.contactvalues import Wanted, wanted
from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind
from loadingdock.core.ports.contacts import Asked, ContactStore
from loadingdock.testing.contacts.material import ROWS, a_table, exported, filled, found


class ReadingContract:
    @pytest.mark.parametrize(
        ("where", "rows"),
        [
            (("EMAIL=a@example.com",), [1]),
            (("email^=a@",), [1]),
            (("NAME^=A",), [1]),
            (("NAME^=Ä",), [3]),
            (("NAME^=",), [1, 2, 3, 5, 6]),
            (("NAME=",), [5]),
            (("NAME>a",), [3, 6]),
            (("AGE=30",), [1, 6]),
            (("AGE>=30", "AGE<31"), [1, 6]),
            ((f"AGE<={-(2**63)}",), [2]),
            ((f"AGE>={2**63 - 1}",), [3]),
            (("AGE is null",), [4]),
            (("AGE is not null", "NAME^=B"), [2]),
            (("BALANCE=12.5",), [1]),
            (("BALANCE<0.01",), [2, 3]),
            (("BALANCE>9999999999999999.98",), [6]),
            (("MEMBER=true",), [1, 5]),
            (("MEMBER=false",), [2, 6]),
            (("BORN=1996-02-29",), [1]),
            (("BORN<0001-01-02",), [2]),
            (("BORN>1996-02-29",), [3]),
            (("SEEN=2026-01-02T03:04:05.678901Z",), [1]),
            (("SEEN=2026-01-02T04:04:05.678901+01:00",), [1]),
            (("SEEN<2026-01-02",), None),
            (("SEEN<2026-01-02T00:00:00",), [3, 5]),
            (("PHONE^=+49",), [1]),
            (('NAME^=B"; DROP',), [2]),
            (("NOTHING=1",), None),
            (("AGE^=3",), None),
            (("AGE=x",), None),
            (("MEMBER>false",), None),
            (("BALANCE=1.234",), None),
        ],
    )
    async def test_rows_are_found(self, contacts: ContactStore, where: tuple[str, ...], rows: list[int] | None) -> None:
        table = a_table()
        await filled(contacts, table)
        if rows is None:
            with pytest.raises(InvalidInput):
                await found(contacts, table, *where)
            return
        assert await found(contacts, table, *where) == rows
        assert await contacts.count(table, wanted(table, where)) == len(rows)
        assert [contact.row for contact in await exported(contacts, table, *where)] == rows

    @pytest.mark.parametrize(
        ("text", "rows"),
        [("anna", [1, 6]), ("ANNA", [1, 6]), ("Ö", [3]), ("ö", []), ("%", []), ("_", []), ("@EXAMPLE", [1, 2, 3, 5])],
    )
    async def test_texts_are_searched(self, contacts: ContactStore, text: str, rows: list[int]) -> None:
        table = a_table()
        await filled(contacts, table)
        assert await found(contacts, table, search=text) == rows

    async def test_no_text_is_found_where_there_is_none(self, contacts: ContactStore) -> None:
        table = a_table(Column("N", Kind.INTEGER))
        await filled(contacts, table, [(1,)])
        assert await found(contacts, table, search="1") == []

    @pytest.mark.parametrize("key", [("NAME",), ("AGE", "NAME"), ("MEMBER", "BORN", "BALANCE"), ("SEEN", "EMAIL")])
    async def test_pages_in_the_order_of_the_key(self, contacts: ContactStore, key: tuple[str, ...]) -> None:
        table = a_table(key=key)
        put = await filled(contacts, table)
        places = [[column.name for column in table.columns].index(name) for name in key]

        def place(contact: Contact) -> tuple[Any, ...]:
            """NULL first, then by value, then by number."""
            values = [contact.values[each] for each in places]
            return (*((False, 0) if value is None else (True, value) for value in values), contact.row)

        ordered = [contact.row for contact in sorted(put, key=place)]
        assert await found(contacts, table, by_key=True) == ordered
        for limit in (1, 2, 5):
            assert [
                contact.row for contact in await self.pages(contacts, Asked(Wanted(), True), limit, table)
            ] == ordered

    async def pages(self, contacts: ContactStore, asked: Asked, limit: int, table: ContactTable) -> list[Contact]:
        rows: list[Contact] = []
        cursor = None
        while True:
            page = await contacts.rows(table, asked, limit=limit, cursor=cursor)
            assert 0 < len(page.items) <= limit
            rows += page.items
            if (cursor := page.cursor) is None:
                return rows

    async def test_pages_by_number(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"), key=("A",))
        put = await filled(contacts, table, [(str(number),) for number in range(25)])
        pages = await self.pages(contacts, Asked(wanted(table, ["A<5"])), 4, table)
        assert pages == [contact for contact in put if str(contact.values[0]) < "5"]

    async def test_a_cursor_belongs_to_its_list(self, contacts: ContactStore) -> None:
        one, other = a_table(Column("A"), key=("A",)), a_table(Column("A"), key=("A",))
        for table in (one, other):
            await filled(contacts, table, [("a",), ("b",)])
        page = await contacts.rows(one, Asked(Wanted()), limit=1, cursor=None)
        assert page.cursor
        for table, by_key, cursor in ((other, False, page.cursor), (one, True, page.cursor), (one, False, "x")):
            with pytest.raises(InvalidInput) as refused:
                await contacts.rows(table, Asked(Wanted(), by_key), limit=1, cursor=cursor)
            assert refused.value.field == "cursor"

    async def test_one_is_found_and_deleted(self, contacts: ContactStore) -> None:
        table = a_table(key=("NAME", "BORN"))
        put = await filled(contacts, table)
        key = [ROWS[0][1], ROWS[0][5]]
        assert await contacts.find(table, key) == put[0]
        assert await contacts.find(table, ["Anna", ROWS[1][5]]) is None
        assert await contacts.delete(table, 1)
        assert not await contacts.delete(table, 1)
        assert await contacts.find(table, key) is None
        assert await exported(contacts, table) == list(put[1:])

    async def test_an_export_is_of_one_moment(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"))
        put = await filled(contacts, table, [(str(number),) for number in range(1500)])
        export = contacts.export(table, Wanted())
        rows = list(await anext(export))
        assert len(rows) < len(put)
        await contacts.delete(table, 1500)
        async for batch in export:
            rows += batch
        assert rows == list(put)
        assert await contacts.count(table, Wanted()) == 1499

    async def test_who_stops_an_export_leaves_nothing_behind(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"))
        await filled(contacts, table, [(str(number),) for number in range(1500)])
        for _ in range(12):
            export = contacts.export(table, Wanted())
            await anext(export)
            await export.aclose()
        assert await contacts.delete(table, 1)

    async def test_many_ask_at_once(self, contacts: ContactStore) -> None:
        table = a_table(key=("EMAIL",))
        await filled(contacts, table)
        asked = (found(contacts, table, "AGE=30") for _ in range(30))
        assert await asyncio.gather(*asked) == [[1, 6]] * 30
