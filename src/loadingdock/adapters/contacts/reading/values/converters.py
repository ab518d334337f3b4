"""Which converter reads a type."""

from __future__ import annotations

from typing import assert_never

from loadingdock.adapters.contacts.reading import rules
from loadingdock.adapters.contacts.reading.values.converting import Converter
from loadingdock.adapters.contacts.reading.values.dates import Dates, Datetimes
from loadingdock.adapters.contacts.reading.values.numbers import Decimals, Integers
from loadingdock.adapters.contacts.reading.values.texts import Booleans, Emails, Texts


def converter(kind: rules.Type) -> Converter:
    """Raises ValueError where a format, zone or region makes no sense."""
    match kind:
        case rules.Text():
            return Texts(kind)
        case rules.Integer():
            return Integers()
        case rules.Decimal():
            return Decimals(kind)
        case rules.Boolean():
            return Booleans(kind)
        case rules.Date():
            return Dates(kind)
        case rules.Datetime():
            return Datetimes(kind)
        case rules.Email():
            return Emails()
        case rules.Phone():
            from loadingdock.adapters.contacts.reading.values.phones import (
                Phones,
            )  # its tables take a tenth of a second

            return Phones(kind)
        case _:
            assert_never(kind)
