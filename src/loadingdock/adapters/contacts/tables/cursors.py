"""Places in lists of contacts, opaque to clients."""

from __future__ import annotations

import json

from loadingdock.adapters.records import cursors
from loadingdock.core.contactvalues import parsed, spelled
from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.contacts import Contact, ContactTable
from loadingdock.core.model.pages import Page


def encode(table: ContactTable, contact: Contact, *, by_key: bool) -> str:
    values = []
    if by_key:
        places = {column.name: place for place, column in enumerate(table.visible)}
        values = [contact.values[places[name]] for name in table.key]
    said = json.dumps([None if value is None else spelled(value) for value in values], ensure_ascii=False)
    return cursors.encode(_of(table, by_key), table.company_id, (contact.row, said))


def decode(table: ContactTable, cursor: str, *, by_key: bool) -> Contact:
    """The number and, in its order, the key of the last one that was given out. Raises InvalidInput(field="cursor")."""
    row, said = cursors.decode(_of(table, by_key), table.company_id, cursor, (int, str))
    try:
        texts = json.loads(str(said))
        key = [
            None if text is None else parsed(column, text)
            for column, text in zip(table.key_columns if by_key else (), texts, strict=True)
        ]
    except (ValueError, TypeError, InvalidInput):  # of a key that the table had before
        raise InvalidInput("The cursor is of another order; begin at the first page again.", field="cursor") from None
    return Contact(int(row), tuple(key))


def _of(table: ContactTable, by_key: bool) -> str:
    return f"contacts:{table.number}:{'key' if by_key else 'row'}"


def page(table: ContactTable, found: list[Contact], limit: int, *, by_key: bool) -> Page[Contact]:
    """Of one more than asked for, which tells whether there is a next page."""
    if len(found) <= limit:
        return Page(tuple(found))
    return Page(tuple(found[:limit]), encode(table, found[limit - 1], by_key=by_key))
