"""Tables and contacts to fill them with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from loadingdock.core.contactchanges import Change, altered
from loadingdock.core.contactvalues import wanted
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind, Value, checked
from loadingdock.core.ports.contacts import Asked, ContactStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_numbers = itertools.count(1)

EVERY = (
    Column("EMAIL", Kind.EMAIL),
    Column("NAME", Kind.TEXT, max=80),
    Column("AGE", Kind.INTEGER),
    Column("BALANCE", Kind.DECIMAL, precision=18, scale=2),
    Column("MEMBER", Kind.BOOLEAN),
    Column("BORN", Kind.DATE),
    Column("SEEN", Kind.DATETIME),
    Column("PHONE", Kind.PHONE),
)
"""A column of every kind."""

ROWS: tuple[tuple[Value, ...], ...] = (
    ("a@example.com", "Anna", 30, Decimal("12.50"), True, date(1996, 2, 29), NOW, "+49301234567"),
    ("b@example.com", 'B"; DROP', -(2**63), Decimal("-9999999999999999.99"), False, date(1, 1, 1), None, None),
    ("c@example.com", "ÄÖÜ 😀", 2**63 - 1, Decimal("0.00"), None, date(9999, 12, 31), NOW - timedelta(days=9), None),
    (None, None, None, None, None, None, None, None),
    ("d@example.com", "", 0, Decimal("0.01"), True, date(1970, 1, 1), datetime(1, 1, 1, tzinfo=UTC), "+1"),
    (None, "anna", 30, Decimal("9999999999999999.99"), False, None, datetime(9999, 12, 31, tzinfo=UTC), None),
)


def a_table(*columns: Column, company: int = 1, **fields: Any) -> ContactTable:
    number = next(_numbers)
    plain = ContactTable(company, number, f"list {number}", "", columns or EVERY, (), None, False, NOW, NOW, 1)
    return checked(replace(plain, **fields))


def contacts_of(rows: Sequence[Sequence[Value]]) -> tuple[Contact, ...]:
    return tuple(Contact(place, tuple(values)) for place, values in enumerate(rows, 1))


async def filled(
    contacts: ContactStore, table: ContactTable, rows: Sequence[Sequence[Value]] = ROWS
) -> tuple[Contact, ...]:
    await contacts.create(table)
    put = contacts_of(rows)
    await contacts.put(table, put)
    return put


async def change(contacts: ContactStore, table: ContactTable, **changes: Any) -> ContactTable:
    new = altered(table, Change(**changes), NOW)
    await contacts.alter(new, table)
    return new


async def found(
    contacts: ContactStore, table: ContactTable, *where: str, search: str | None = None, by_key: bool = False
) -> list[int]:
    """The numbers of the rows."""
    page = await contacts.rows(table, Asked(wanted(table, where, search), by_key), limit=1000, cursor=None)
    return [contact.row for contact in page.items]


async def exported(contacts: ContactStore, table: ContactTable, *where: str) -> list[Contact]:
    return [contact async for batch in contacts.export(table, wanted(table, where)) for contact in batch]
