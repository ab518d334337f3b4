"""Appending to a promised upload, with real records and blobs: nothing durable is ever lost to a race."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadingdock.bootstrap import system
from loadingdock.core.administration import operator
from loadingdock.core.errors import (
    AlreadyUploaded,
    ClientGone,
    Conflict,
    DigestMismatch,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    TooLarge,
)
from loadingdock.core.model.files import File, State, Upload
from loadingdock.core.model.identity import Principal
from loadingdock.core.receiving import Declaration
from loadingdock.core.turns import Turns
from loadingdock.settings import Settings
from loadingdock.web.services import Services


@dataclass
class Dock:
    services: Services
    principal: Principal

    async def promise(self, **declared: object) -> tuple[Upload, File]:
        declaration = Declaration(api="test", name="note.txt", max_size=1000, **declared)  # type: ignore[arg-type]  # by the tests
        file, upload = await self.services.promises.initiate(
            self.principal, declaration, expires_in=timedelta(minutes=5)
        )
        return upload, file

    async def append(
        self, upload: Upload, file: File, *pieces: bytes | Exception, offset: int | None = None, last: bool = False
    ) -> tuple[Upload, File]:
        declaration = self.services.promises.declaration_of(upload, file, content_type=None)
        at = upload.offset if offset is None else offset
        return await self.services.appending.append(
            self.principal, upload, file, declaration, body(*pieces), offset=at, last=last
        )

    async def now(self, upload: Upload) -> Upload:
        found, _ = await self.services.promises.look(self.principal.company.id, upload.id)
        return found

    async def content(self, file: File) -> bytes:
        return b"".join([piece async for piece in self.services.blobs.read(file.version.blob_key or "")])

    async def keys(self) -> set[str]:
        tomorrow = self.services.clock.now() + timedelta(days=1)
        return {key async for key in self.services.blobs.list(before=tomorrow)}


async def body(*pieces: bytes | Exception) -> AsyncIterator[Sequence[bytes]]:
    for piece in pieces:
        if isinstance(piece, Exception):
            raise piece
        yield [piece]


@asynccontextmanager
async def docked(folder: Path, **company_settings: str) -> AsyncIterator[Dock]:
    async with system(Settings(data=folder)) as opened:
        company = await opened.services.administration.add_company("acme")
        if company_settings:
            values = {key.replace("_", "-"): value for key, value in company_settings.items()}
            company = await opened.services.administration.set_company(operator(company), values)
        yield Dock(opened.services, operator(company))


@pytest.fixture
async def dock(tmp_path: Path) -> AsyncIterator[Dock]:
    async with docked(tmp_path) as opened:
        yield opened


async def test_a_stale_look_at_the_upload_loses_nothing(dock: Dock) -> None:
    """Two requests read the record; the first appends; the second still believes in the old offset."""
    upload, file = await dock.promise()
    upload, _ = await dock.append(upload, file, b"one ")
    first, _ = await dock.append(upload, file, b"two ")
    with pytest.raises(OffsetMismatch) as refused:
        await dock.append(upload, file, b"xxx ")
    assert refused.value.current == 8
    _, done = await dock.append(first, file, b"three", last=True)
    assert await dock.content(done) == b"one two three"


async def test_what_came_before_the_client_went_is_kept(dock: Dock) -> None:
    upload, file = await dock.promise()
    with pytest.raises(ClientGone):
        await dock.append(upload, file, b"kept", ClientGone(), last=True)
    upload = await dock.now(upload)
    assert upload.offset == 4
    _, done = await dock.append(upload, file, b"!", last=True)
    assert await dock.content(done) == b"kept!"
    assert done.state is State.RECEIVED


async def test_a_body_that_fails_by_itself_leaves_what_was_there(dock: Dock) -> None:
    upload, file = await dock.promise()
    upload, _ = await dock.append(upload, file, b"kept")
    with pytest.raises(DigestMismatch):
        await dock.append(upload, file, b"lost", DigestMismatch("sha256", claimed="a", received="b"))
    assert await dock.now(upload) == upload
    _, done = await dock.append(upload, file, b"", last=True)
    assert await dock.content(done) == b"kept"


async def test_what_can_never_become_the_file_is_dropped(dock: Dock) -> None:
    upload, file = await dock.promise()
    begun, _ = await dock.append(upload, file, b"a" * 900)
    with pytest.raises(TooLarge):
        await dock.append(begun, file, b"a" * 101)
    dropped = await dock.now(upload)
    assert (dropped.offset, dropped.staging_key) == (0, None)
    assert await dock.keys() == set()
    _, done = await dock.append(dropped, file, b"anew", last=True)
    assert await dock.content(done) == b"anew"


async def test_a_quota_that_is_full_at_the_end_drops_everything(tmp_path: Path) -> None:
    async with docked(tmp_path, quota_bytes="10B") as dock:
        upload, file = await dock.promise()
        begun, _ = await dock.append(upload, file, b"a" * 8)
        with pytest.raises(QuotaExceeded):
            await dock.append(begun, file, b"a" * 8, last=True)
        assert (await dock.now(upload)).staging_key is None
        assert await dock.keys() == set()


async def test_one_appends_at_a_time_and_may_be_ended(dock: Dock) -> None:
    upload, file = await dock.promise()
    silent, started = asyncio.Event(), asyncio.Event()

    async def hanging() -> AsyncIterator[Sequence[bytes]]:
        yield [b"came "]
        started.set()
        await silent.wait()
        yield [b"never"]

    declaration = dock.services.promises.declaration_of(upload, file, content_type=None)
    first = asyncio.create_task(
        dock.services.appending.append(dock.principal, upload, file, declaration, hanging(), offset=0, last=True)
    )
    await started.wait()
    with pytest.raises(Conflict):
        await dock.append(upload, file, b"twin")
    await dock.services.appending.interrupt(upload)
    with pytest.raises(Conflict):
        await first
    upload = await dock.now(upload)
    assert upload.offset == 5
    _, done = await dock.append(upload, file, b"later", last=True)
    assert await dock.content(done) == b"came later"


async def test_a_turn_that_ends_by_itself_is_not_cut() -> None:
    turns = Turns()
    with turns.take("u") as turn:
        turn.end()
        assert [batch async for batch in turn.batches(body(b"all", b"of it"))] == [[b"all"], [b"of it"]]
        assert not turn.cut
    await turns.end("u")


async def test_a_whole_put_wins_over_an_append_under_way(dock: Dock) -> None:
    upload, file = await dock.promise()
    upload, _ = await dock.append(upload, file, b"begun")
    declaration = dock.services.promises.declaration_of(upload, file, content_type=None)
    done = await dock.services.promises.fulfil(dock.principal, upload, file, declaration, body(b"whole"))
    with pytest.raises(AlreadyUploaded):
        await dock.append(upload, file, b"more", last=True)
    assert await dock.content(done) == b"whole"
    assert await dock.keys() == {done.version.blob_key}


async def test_a_file_deleted_while_its_bytes_came_stays_deleted(dock: Dock) -> None:
    upload, file = await dock.promise()
    declaration = dock.services.promises.declaration_of(upload, file, content_type=None)

    async def slow() -> AsyncIterator[Sequence[bytes]]:
        yield [b"too "]
        await dock.services.files.delete(dock.principal, file)
        yield [b"late"]

    with pytest.raises(NotFound):
        await dock.services.promises.fulfil(dock.principal, upload, file, declaration, slow())
    gone = await dock.services.files.get(dock.principal, file.id, deleted=True)
    assert gone.state is State.DELETED
    assert await dock.keys() == set()


async def test_a_file_renamed_while_its_bytes_came_keeps_its_new_name(dock: Dock) -> None:
    upload, file = await dock.promise()
    declaration = dock.services.promises.declaration_of(upload, file, content_type=None)

    async def slow() -> AsyncIterator[Sequence[bytes]]:
        await dock.services.files.rename(dock.principal, file, "renamed.txt")
        yield [b"hello"]

    done = await dock.services.promises.fulfil(dock.principal, upload, file, declaration, slow())
    assert done.name == "renamed.txt"


async def test_taken_back_it_takes_nothing_more(dock: Dock) -> None:
    upload, file = await dock.promise()
    upload, _ = await dock.append(upload, file, b"begun")
    await dock.services.promises.abort(dock.principal, upload)
    with pytest.raises(NotFound):
        await dock.append(upload, file, b"more")
    assert await dock.keys() == set()


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.binary(max_size=120), max_size=6), breaks=st.sets(st.integers(0, 5)))
async def test_any_division_and_any_interruption_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[bytes], breaks: set[int]
) -> None:
    async with docked(tmp_path_factory.mktemp("dock")) as dock:
        upload, file = await dock.promise()
        for number, piece in enumerate(cuts):
            if number in breaks:
                with pytest.raises(ClientGone):
                    await dock.append(upload, file, piece, ClientGone())
                upload = await dock.now(upload)
            else:
                upload, _ = await dock.append(upload, file, piece)
        upload, done = await dock.append(replace(upload), file, last=True)
        assert await dock.content(done) == b"".join(cuts)
        assert upload.offset == done.version.size == len(b"".join(cuts))
