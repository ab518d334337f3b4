"""Uploads: promises of bytes, kept once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import State
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import HOUR, NOW, Store, StoreContract, an_upload, new_id


class UploadContract(StoreContract):
    async def test_uploads_come_back_as_they_went(self, store: Store, company: Company) -> None:
        file = await store.add_file(company, state=State.AWAITING_UPLOAD, size=0, sha256=None, blob_key=None)
        plain = an_upload(file)
        full = an_upload(
            file,
            created_at=NOW + HOUR,
            size=5,
            content_type="image/png",
            sha256="cd" * 32,
            allowed_types=("image/png", "image/gif"),
            offset=3,
            staging_key=new_id(),
        )

        async def work(unit: Unit) -> None:
            for upload in (plain, full):
                await unit.uploads.add(upload)
                assert await unit.uploads.get(upload.id) == upload
                assert await unit.uploads.of_file(file.id, 1) == upload
            with pytest.raises(AlreadyExists):
                await unit.uploads.add(plain)
            assert await unit.uploads.get("none") is None
            for number in (2, 2**70):
                assert await unit.uploads.of_file(file.id, number) is None
            for missing in ({"file_id": "none"}, {"version": 2}):
                with pytest.raises(NotFound):
                    await unit.uploads.add(an_upload(file, **missing))

        await store.write(company, work)

    async def test_an_upload_advances_from_where_it_stands(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)
        upload = an_upload(file)
        ahead = replace(upload, offset=10, staging_key="staged", size=20)

        async def work(unit: Unit) -> None:
            await unit.uploads.add(upload)
            assert not await unit.uploads.advance(ahead, was=5)
            assert await unit.uploads.get(upload.id) == upload
            assert await unit.uploads.advance(ahead, was=0)
            assert await unit.uploads.get(upload.id) == ahead
            assert not await unit.uploads.advance(ahead, was=0)
            assert await unit.uploads.complete(upload.id, NOW)
            assert not await unit.uploads.advance(replace(ahead, offset=20), was=10)

        await store.write(company, work)

    async def test_an_upload_is_held_and_let_go(self, store: Store, company: Company) -> None:
        upload = an_upload(await store.add_file(company))

        async def work(unit: Unit) -> None:
            await unit.uploads.add(upload)
            for until in (NOW + HOUR, None):
                assert await unit.uploads.hold(upload.id, until)
                assert await unit.uploads.get(upload.id) == replace(upload, held_until=until)
            assert not await unit.uploads.hold("none", NOW)

        await store.write(company, work)

    async def test_one_of_twin_appends_wins(self, store: Store, company: Company) -> None:
        upload = an_upload(await store.add_file(company))
        await store.write(company, lambda unit: unit.uploads.add(upload))

        async def append(place: int) -> bool:
            ahead = replace(upload, offset=10 + place)
            return await store.write(company, lambda unit: unit.uploads.advance(ahead, was=0))

        assert sum(await asyncio.gather(*map(append, range(20)))) == 1

    @pytest.mark.security(19)
    @pytest.mark.parametrize("first", [0, 1], ids=["abort", "complete"])
    async def test_an_upload_ends_once(self, store: Store, company: Company, first: int) -> None:
        upload = an_upload(await store.add_file(company))
        await store.write(company, lambda unit: unit.uploads.add(upload))

        async def end(place: int) -> bool:
            async def work(unit: Unit) -> bool:
                end = unit.uploads.abort if place % 5 == first else unit.uploads.complete
                return await end(upload.id, NOW)

            return await store.write(company, work)

        assert sum(await asyncio.gather(*map(end, range(50)))) == 1
        assert sum(await asyncio.gather(*map(end, range(10)))) == 0
        kept = await store.read(company, lambda unit: unit.uploads.get(upload.id))
        assert kept is not None
        assert (kept.completed_at is None) != (kept.aborted_at is None)
        assert not await store.write(company, lambda unit: unit.uploads.complete("none", NOW))
