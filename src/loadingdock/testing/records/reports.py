"""What became of the first records of an import."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.companies import Company
from loadingdock.core.model.contacts import ContactTable
from loadingdock.core.model.imports import Import, Outcome, RowProblem, RowReport
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.imports import Importing
from loadingdock.testing.records.store import Store, drained

# Of what is no valid Unicode a reason may quote a byte that cannot be decoded, U+DC80 to U+DCFF.
_REASON = st.characters(exclude_categories=["Cs"]) | st.integers(0xDC80, 0xDCFF).map(chr)


def a_row(ordinal: int, outcome: Outcome = Outcome.REJECTED, **fields: Any) -> RowReport:
    problems = (RowProblem("EMAIL", "required", "It is empty."), RowProblem(None, "ragged", "It has 3 values, not 4."))
    return replace(RowReport(outcome, ordinal, 2 * ordinal, problems, f"{ordinal},x"), **fields)


class ReportContract(Importing):
    async def add_rows(self, store: Store, one: Import, rows: list[RowReport]) -> None:
        await store.records.write(one.company_id, lambda unit: unit.imports.add_rows(one.number, rows))

    async def rows(self, store: Store, one: Import, outcome: Outcome, limit: int = 100) -> list[RowReport]:
        async def turn(cursor: str | None) -> Page[RowReport]:
            async def work(unit: Unit) -> Page[RowReport]:
                return await unit.imports.rows(one.number, outcome=outcome, limit=limit, cursor=cursor)

            page = await store.records.read(one.company_id, work)
            assert len(page.items) <= limit
            return page

        return await drained(turn)

    async def test_rows_are_by_their_ordinals(self, store: Store, table: ContactTable) -> None:
        one, other = [await self.submit(store, table) for _ in range(2)]
        rejected = [a_row(place) for place in (1, 2, 3, 7, 2**40)]
        skipped = [a_row(place, Outcome.SKIPPED, problems=(), cut=True) for place in (2, 4)]
        left = [a_row(3, Outcome.LEFT, line=0, raw="")]
        await self.add_rows(store, one, [*reversed(rejected), *left])
        await self.add_rows(store, one, [])
        await self.add_rows(store, one, skipped)
        await self.add_rows(store, other, [a_row(9)])
        for limit in (1, 2, 5, 100):
            assert await self.rows(store, one, Outcome.REJECTED, limit) == rejected
        assert await self.rows(store, one, Outcome.SKIPPED) == skipped
        assert await self.rows(store, one, Outcome.LEFT) == left
        assert await self.rows(store, other, Outcome.REJECTED) == [a_row(9)]

    async def test_rows_that_are_there_stay(self, store: Store, table: ContactTable) -> None:
        one = await self.submit(store, table)
        await self.add_rows(store, one, [a_row(1), a_row(3)])
        again = [a_row(place, raw="other", problems=()) for place in (1, 2, 3)]
        await self.add_rows(store, one, [*again, again[1]])
        assert await self.rows(store, one, Outcome.REJECTED) == [a_row(1), again[1], a_row(3)]

    async def test_rows_are_cleared(self, store: Store, company: Company, table: ContactTable) -> None:
        one, other = [await self.submit(store, table) for _ in range(2)]
        for each in (one, other):
            await self.add_rows(store, each, [a_row(1, outcome) for outcome in Outcome])
        await store.write(company, lambda unit: unit.imports.clear_rows(one.number, Outcome.REJECTED))
        assert [len(await self.rows(store, one, outcome)) for outcome in Outcome] == [0, 1, 1]
        await store.write(company, lambda unit: unit.imports.clear_rows(one.number))
        assert [len(await self.rows(store, one, outcome)) for outcome in Outcome] == [0, 0, 0]
        assert [len(await self.rows(store, other, outcome)) for outcome in Outcome] == [1, 1, 1]

    async def test_a_cursor_continues_its_own_list(self, store: Store, company: Company, table: ContactTable) -> None:
        one, other = [await self.submit(store, table) for _ in range(2)]
        for each in (one, other):
            await self.add_rows(store, each, [a_row(n, outcome) for n in (1, 2) for outcome in Outcome])

        async def page(number: int, outcome: Outcome, cursor: str | None, of: Company = company) -> Page[RowReport]:
            async def work(unit: Unit) -> Page[RowReport]:
                return await unit.imports.rows(number, outcome=outcome, limit=1, cursor=cursor)

            return await store.read(of, work)

        cursor = (await page(one.number, Outcome.REJECTED, None)).cursor
        assert cursor is not None
        assert await page(one.number, Outcome.REJECTED, cursor) == Page((a_row(2),))
        listed = await store.read(company, lambda unit: unit.imports.list(limit=1))
        for refused in (
            page(other.number, Outcome.REJECTED, cursor),
            page(one.number, Outcome.SKIPPED, cursor),
            page(one.number, Outcome.REJECTED, cursor, await store.company("other")),
            page(one.number, Outcome.REJECTED, listed.cursor),
            page(one.number, Outcome.REJECTED, "nonsense"),
        ):
            with pytest.raises(InvalidInput) as raised:
                await refused
            assert raised.value.field == "cursor"

    async def test_a_thousand_long_rows_at_once(self, store: Store, table: ContactTable) -> None:
        one = await self.submit(store, table)
        text = "\0\x01\t\r\n\\\"'漢\U0001f4e6\udcff\ufffe\U0010ffff"
        raw = "\ud800" + text + secrets.token_hex(100) + "ü" * 8000
        rows = [a_row(place, raw=raw, problems=(RowProblem(text, "code", text),)) for place in range(1, 1001)]
        await self.add_rows(store, one, rows)
        assert await self.rows(store, one, Outcome.REJECTED) == rows

    # Every adapter of the port is an executor of its own, and keeps by itself.
    @settings(
        max_examples=50,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(raw=st.text(st.characters()), column=st.none() | st.text(), reason=st.text(_REASON))
    async def test_any_text_of_a_record_is_kept(
        self, store: Store, table: ContactTable, raw: str, column: str | None, reason: str
    ) -> None:
        one = await self.submit(store, table)
        row = a_row(1, raw=raw, problems=(RowProblem(column, "code", reason),))
        await self.add_rows(store, one, [row])
        assert await self.rows(store, one, Outcome.REJECTED) == [row]
