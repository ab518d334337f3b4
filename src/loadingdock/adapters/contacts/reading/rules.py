"""What a column takes. The types, and their exact forms: docs/reference/csv.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """At most `max` code points, if it is given."""

    max: int | None = None


@dataclass(frozen=True, slots=True)
class Integer:
    """64 bits with a sign."""


@dataclass(frozen=True, slots=True)
class Decimal:
    """`precision` digits, `scale` of them after the point, which is a comma with `comma`. Never rounded."""

    precision: int
    scale: int
    comma: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.precision <= 38 and 0 <= self.scale <= self.precision):
            raise ValueError("a decimal has 1 to 38 digits, and no more of them after the point than in all")


@dataclass(frozen=True, slots=True)
class Boolean:
    """The words of either value, whatever their case."""

    true: tuple[str, ...] = ("true", "1", "yes")
    false: tuple[str, ...] = ("false", "0", "no")


@dataclass(frozen=True, slots=True)
class Date:
    """`formats` such as `DD/MM/YYYY`, of which the first that fits counts; without any, ISO 8601's `YYYY-MM-DD`."""

    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Datetime:
    """A moment. Where the value names no offset from UTC it is the time in `zone`, an IANA name."""

    formats: tuple[str, ...] = ()
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Email:
    """An address in ASCII, as mail servers take it: no comments, no quoted local part."""


@dataclass(frozen=True, slots=True)
class Phone:
    """E.164, or with `region` (ISO 3166, two letters) as it is dialled there; the value is E.164."""

    region: str | None = None


Type: TypeAlias = Text | Integer | Decimal | Boolean | Date | Datetime | Email | Phone


@dataclass(frozen=True, slots=True)
class ColumnRule:
    name: str
    type: Type
    required: bool = False
