"""Contact tables: declared, altered, read, exported; and one contact found, shown or forgotten on request.

A table is two things: what the records know of it, and the table itself beside. It is declared in the records first and
then made; it is altered first and then written down. So of a change that was cut short either nothing is there or the
table knows more than the records, and whoever uses it next finishes what was begun.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loadingdock.core.audit import entry
from loadingdock.core.contactchanges import Change, altered
from loadingdock.core.contactvalues import Wanted, parsed
from loadingdock.core.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Sealed, Unavailable
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import Column, Contact, ContactTable, Kind, Value, checked
from loadingdock.core.model.identity import Principal
from loadingdock.core.model.pages import Page
from loadingdock.core.permissions import ADMIN, holds, permit
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.contacts import Asked, ContactStore
from loadingdock.core.ports.records import Records, Unit

READ, LOAD = "contacts:read", "contacts:load"
MOST_TABLES = 1000  # of a company


class Contacts:
    """`readable` raises ValueError, with what is wrong, for a format of dates that nothing can be read by."""

    def __init__(
        self, records: Records, store: ContactStore, clock: Clock, *, readable: Callable[[str], object]
    ) -> None:
        self._records = records
        self._store = store
        self._clock = clock
        self._readable = readable

    # --- tables ----------------------------------------------------------------------------------

    async def create(
        self,
        principal: Principal,
        code: str,
        columns: Sequence[Column],
        *,
        name: str = "",
        key: Sequence[str] = (),
        region: str | None = None,
        ignore_empty: bool = False,
    ) -> ContactTable:
        """Raises InvalidInput for what cannot be, AlreadyExists, Forbidden."""
        permit(principal, ADMIN)
        now = self._clock.now()
        table = self._checked(
            ContactTable(
                principal.company.id, 0, code, name, tuple(columns), tuple(key), region, ignore_empty, now, now
            )
        )

        async def work(unit: Unit) -> ContactTable:
            there = await unit.tables.get(table.code)
            if there is None:
                if len(await unit.tables.list()) >= MOST_TABLES:
                    raise Conflict(f"A company has at most {MOST_TABLES} contact tables.")
                added = await unit.tables.add(table)
            else:
                # One that was declared and never made, as when there was no room for it.
                added = replace(table, number=there.number, code=there.code, created_at=there.created_at)
                if not await unit.tables.save(added, was=0):
                    raise AlreadyExists(f"The table {there.code}")
            await unit.audit.add(entry(principal, "table.create", added.code, "ok", now))
            return added

        declared = await self._records.write(principal.company.id, work)
        made = await self._make(declared)
        if replace(made, version=0) != declared:
            raise AlreadyExists(f"The table {made.code}")  # somebody else declared it at the same moment
        return made

    async def tables(self, principal: Principal) -> tuple[ContactTable, ...]:
        """By their numbers."""
        self._may_look(principal)
        found = await self._records.read(principal.company.id, _list)
        standing = await self._standing(found)
        return tuple([await self._current(table, standing.get(table.number)) for table in found])

    async def table(self, principal: Principal, code: str) -> ContactTable:
        """By its code, whatever its case. Raises NotFound("table")."""
        self._may_look(principal)
        table = await self._records.read(principal.company.id, lambda unit: unit.tables.get(code))
        if table is None:
            raise NotFound("table")
        return await self._current(table, (await self._standing((table,))).get(table.number))

    async def alter(self, principal: Principal, code: str, change: Change) -> ContactTable:
        """All of it or nothing. Raises InvalidInput for what cannot be, and Conflict for what rows contradict, with how
        many there are and which are the first."""
        permit(principal, ADMIN)
        was = await self.table(principal, code)
        table = self._checked(altered(was, change, self._clock.now()))
        await self._unsealed()
        await self._store.alter(table, was)
        detail = f"version {table.version}"

        async def work(unit: Unit) -> None:
            await unit.tables.save(table, was=was.version)  # False: who used it next has done so
            await unit.audit.add(entry(principal, "table.alter", table.code, "ok", table.changed_at, detail))

        await self._records.write(table.company_id, work)
        return table

    def _checked(self, table: ContactTable) -> ContactTable:
        table = checked(table)
        for column in table.columns:
            for text in column.formats if column.kind is not Kind.BOOLEAN else ():
                try:
                    self._readable(text)
                except ValueError as error:
                    raise InvalidInput(f"{column.name}: {error}.", field=column.name) from None
        return table

    async def _standing(self, tables: Sequence[ContactTable]) -> Mapping[int, ContactTable]:
        """Of tables of one company."""
        return await self._store.standing(tables[0].company_id, *(each.number for each in tables)) if tables else {}

    async def _current(self, table: ContactTable, standing: ContactTable | None) -> ContactTable:
        """As it really is: what a change that was cut short left over is done now."""
        if standing is None:
            if table.version:
                raise Unavailable("contact table", retry_after=60, why=f"{table.code} is not there; run fsck")
            return await self._make(table)
        if standing.version > table.version:
            await self._records.write(table.company_id, lambda unit: unit.tables.save(standing, was=table.version))
            return standing
        return table

    async def _make(self, declared: ContactTable) -> ContactTable:
        await self._store.create(replace(declared, version=1))
        made = (await self._standing((declared,))).get(declared.number)
        if made is None:
            raise Unavailable("contact table")
        await self._records.write(declared.company_id, lambda unit: unit.tables.save(made, was=0))
        return made

    async def _unsealed(self) -> None:
        """A change here would be none there."""
        if await self._records.sealed():
            raise Sealed

    # --- contacts --------------------------------------------------------------------------------

    async def count(self, principal: Principal, table: ContactTable, wanted: Wanted | None = None) -> int:
        self._may_look(principal)
        return await self._store.count(table, wanted or Wanted())

    async def rows(
        self,
        principal: Principal,
        table: ContactTable,
        wanted: Wanted,
        *,
        by_key: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Contact]:
        """By their numbers, or by the key. Raises InvalidInput(field="cursor"), and for a table without a key."""
        permit(principal, READ)
        if by_key and not table.key:
            raise InvalidInput(f"The table {table.code} has no key to sort by.", field="sort")
        return await self._store.rows(table, Asked(wanted, by_key), limit=limit, cursor=cursor)

    async def export(
        self, principal: Principal, table: ContactTable, wanted: Wanted
    ) -> AsyncGenerator[Sequence[Contact], None]:
        """All of them as they were at one moment, by their numbers. Written down before the first one is read."""
        permit(principal, READ)
        await self._note(principal, "table.export", table, "all" if wanted == Wanted() else "some")
        async for batch in self._store.export(table, wanted):
            yield batch

    async def contact(self, principal: Principal, table: ContactTable, key: Sequence[str]) -> Contact:
        """The one of that key, its values spelled in the key's order. Raises NotFound("contact"), InvalidInput."""
        permit(principal, READ)
        contact = await self._find(table, key)
        await self._note(principal, "contact.read", table, f"row {contact.row}")
        return contact

    async def delete(self, principal: Principal, table: ContactTable, key: Sequence[str]) -> Contact:
        """For good. Written down before it is done, by the row's number: what the contact held is not repeated."""
        permit(principal, ADMIN)
        await self._unsealed()
        contact = await self._find(table, key)
        await self._note(principal, "contact.delete", table, f"row {contact.row}")
        if not await self._store.delete(table, contact.row):
            raise NotFound("contact")
        return contact

    async def _find(self, table: ContactTable, key: Sequence[str]) -> Contact:
        if not table.key:
            raise InvalidInput(f"The table {table.code} has no key by which a contact could be found.", field="key")
        if len(key) != len(table.key):
            raise InvalidInput(
                f"The key of {table.code} is {', '.join(table.key)}: give {len(table.key)} values in that order.",
                field="key",
            )
        values: list[Value] = [parsed(column, text) for column, text in zip(table.key_columns, key, strict=True)]
        contact = await self._store.find(table, values)
        if contact is None:
            raise NotFound("contact")
        return contact

    async def _note(self, principal: Principal, action: str, table: ContactTable, detail: str) -> None:
        now = self._clock.now()

        async def work(unit: Unit) -> None:
            await unit.audit.add(entry(principal, action, table.code, "ok", now, detail))

        await self._records.write(principal.company.id, work)

    def _may_look(self, principal: Principal) -> None:
        """Who loads contacts has to know what they are made of."""
        if not holds(principal.permissions, LOAD):
            permit(principal, READ)

    # --- inspection ------------------------------------------------------------------------------

    async def examine(self) -> tuple[tuple[Company, str], ...]:
        """What is wrong with the tables of whom, in sentences. Nothing is changed; SQLite's files are read whole."""
        found: list[tuple[Company, str]] = []
        for company in await self._records.read(None, lambda unit: unit.companies.list()):
            tables = await self._records.read(company.id, _list)
            found += [(company, sentence) for sentence in await self._store.examine(company.id, tables)]
        return tuple(found)


async def _list(unit: Unit) -> tuple[ContactTable, ...]:
    return await unit.tables.list()


def shown(table: ContactTable) -> dict[str, Any]:
    """For scripts: what the command line and the management API both say of a table."""
    return {
        "number": table.number,
        "code": table.code,
        "name": table.name,
        "columns": [_column(column) for column in table.visible],
        "key": list(table.key),
        "region": table.region,
        "ignore_empty": table.ignore_empty,
        "retired": [column.name for column in table.columns if column.retired],
        "created_at": table.created_at,
        "changed_at": table.changed_at,
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "required": column.required,
        "unique": column.unique,
        "formats": list(column.formats),
        "region": column.region,
        "comma": column.comma,
        "zone": column.zone,
    }
