"""Where contact tables live: what is declared of them in the records, and the tables themselves beside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loadingdock.core.contactvalues import Wanted
from loadingdock.core.model.contacts import Contact, ContactTable, Value
from loadingdock.core.model.pages import Page


class ContactTables(Protocol):
    """What the records know of contact tables, bound to the unit's tenant."""

    async def get(self, code: str) -> ContactTable | None:
        """By its code, whatever its case."""
        ...

    async def list(self) -> tuple[ContactTable, ...]:
        """By their numbers."""
        ...

    async def add(self, table: ContactTable) -> ContactTable:
        """With the next number of the installation; that of `table` is none. Raises AlreadyExists."""
        ...

    async def save(self, table: ContactTable, *, was: int) -> bool:
        """Writes all of it if its version is still `was`; False, and nothing written, if it is not."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows in which order: by their numbers, or `by_key` with NULL first."""

    wanted: Wanted
    by_key: bool = False


PIECE = 5_000
"""Rows of a piece of a copy, at most."""


@dataclass(frozen=True, slots=True)
class KeptLoad:
    """A load that was committed, as its table remembers it. Rows that it put in have numbers above `above` and up to
    `upto`, which it has as long as it can be taken back. The texts are adapters' own words."""

    number: int
    counts: str
    changed: str
    above: int | None
    upto: int | None
    undone: str | None


@dataclass(frozen=True, slots=True)
class Former:
    """A row as it was before a load: the number of the load before that, and the values that it changed. `nulls` are
    adapters' own words for which of them were NULL."""

    row: int
    load: int | None
    nulls: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a copy of a table: contacts, or loads, or one load and rows as they were before it."""

    contacts: tuple[Contact, ...] = ()
    loads: tuple[KeptLoad, ...] = ()
    former: tuple[Former, ...] = ()


class ContactStore(Protocol):
    """The tables themselves: real ones, under the names that people gave, their values of the database's own types.

    Each knows how it was declared last, in the same transaction as it changed. That is what counts: where the records
    say less, they have not heard of it yet.

    Equality is that of bytes (texts are in NFC), order that of code points. A contact with NULL in its key equals no
    other one, so there may be many of them.

    Everything is asked of a table as the caller knows it. Raises Conflict if it is another one by now, and
    Unavailable("contacts") while somebody else changes it for longer than one waits.
    """

    async def standing(self, company_id: int, *numbers: int) -> Mapping[int, ContactTable]:
        """Of these tables each that was made, by its number, as it was made or altered last: in one look, however many
        they are."""
        ...

    async def create(self, table: ContactTable) -> None:
        """Makes it; nothing if it is there."""
        ...

    async def alter(self, table: ContactTable, was: ContactTable) -> None:
        """Makes `table` of what is `was`, whole or not at all. Raises Conflict where rows contradict it: how many, and
        which are the first."""
        ...

    async def count(self, table: ContactTable, wanted: Wanted) -> int: ...

    async def rows(self, table: ContactTable, asked: Asked, *, limit: int, cursor: str | None) -> Page[Contact]:
        """Cursors are opaque; one of another list raises InvalidInput(field="cursor")."""
        ...

    async def find(self, table: ContactTable, key: Sequence[Value]) -> Contact | None:
        """By the values of its key, in the key's order; none of them is NULL."""
        ...

    async def delete(self, table: ContactTable, row: int) -> bool:
        """For good, where the database can so that nothing of it is left in free space. False if there is none."""
        ...

    def copy(self, table: ContactTable) -> AsyncGenerator[Piece, None]:
        """All that there is of it, as it was at one moment: contacts by their numbers, then loads by theirs, then what
        rows were before each that can be taken back, by their numbers. Who stops before the end closes it."""
        ...

    async def put(self, table: ContactTable, contacts: Sequence[Contact]) -> None:
        """Adds rows under numbers that they have already, as a copy of the table brings them. Raises AlreadyExists."""
        ...

    async def keep(self, table: ContactTable, piece: Piece) -> None:
        """Adds the loads of a piece, unless they are known, and the rows as they were. No number that they have given
        to a row is given to another one."""
        ...

    async def undoable(self, table: ContactTable) -> int:
        """How many loads can be taken back."""
        ...

    async def remove(self, company_id: int) -> None:
        """All tables of a company, and whatever is in them: of a copy that did not come to its end."""
        ...

    def export(self, table: ContactTable, wanted: Wanted) -> AsyncGenerator[Sequence[Contact], None]:
        """All of them, by their numbers, as they were at one moment; some hundreds at a time. Who stops before the end
        closes it."""
        ...

    async def examine(self, company_id: int, tables: Sequence[ContactTable]) -> tuple[str, ...]:
        """Sentences about what is wrong with the company's tables: damaged, missing, other than declared, in nobody's
        list. `tables` are all that the records know."""
        ...

    async def close(self) -> None: ...
