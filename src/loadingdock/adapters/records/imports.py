"""Imports, their tables' queues, and the reports of their first rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from loadingdock.adapters.records import cursors
from loadingdock.adapters.records.executor import Part
from loadingdock.adapters.records.importrows import (
    asked,
    changing,
    counted,
    import_of,
    progressed,
    report_of,
    reported,
)
from loadingdock.adapters.records.values import micros, storable
from loadingdock.core.errors import NotFound
from loadingdock.core.loading import Counts
from loadingdock.core.model.imports import Import, ImportState, Outcome, Progress, RowReport
from loadingdock.core.model.pages import Page

_CURSOR = "imports"
_ROWS_CURSOR = "import rows"


class ImportRows(Part):
    __slots__ = ()

    async def lock(self, table_number: int) -> None:
        await self._db.hold("import_table", company_id=self._company_id, table_number=table_number)

    async def add(self, fresh: Import) -> Import:
        company_id = self._own(fresh.company_id)
        table = {"company_id": company_id, "table_number": fresh.table_number}
        # Locks it as well, and must: else another's turn may be the last by the time that it is looked for.
        if await self._db.one("import_table", **table) is None:
            raise NotFound("table")
        await self._db.run(
            "import_add",
            **table,
            table_code=fresh.table_code,
            asked=asked(fresh.asked),
            file_id=fresh.file_id,
            file_version=fresh.file_version,
            file_name=fresh.file_name,
            file_size=fresh.file_size,
            created_at=micros(fresh.created_at),
            created_by=fresh.created_by,
            callback_url=fresh.callback_url,
            **progressed(fresh.progress),
            **changing(fresh),
        )
        added = await self._db.one("import_last", **table)
        assert added is not None
        return import_of(added)

    async def get(self, number: int) -> Import | None:
        if not storable(number):
            return None
        row = await self._db.one("import_get", company_id=self._company_id, number=number)
        return None if row is None else import_of(row)

    async def list(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        table_number: int | None = None,
        state: ImportState | None = None,
        file_id: str | None = None,
    ) -> Page[Import]:
        before = None
        if cursor is not None:
            (before,) = cursors.decode(_CURSOR, self._company_id, cursor, (int,))
        rows = await self._db.all(
            "import_page",
            company_id=self._company_id,
            table_number=table_number,
            state=None if state is None else state.value,
            file_id=file_id,
            before=before,
            limit=limit + 1,
        )
        found = tuple(map(import_of, rows[:limit]))
        if len(rows) <= limit or not found:
            return Page(found)
        return Page(found, cursors.encode(_CURSOR, self._company_id, (found[-1].number,)))

    async def save(self, changed: Import) -> None:
        if not await self._db.run(
            "import_save", company_id=self._own(changed.company_id), number=changed.number, **changing(changed)
        ):
            raise NotFound("import")

    async def enter(self, number: int) -> None:
        if not await self._db.run("import_enter", company_id=self._company_id, number=number):
            raise NotFound("import")

    async def leave(self, number: int) -> None:
        if not await self._db.run("import_leave", company_id=self._company_id, number=number):
            raise NotFound("import")

    async def first(self, table_number: int) -> Import | None:
        row = await self._db.one("import_first", company_id=self._company_id, table_number=table_number)
        return None if row is None else import_of(row)

    async def proceed(self, number: int, attempt: int, progress: Progress, counts: Counts) -> bool | None:
        row = await self._db.one(
            "import_proceed",
            company_id=self._company_id,
            number=number,
            attempt=attempt,
            **progressed(progress),
            **counted(counts),
        )
        return None if row is None else bool(row[0])

    async def waiting_for(self, file_id: str, version: int) -> tuple[Import, ...]:
        rows = await self._db.all("import_waiting", company_id=self._company_id, file_id=file_id, file_version=version)
        return tuple(map(import_of, rows))

    async def add_rows(self, number: int, rows: Sequence[RowReport]) -> None:
        if await self.get(number) is None:
            raise NotFound("import")
        for row in rows:
            await self._db.add("import_row_add", company_id=self._company_id, number=number, **reported(row))

    async def clear_rows(self, number: int, outcome: Outcome | None = None) -> None:
        await self._db.run(
            "import_rows_clear",
            company_id=self._company_id,
            number=number,
            outcome=None if outcome is None else outcome.value,
        )

    async def rows(self, number: int, *, outcome: Outcome, limit: int, cursor: str | None = None) -> Page[RowReport]:
        of = f"{_ROWS_CURSOR} {number} {outcome.value}"
        after = None
        if cursor is not None:
            (after,) = cursors.decode(of, self._company_id, cursor, (int,))
        if not storable(number):
            return Page(())
        rows = await self._db.all(
            "import_rows_page",
            company_id=self._company_id,
            number=number,
            outcome=outcome.value,
            after=after,
            limit=limit + 1,
        )
        found = tuple(map(report_of, rows[:limit]))
        if len(rows) <= limit or not found:
            return Page(found)
        return Page(found, cursors.encode(of, self._company_id, (found[-1].ordinal,)))

    # --- of the installation ---

    async def firsts(self) -> tuple[Import, ...]:
        self._of_all()
        return tuple(map(import_of, await self._db.all("imports_first")))

    async def undoable(self, before: datetime, limit: int) -> tuple[Import, ...]:
        self._of_all()
        return tuple(map(import_of, await self._db.all("imports_undoable", before=micros(before), limit=limit)))

    def _of_all(self) -> None:
        if self._company_id is not None:
            raise ValueError("this needs a unit without a company")
