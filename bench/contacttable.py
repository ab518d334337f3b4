"""The table that the contacts of every measurement go into, and what the reader checks of them."""

from __future__ import annotations

from collections.abc import Mapping

from bench.contactfile import KEY, REGION, TYPES
from loadingdock.adapters.contacts.importing.rules import column_rules
from loadingdock.adapters.contacts.reading.rules import ColumnRule
from loadingdock.core.contactspecs import of_type
from loadingdock.core.model.contacts import ContactTable
from loadingdock.testing.contacts.material import a_table

TABLE: ContactTable = a_table(
    *(of_type(type, name) for name, type in TYPES.items()), key=(KEY,), code="contacts", region=REGION
)
RULES: Mapping[str, ColumnRule] = column_rules(TABLE)
