"""Files, versions, attachments and uploads."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace

import pytest

from loadingdock.core.errors import AlreadyExists, NotFound
from loadingdock.core.model.companies import Company
from loadingdock.core.model.files import Acl, Attachment, File, State, Step, StepName, Warnings
from loadingdock.core.ports.files import FileFilter
from loadingdock.core.ports.records import Unit
from loadingdock.testing.records.store import (
    HOUR,
    MINUTE,
    NOW,
    Store,
    StoreContract,
    a_file,
    a_version,
    become,
    change,
    new_id,
)


def a_full_file(company: Company) -> File:
    """Every field that there is."""
    file = a_file(company, name="Zürich ☂ %_\\'\".pdf", namespace="rewards", alias="s3://WS/2026/1/ab", owner="anna")
    version = replace(
        file.version,
        updated_at=NOW + MINUTE,
        declared_type="application/pdf",
        detected_type="text/plain",
        size=2**40,
        text_key=new_id(),
        steps=(Step(StepName.SCAN, NOW, NOW + MINUTE, "clean"), Step(StepName.TYPE, NOW)),
        warnings=Warnings(empty=True, length=True),
        reason="It is „refused“.",
        attributes={"handle": "1", "deep": {"list": [1, 2.5, None, True, "ü"]}},
    )
    return replace(
        file,
        version=version,
        acl=Acl.PUBLIC_READ,
        expires_at=NOW + HOUR,
        attributes={"list": ["a"], "number": 2**60},
    )


class FileContract(StoreContract):
    async def test_files_come_back_as_they_went(self, store: Store, company: Company) -> None:
        for file in (a_file(company), a_full_file(company)):
            await store.add(company, file)
            assert await store.find(company, file.id) == file
        assert await store.find(company, new_id()) is None

    async def test_an_alias_is_unique_among_the_living(self, store: Store, company: Company) -> None:
        first = await store.add_file(company, alias="s3://WS/1")
        assert await store.read(company, lambda unit: unit.files.by_alias("s3://WS/1")) == first
        with pytest.raises(AlreadyExists):
            await store.add_file(company, alias="s3://WS/1")
        await store.write(company, lambda unit: change(unit, first, deleted_at=NOW))
        assert await store.read(company, lambda unit: unit.files.by_alias("s3://WS/1")) is None
        second = await store.add_file(company, alias="s3://WS/1")
        assert await store.read(company, lambda unit: unit.files.by_alias("s3://WS/1")) == second
        assert await store.find(company, first.id) == replace(first, deleted_at=NOW)

    async def test_a_name_in_a_namespace_is_unique_among_the_living(self, store: Store, company: Company) -> None:
        first = await store.add_file(company, namespace="rewards", name="a.png")
        await store.add_file(company, namespace="other", name="a.png")
        with pytest.raises(AlreadyExists):
            await store.add_file(company, namespace="rewards", name="a.png")
        assert await store.read(company, lambda unit: unit.files.by_name("rewards", "a.png")) == first
        assert await store.read(company, lambda unit: unit.files.by_name("rewards", "A.png")) is None
        await store.write(company, lambda unit: change(unit, first, deleted_at=NOW))
        assert await store.read(company, lambda unit: unit.files.by_name("rewards", "a.png")) is None
        second = await store.add_file(company, namespace="rewards", name="a.png")
        assert await store.read(company, lambda unit: unit.files.by_name("rewards", "a.png")) == second

    async def test_outside_namespaces_a_name_is_no_id(self, store: Store, company: Company) -> None:
        for _ in range(2):
            await store.add_file(company, name="a.png")
        assert await store.read(company, lambda unit: unit.files.by_name("", "a.png")) is None

    @pytest.mark.security(11)
    async def test_two_spellings_of_one_name_are_one_name(self, store: Store, company: Company) -> None:
        nfc, nfd = (unicodedata.normalize(form, "Grüße.png") for form in ("NFC", "NFD"))
        file = await store.add_file(company, namespace="rewards", name=nfd)
        with pytest.raises(AlreadyExists):
            await store.add_file(company, namespace="rewards", name=nfc)
        assert await store.read(company, lambda unit: unit.files.by_name("rewards", nfc)) == file
        assert await store.read(company, lambda unit: unit.files.by_name("rewards", nfd)) == file

    async def test_a_file_is_saved_without_its_version(self, store: Store, company: Company) -> None:
        file = await store.add_file(company, namespace="rewards")
        saved = replace(
            file,
            name="new.pdf",
            owner="bert",
            acl=Acl.PUBLIC_READ,
            expires_at=NOW + HOUR,
            attributes={"a": 1},
            version=replace(file.version, size=0, state=State.READY),
        )
        await store.write(company, lambda unit: unit.files.save(saved))
        assert await store.find(company, file.id) == replace(saved, version=file.version)
        await store.write(company, lambda unit: unit.files.save(file))
        assert await store.find(company, file.id) == file

    async def test_a_file_takes_no_name_of_another(self, store: Store, company: Company) -> None:
        first = await store.add_file(company, namespace="rewards", name="a.png")
        second = await store.add_file(company, namespace="rewards", name="b.png")
        with pytest.raises(AlreadyExists):
            await store.write(company, lambda unit: change(unit, second, name="a.png"))
        assert await store.find(company, second.id) == second
        await store.write(company, lambda unit: change(unit, first, deleted_at=NOW))
        await store.write(company, lambda unit: change(unit, second, name="a.png"))
        with pytest.raises(NotFound):
            await store.write(company, lambda unit: unit.files.save(a_file(company)))

    async def test_versions(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)
        second = a_version(company, file.id, 2, state=State.AWAITING_UPLOAD, size=0, sha256=None, blob_key=None)

        async def work(unit: Unit) -> None:
            await unit.files.add_version(second)
            assert await unit.files.get(file.id) == replace(file, version=second)
            assert await unit.files.versions(file.id) == (second, file.version)
            assert await unit.files.version(file.id, 1) == file.version
            for number in (0, 3, -1, 2**70):
                assert await unit.files.version(file.id, number) is None
            assert await unit.files.versions("none") == ()
            with pytest.raises(AlreadyExists):
                await unit.files.add_version(second)
            with pytest.raises(NotFound):
                await unit.files.add_version(a_version(company, "none"))
            await unit.files.set_latest(file.id, 1)
            assert await unit.files.get(file.id) == file
            with pytest.raises(NotFound):
                await unit.files.set_latest(file.id, 3)

        await store.write(company, work)

    async def test_a_version_is_saved_in_its_state_only(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)
        ready = replace(
            a_full_file(company).version,
            file_id=file.id,
            state=State.READY,
            text_key=new_id(),
            warnings=Warnings(infected=True),
        )

        async def work(unit: Unit) -> None:
            assert not await unit.files.save_version(ready, was=State.PROCESSING)
            assert await unit.files.get(file.id) == file
            assert await unit.files.save_version(ready, was=State.RECEIVED)
            assert await unit.files.get(file.id) == replace(file, version=ready)
            assert not await unit.files.save_version(replace(ready, number=2), was=State.READY)

        await store.write(company, work)

    async def test_one_of_many_changes_a_state(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)
        processing = replace(file.version, state=State.PROCESSING)

        async def save() -> bool:
            return await store.write(company, lambda unit: unit.files.save_version(processing, was=State.RECEIVED))

        assert sum(await asyncio.gather(*(save() for _ in range(30)))) == 1

    async def test_lists_follow_the_state_of_the_latest_version(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)

        async def states() -> set[State]:
            async def work(unit: Unit) -> set[State]:
                return {state for state in State if (await unit.files.list(FileFilter(state=state), limit=1)).items}

            return await store.read(company, work)

        assert await states() == {State.RECEIVED}
        version = await store.write(company, lambda unit: become(unit, file, State.PROCESSING))
        assert await states() == {State.PROCESSING}
        await store.write(company, lambda unit: unit.files.add_version(a_version(company, file.id, 2)))
        assert await states() == {State.RECEIVED}
        file = replace(file, version=version)
        version = await store.write(company, lambda unit: become(unit, file, State.READY))
        assert await states() == {State.RECEIVED}, "an older version is not what the file is"
        await store.write(company, lambda unit: unit.files.set_latest(file.id, 1))
        assert await states() == {State.READY}
        await store.write(company, lambda unit: change(unit, file, deleted_at=NOW))
        assert await states() == {State.DELETED}

    async def test_creates_of_one_name_are_versions_without_gap_or_double(self, store: Store, company: Company) -> None:
        async def create() -> int:
            fresh = a_file(company, namespace="rewards", name="a.png")

            async def work(unit: Unit) -> int:
                file = await unit.files.by_name("rewards", "a.png")
                if file is None:
                    await unit.files.add(fresh)
                    return 1
                number = (await unit.files.versions(file.id))[0].number + 1
                await unit.files.add_version(a_version(company, file.id, number))
                return number

            return await store.write(company, work)

        numbers = await asyncio.gather(*(create() for _ in range(100)))
        assert sorted(numbers) == list(range(1, 101))
        page = await store.read(company, lambda unit: unit.files.list(FileFilter(), limit=10))
        assert [file.version.number for file in page.items] == [100]


class AttachmentContract(StoreContract):
    async def test_attachments_are_counted(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)
        mail, page = Attachment(file.id, "mail/1", NOW), Attachment(file.id, "page/2", NOW + HOUR)

        async def work(unit: Unit) -> None:
            assert await unit.attachments.add(mail)
            assert not await unit.attachments.add(replace(mail, created_at=NOW + HOUR))
            assert await unit.attachments.add(page)
            assert await unit.attachments.list(file.id) == (mail, page)
            assert await unit.files.get(file.id) == replace(file, attached=2)
            assert await unit.attachments.remove(file.id, "mail/1")
            assert not await unit.attachments.remove(file.id, "mail/1")
            assert await unit.attachments.list(file.id) == (page,)
            assert await unit.files.get(file.id) == replace(file, attached=1)
            with pytest.raises(NotFound):
                await unit.attachments.add(Attachment("none", "mail/1", NOW))

        await store.write(company, work)

    async def test_the_count_is_exact_however_many_attach(self, store: Store, company: Company) -> None:
        file = await store.add_file(company)

        async def attach(place: int) -> bool:
            attachment = Attachment(file.id, f"mail/{place % 10}", NOW)
            return await store.write(company, lambda unit: unit.attachments.add(attachment))

        assert sum(await asyncio.gather(*map(attach, range(40)))) == 10
        assert await store.find(company, file.id) == replace(file, attached=10)
