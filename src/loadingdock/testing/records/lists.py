"""Lists of files and audit rows: what is in them, in what order, and the cursors that continue them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadingdock.core.errors import InvalidInput
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import File, State
from loadingdock.core.model.journal import AuditEntry
from loadingdock.core.model.pages import Page
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, MINUTE, NOW, Store, StoreContract, a_file, an_entry, change, drained

NAMES = {"Report.pdf", "my REPORT 100%.pdf", "a_b.txt", "back\\slash.txt", "it's.txt", "Grüsse.txt", "ПРИВЕТ.txt"}


async def page_of(store: Store, company: Company, filter: FileFilter, limit: int, cursor: str | None) -> Page[File]:
    return await store.read(company, lambda unit: unit.files.list(filter, limit=limit, cursor=cursor))


async def all_of(store: Store, company: Company, filter: FileFilter, limit: int = 2) -> list[File]:
    async def turn(cursor: str | None) -> Page[File]:
        page = await page_of(store, company, filter, limit, cursor)
        assert len(page.items) <= limit
        return page

    return await drained(turn)


async def add_all(store: Store, company: Company, files: Sequence[File]) -> None:
    async def work(unit: Unit) -> None:
        for file in files:
            await unit.files.add(file)

    await store.write(company, work)


def newest_first(files: Sequence[File]) -> list[File]:
    return sorted(files, key=lambda file: (file.created_at, file.id), reverse=True)


class ListContract(StoreContract):
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_pages_hold_every_file_once_newest_first(self, store: Store, company: Company, limit: int) -> None:
        files = [a_file(company, created_at=NOW + MINUTE * (place // 3)) for place in range(14)]
        await add_all(store, company, files)
        assert await all_of(store, company, FileFilter(), limit) == newest_first(files)

    async def test_the_last_page_has_no_cursor(self, store: Store, company: Company) -> None:
        await add_all(store, company, [a_file(company) for _ in range(4)])
        first = await page_of(store, company, FileFilter(), 2, None)
        assert first.cursor is not None
        assert first.total is None
        assert (await page_of(store, company, FileFilter(), 2, first.cursor)).cursor is None
        assert (await page_of(store, company, FileFilter(), 4, None)).cursor is None
        assert await page_of(store, company, FileFilter(owner="nobody"), 4, None) == Page(())

    async def test_what_comes_and_goes_meanwhile_moves_no_page(self, store: Store, company: Company) -> None:
        files = [a_file(company, created_at=NOW + MINUTE * place) for place in range(6)]
        await add_all(store, company, files)
        first = await page_of(store, company, FileFilter(), 3, None)
        await store.add_file(company, created_at=NOW + HOUR)
        await store.write(company, lambda unit: change(unit, first.items[-1], deleted_at=NOW))
        rest = await page_of(store, company, FileFilter(), 3, first.cursor)
        assert [*first.items, *rest.items] == newest_first(files)

    async def test_filters(self, store: Store, company: Company) -> None:
        files = [
            a_file(
                company,
                name=f"{place}.pdf",
                owner=owner,
                namespace=namespace,
                api=api,
                state=state,
                sha256=sha256,
            )
            for place, (owner, namespace, api, state, sha256) in enumerate(
                (owner, namespace, api, state, sha256)
                for owner in (None, "anna", "")
                for namespace in ("", "rewards")
                for api in ("tus", "signed-url")
                for state in (State.READY, State.EXPIRED, State.RECEIVED)
                for sha256 in (None, "cd" * 32)
            )
        ]
        await add_all(store, company, files)
        for filter in (
            FileFilter(),
            FileFilter(expired=False),
            FileFilter(owner="anna"),
            FileFilter(owner=""),
            FileFilter(namespace="rewards"),
            FileFilter(namespace=""),
            FileFilter(api="tus"),
            FileFilter(state=State.EXPIRED),
            FileFilter(state=State.DELETED),
            FileFilter(sha256="cd" * 32),
            FileFilter(owner="anna", namespace="rewards", api="tus", state=State.READY, sha256="cd" * 32),
            FileFilter(state=State.READY, search="1"),
            FileFilter(state=State.EXPIRED, expired=False),
        ):
            wanted = newest_first([file for file in files if _matches(file, filter)])
            assert await all_of(store, company, filter, 11) == wanted, filter
            await self.counts(store, company, filter, wanted)

    async def counts(self, store: Store, company: Company, filter: FileFilter, wanted: list[File]) -> None:
        async def work(unit: Unit) -> None:
            for offset in (0, 1, len(wanted)):
                page = await unit.files.list_offset(filter, limit=5, offset=offset)
                assert page == Page(tuple(wanted[offset : offset + 5]), total=len(wanted))

        await store.read(company, work)

    async def test_deleted_files_are_left_out_unless_asked_for(self, store: Store, company: Company) -> None:
        living, gone = await store.add_file(company), await store.add_file(company)
        gone = await store.write(company, lambda unit: change(unit, gone, deleted_at=NOW))
        assert await all_of(store, company, FileFilter()) == [living]
        assert await all_of(store, company, FileFilter(state=State.DELETED)) == [gone]

    @pytest.mark.parametrize(
        ("search", "names"),
        [
            ("report", {"Report.pdf", "my REPORT 100%.pdf"}),
            ("REPORT.", {"Report.pdf"}),
            ("%", {"my REPORT 100%.pdf"}),
            ("_", {"a_b.txt"}),
            ("\\", {"back\\slash.txt"}),
            ("'", {"it's.txt"}),
            ("grüsse", {"Grüsse.txt"}),
            ("GRÜSSE", {"Grüsse.txt"}),
            ("gru\u0308sse", {"Grüsse.txt"}),
            ("привет", {"ПРИВЕТ.txt"}),
            ("", NAMES),
            ("none of them", set()),
            ("x" * 100_000, set()),
        ],
    )
    async def test_search(self, store: Store, company: Company, search: str, names: set[str]) -> None:
        await add_all(store, company, [a_file(company, name=name) for name in sorted(NAMES)])
        assert {file.name for file in await all_of(store, company, FileFilter(search=search))} == names

    async def test_a_renamed_file_is_found_by_its_new_name(self, store: Store, company: Company) -> None:
        file = await store.add_file(company, name="old.pdf")
        await store.write(company, lambda unit: change(unit, file, name="NEW.pdf"))
        assert await all_of(store, company, FileFilter(search="old")) == []
        assert await all_of(store, company, FileFilter(search="new")) == [replace(file, name="NEW.pdf")]

    async def test_foreign_cursors_are_refused(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        for each in (company, other):
            await add_all(store, each, [a_file(each) for _ in range(2)])
            for _ in range(2):
                await store.note(each, an_entry(each.id))
        of_other = (await page_of(store, other, FileFilter(), 1, None)).cursor
        of_audit = (await store.read(company, lambda unit: unit.audit.list(limit=1))).cursor
        of_files = (await page_of(store, company, FileFilter(), 1, None)).cursor
        for cursor in (of_other, of_audit):
            assert cursor is not None
            await self.refuses_in_files(store, company, cursor)
        assert of_files is not None
        with pytest.raises(InvalidInput) as caught:
            await store.read(company, lambda unit: unit.audit.list(limit=1, cursor=of_files))
        assert caught.value.field == "cursor"

    async def test_broken_cursors_are_refused(self, store: Store, company: Company) -> None:
        await add_all(store, company, [a_file(company) for _ in range(2)])
        made = (await page_of(store, company, FileFilter(), 1, None)).cursor
        assert made is not None
        broken = [made[:-1], made[1:], made + "A", made + "==", made.swapcase(), "", " ", "é", "\0", "[]", "x" * 10_000]
        broken += [base64.urlsafe_b64encode(text.encode()).decode() for text in ("", "1,2", '["files",1,2,"x"]')]
        for cursor in broken:
            await self.refuses_in_files(store, company, cursor)

    # Every adapter of the port is an executor of its own, and refuses by itself.
    @settings(
        max_examples=50,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(cursor=st.text())
    async def test_no_text_is_a_cursor(self, store: Store, company: Company, cursor: str) -> None:
        await self.refuses_in_files(store, company, cursor)

    async def refuses_in_files(self, store: Store, company: Company, cursor: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            await page_of(store, company, FileFilter(), 1, cursor)
        assert caught.value.field == "cursor"

    async def test_audit_rows_newest_first(self, store: Store, company: Company) -> None:
        entries = [
            replace(
                an_entry(company.id), action=f"file.{'read' if place % 3 else 'write'}", subject=f"file {place % 2}"
            )
            for place in range(7)
        ]
        for entry in entries:
            await store.note(company, entry)

        async def listed(**narrowed: str) -> list[AuditEntry]:
            async def turn(cursor: str | None) -> Page[AuditEntry]:
                return await store.read(company, lambda unit: unit.audit.list(limit=2, cursor=cursor, **narrowed))

            return [replace(entry, seq=0) for entry in await drained(turn)]

        entries.reverse()
        assert await listed() == entries
        assert await listed(action="file.read") == [e for e in entries if e.action == "file.read"]
        assert await listed(subject="file 1") == [e for e in entries if e.subject == "file 1"]
        assert await listed(action="file", subject="file 1") == []

    async def test_the_installation_notes_what_it_does_to_a_company(self, store: Store, company: Company) -> None:
        other = await store.company("other")
        entry = an_entry(company.id)

        async def work(unit: Unit) -> None:
            await unit.audit.add(entry)
            await unit.audit.add(an_entry(0))

        await store.write(None, work)
        (noted,) = (await store.read(company, lambda unit: unit.audit.list(limit=9))).items
        assert replace(noted, seq=0) == entry
        assert await store.read(other, lambda unit: unit.audit.list(limit=9)) == Page(())


def _matches(file: File, filter: FileFilter) -> bool:
    return (
        (filter.owner is None or file.owner == filter.owner)
        and (filter.namespace is None or file.namespace == filter.namespace)
        and (filter.api is None or file.api == filter.api)
        and (file.state is filter.state if filter.state else file.state is not State.DELETED)
        and (filter.search is None or filter.search in file.name)
        and (filter.sha256 is None or file.version.sha256 == filter.sha256)
        and (filter.expired or file.state is not State.EXPIRED)
    )
