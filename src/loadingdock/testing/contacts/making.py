"""Tables are made, once, under whatever names people gave; and looked at by who inspects."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import AlreadyExists, Conflict
from loadingdock.core.model.contacts import Column, ContactTable, Kind
from loadingdock.core.ports.contacts import ContactStore
from loadingdock.testing.contacts.material import EVERY, ROWS, a_table, contacts_of, exported, filled, found

HOSTILE = (
    'x"); DROP TABLE "victim"; --',
    "'; DROP TABLE victim; --",
    '"',
    '""',
    "`",
    "[x]",
    "\\",
    "%s",
    "$1",
    ":id",
    "?",
    "{0}",
    "select",
    "Größe (cm) 😀",
    " ",
    "ß" * 31,
)


class MakingContract:
    async def test_a_table_knows_how_it_was_declared(self, contacts: ContactStore) -> None:
        table = a_table(key=("EMAIL",), region="DE")
        assert await contacts.standing(table.company_id, table.number) == {}
        await contacts.create(table)
        other = a_table()
        await contacts.create(other)
        assert await contacts.standing(table.company_id, table.number) == {table.number: table}
        known = {table.number: table, other.number: other}
        assert await contacts.standing(table.company_id, *known, table.number + 10**6) == known
        assert await contacts.standing(table.company_id + 1, table.number) == {}

    async def test_making_it_again_changes_nothing(self, contacts: ContactStore) -> None:
        table = a_table()
        put = await filled(contacts, table)
        await contacts.create(table)
        assert await exported(contacts, table) == list(put)

    async def test_many_may_make_tables_at_once(self, contacts: ContactStore) -> None:
        """The first ones of a company too: what they lie in is made for one of them."""
        for company in range(1, 9):
            tables = [a_table(company=company) for _ in range(4)]
            await asyncio.gather(*(contacts.create(table) for table in tables for _ in range(2)))
            assert await contacts.examine(company, tables) == ()

    @pytest.mark.security(31)
    @pytest.mark.parametrize("name", HOSTILE)
    async def test_a_hostile_name_is_a_name(self, contacts: ContactStore, name: str) -> None:
        victim = a_table(code="victim")
        await filled(contacts, victim)
        table = a_table(Column(name, Kind.TEXT), Column("other", unique=True), code=name.replace("/", ""), key=(name,))
        put = await filled(contacts, table, [("a", "x"), (name, "y"), (None, None)])
        assert await exported(contacts, table) == list(put)
        assert await found(contacts, table, f"{name}={name}", search=name[:9], by_key=True) == [2]
        assert await contacts.find(table, [name]) == put[1]
        assert await contacts.delete(table, 2)
        assert len(await exported(contacts, victim)) == len(ROWS)
        assert await contacts.examine(1, [victim, table]) == ()

    @pytest.mark.parametrize("key", [(), ("NAME",), ("NAME", "AGE")])
    async def test_every_value_comes_back(self, contacts: ContactStore, key: tuple[str, ...]) -> None:
        table = a_table(key=key)
        put = await filled(contacts, table)
        assert await exported(contacts, table) == list(put)
        assert await contacts.count(table, Wanted()) == len(put)

    async def test_no_two_have_one_key_and_null_equals_nothing(self, contacts: ContactStore) -> None:
        table = a_table(Column("A"), Column("B", Kind.INTEGER), Column("C", Kind.DATE, unique=True), key=("A", "B"))
        await filled(contacts, table, [("x", 1, None), ("x", 2, None), ("X", 1, None), ("x", None, None)])
        await contacts.put(table, [replace(each, row=each.row + 4) for each in contacts_of([("x", None, None)] * 2)])
        with pytest.raises(AlreadyExists):
            await contacts.put(table, [replace(each, row=9) for each in contacts_of([("x", 2, None)])])
        assert await contacts.count(table, Wanted()) == 6

    async def test_companies_are_apart(self, contacts: ContactStore) -> None:
        one, other = a_table(company=1, code="same"), a_table(company=2, code="same")
        put = await filled(contacts, one)
        await contacts.create(other)
        assert await exported(contacts, other) == []
        assert await exported(contacts, one) == list(put)

    async def test_what_is_not_as_declared_is_told(self, contacts: ContactStore) -> None:
        table, lost = a_table(), a_table(code="lost")
        assert await contacts.examine(1, [table]) == (f"The contact table {table.code} is not there.",)
        await contacts.create(table)
        assert await contacts.examine(1, [table, replace(lost, version=0)]) == ()
        assert await contacts.examine(1, [table, lost]) == ("The contact table lost is not there.",)
        assert await contacts.examine(1, []) == (
            f"There is a contact table {table.code} that the records do not know.",
        )
        wrong = replace(table, columns=(*EVERY, Column("MORE", unique=True)))
        assert await contacts.examine(1, [wrong]) == (
            f"The contact table {table.code} has other columns than the records know.",
            f"The contact table {table.code} lacks its index _dock_{table.number}_8.",
        )
        assert await contacts.examine(1, [replace(table, version=2)]) == (
            f"The contact table {table.code} is at version 1, the records know 2.",
        )

    async def test_who_knows_an_older_table_is_told(self, contacts: ContactStore) -> None:
        table = a_table()
        await contacts.create(table)
        other: ContactTable = replace(table, version=2)
        for ask in (
            contacts.count(other, Wanted()),
            contacts.delete(other, 1),
            contacts.put(other, ()),
            exported(contacts, other),
            found(contacts, other),
        ):
            with pytest.raises(Conflict):
                await ask
