"""A backup taken while the service runs is the installation of one moment, and comes back whole or not at all."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from loadingdock.adapters.backup import Progress, make, restore
from loadingdock.adapters.backup.contacts import copies, put_in_use
from loadingdock.adapters.clock import SystemClock
from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.bootstrap import CONTACTS, DATABASE, FILES, System, system
from loadingdock.core.administration import operator
from loadingdock.core.contactvalues import Wanted
from loadingdock.core.errors import Conflict
from loadingdock.core.model.contacts import Column, Contact
from loadingdock.core.model.files import State
from loadingdock.core.model.jobs import Job
from loadingdock.core.ports.clock import Clock
from loadingdock.core.ports.jobs import JobQueue
from loadingdock.core.ports.records import Records
from loadingdock.core.processing import Processing, Tools
from loadingdock.core.receiving import Declaration
from loadingdock.settings import Settings
from tests.acceptance.importing import GOOD, counts
from tests.acceptance.operator import Operator, Said
from tests.acceptance.test_fsck import House, Later, flip, house_in
from tests.acceptance.test_import_commands import Typist
from tests.papers import ROOT

pytestmark = pytest.mark.embedded


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An installation without a server."""
    async with house_in(tmp_path / "data") as opened:
        yield opened


class Vault:
    """Where backups of the installation go, and where they come back."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "backup"
        self.back = folder / "back"
        self._data = folder / "data"

    async def types(self, data: Path, *words: str) -> Said:
        return await asyncio.to_thread(Operator(data).types, *words, "--json")

    async def backs_up(self) -> Any:
        said = await self.types(self._data, "backup", str(self.target))
        assert said.code == 0, said
        return said.object

    async def restores(self, *options: str) -> Said:
        return await self.types(self.back, "restore", str(self.target), *options)

    @property
    def blobs(self) -> list[Path]:
        return files(self.target / "blobs")


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in files(folder)}


async def same(house: House, data: Path) -> None:
    """What came back has the same files with the same bytes, and fsck finds nothing."""
    async with house_in_again(data) as back:
        assert await back.files() == await house.files()
        for file in await back.files():
            if file.version.blob_key is not None:
                assert back.path(file.version.blob_key).read_bytes() == house.path(file.version.blob_key).read_bytes()
        assert await back.usage() == await house.usage()
        assert await back.look() == []


@asynccontextmanager
async def house_in_again(data: Path) -> AsyncIterator[House]:
    async with system(Settings(data=data)) as opened:
        yield House(opened, await opened.services.administration.company("acme"))


# --- there and back ------------------------------------------------------------------------------


async def test_there_and_back(house: House, vault: Vault) -> None:
    await house.take(5)
    await house.process(5)
    first = await vault.backs_up()
    assert (first["blobs"], first["copied"]["blobs"], first["kept"]["blobs"]) == (10, 10, 0), "files and their texts"
    before = contents(vault.target)
    checked = await vault.restores("--dry-run")
    assert (checked.code, checked.object["restored"], vault.back.exists()) == (0, False, False)
    said = await vault.restores()
    assert said.code == 0, said
    assert contents(vault.target) == before, "a backup is read and not written"
    await same(house, vault.back)


async def test_nobody_else_may_read_it(house: House, vault: Vault) -> None:
    await house.take(2)
    await vault.backs_up()
    await vault.restores()
    for folder in (vault.target, vault.back):
        for path in (folder, *folder.rglob("*")):
            assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(vault.back / FILES)} == {0o400}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
async def test_other_tools_can_check_it(house: House, vault: Vault) -> None:
    await house.take(3)
    await vault.backs_up()
    (listed,) = vault.target.glob("blobs-*.sha256")
    command = ["sha256sum", "--check", "--strict", "--quiet", listed.name]
    await asyncio.to_thread(subprocess.run, command, cwd=vault.target, check=True)


async def test_only_new_bytes_are_copied_and_old_ones_go(house: House, vault: Vault) -> None:
    old = await house.take(5)
    await vault.backs_up()
    inodes = {path.stat().st_ino for path in vault.blobs}
    await house.system.services.files.delete(operator(house.company), old[0])
    await house.take(3)
    second = await vault.backs_up()
    assert (second["copied"]["blobs"], second["kept"]["blobs"]) == (3, 4)
    assert len(vault.blobs) == 7
    assert len(inodes & {path.stat().st_ino for path in vault.blobs}) == 4
    assert len([*vault.target.glob("records-*")]) == len([*vault.target.glob("blobs-*")]) == 1
    assert (await vault.restores()).code == 0
    await same(house, vault.back)


async def test_an_upload_under_way_begins_again(house: House, vault: Vault) -> None:
    principal, declaration = operator(house.company), Declaration("test", "big.txt", 1 << 20, keep=None, size=20)
    services = house.system.services
    file, upload = await services.promises.initiate(principal, declaration, expires_in=timedelta(hours=1))

    async def half() -> AsyncIterator[list[bytes]]:
        yield [b"ten bytes "]

    await services.appending.append(principal, upload, file, declaration, half(), offset=0, last=False)
    await vault.backs_up()
    await vault.restores()
    assert files(vault.back / FILES / "staging") == []
    await same(house, vault.back)
    async with house_in_again(vault.back) as back:
        again = back.system.services
        upload, file = await again.promises.find(house.company.id, upload.id)
        assert upload.offset == 0

        async def whole() -> AsyncIterator[list[bytes]]:
            yield [b"ten bytes ", b"and again."]

        _, file = await again.appending.append(principal, upload, file, declaration, whole(), offset=0, last=True)
        assert file.version.size == 20


# --- what is refused -----------------------------------------------------------------------------


async def test_other_folders_are_left_alone(house: House, vault: Vault, tmp_path: Path) -> None:
    await house.take(1)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "me.png").write_bytes(b"png")
    said = await vault.types(tmp_path / "data", "backup", str(photos))
    assert (said.code, said.object["error"]["code"]) == (1, "conflict")
    assert "neither empty nor a backup" in said.object["error"]["message"]
    assert [path.name for path in photos.iterdir()] == ["me.png"]
    inside = await vault.types(tmp_path / "data", "backup", str(tmp_path / "data" / "backup"))
    assert "belongs elsewhere" in inside.object["error"]["message"]
    nothing = await vault.types(tmp_path / "nothing", "backup", str(vault.target))
    assert "nothing to back up" in nothing.object["error"]["message"]
    assert not vault.target.exists()


@pytest.mark.parametrize(
    "elsewhere", [{"database_url": "postgresql://db.example.com/dock"}, {"store_url": "s3://files/dock"}]
)
@pytest.mark.parametrize("word", ["backup", "restore"])
def test_engines_have_tools_of_their_own(elsewhere: dict[str, str], word: str, vault: Vault, tmp_path: Path) -> None:
    vault.target.mkdir()
    said = Operator(tmp_path / "data", **elsewhere).types(word, str(vault.target), "--json")
    assert (said.code, said.object["error"]["code"]) == (1, "conflict")
    (page,) = re.findall(r"docs/\S+\.md", said.object["error"]["message"])
    assert "pg_dump" in (ROOT / page).read_text()
    assert [*vault.target.iterdir()] == []
    assert not (tmp_path / "data").exists()


async def test_another_installations_backup_is_refused(house: House, vault: Vault, tmp_path: Path) -> None:
    await vault.backs_up()
    before = contents(vault.target)
    async with house_in(tmp_path / "other"):
        said = await vault.types(tmp_path / "other", "backup", str(vault.target))
    assert "another installation" in said.object["error"]["message"]
    assert contents(vault.target) == before


async def test_nothing_is_overwritten(house: House, vault: Vault, tmp_path: Path) -> None:
    await house.take(1)
    await vault.backs_up()
    before = contents(tmp_path / "data")
    said = await vault.types(tmp_path / "data", "restore", str(vault.target))
    assert (said.code, said.object["error"]["code"]) == (1, "conflict")
    assert "is not empty" in said.object["error"]["message"]
    assert contents(tmp_path / "data") == before
    vault.back.mkdir()
    assert (await vault.restores()).code == 0, "an empty folder may be there"
    assert (await vault.restores()).code == 1


async def test_without_a_manifest_it_is_no_backup(house: House, vault: Vault) -> None:
    await house.take(1)
    await vault.backs_up()
    (vault.target / "manifest.json").unlink()
    said = await vault.restores()
    assert (said.code, said.object["error"]["code"]) == (1, "damaged")
    assert "no manifest" in said.object["error"]["message"]
    assert not vault.back.exists()


@pytest.mark.parametrize("which", ["blob", "records-*", "blobs-*.sha256"])
@pytest.mark.parametrize("option", [(), ("--dry-run",)], ids=["restore", "dry-run"])
async def test_a_flipped_byte_is_named(which: str, option: tuple[str, ...], house: House, vault: Vault) -> None:
    await house.take(3)
    await vault.backs_up()
    path = vault.blobs[1] if which == "blob" else next(vault.target.glob(which))
    flip(path)
    said = await vault.restores(*option)
    assert (said.code, said.object["error"]["code"]) == (1, "damaged")
    assert f"{path.relative_to(vault.target)} is altered" in said.object["error"]["message"]
    assert [left.name for left in vault.back.parent.iterdir() if "back" in left.name] == ["backup"]


async def test_a_missing_or_shortened_blob_is_named_and_mended_by_the_next_backup(house: House, vault: Vault) -> None:
    await house.take(3)
    await vault.backs_up()
    gone, short, _ = vault.blobs
    gone.unlink()
    short.chmod(0o600)
    os.truncate(short, 10)
    message = (await vault.restores()).object["error"]["message"]
    assert f"{gone.relative_to(vault.target)} cannot be read" in message
    assert f"{short.relative_to(vault.target)} is altered" in message
    assert (await vault.backs_up())["copied"]["blobs"] == 2
    assert (await vault.restores()).code == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 2}'])
async def test_a_manifest_that_is_none(text: str, house: House, vault: Vault) -> None:
    await vault.backs_up()
    (vault.target / "manifest.json").write_text(text)
    said = await vault.restores()
    assert said.code == 1
    assert "manifest.json" in said.object["error"]["message"]
    assert said.object["error"]["code"] == ("conflict" if "2" in text else "damaged")


async def test_what_was_damaged_before_is_told_and_the_rest_is_saved(house: House, vault: Vault) -> None:
    lost, altered, _ = await house.take(3)
    house.path(lost.version.blob_key).unlink()
    flip(house.path(altered.version.blob_key))
    said = await vault.types(house.system.settings.data, "backup", str(vault.target))
    assert said.code == 1
    assert {one["key"] for one in said.object["damaged"]} == {lost.version.blob_key, altered.version.blob_key}
    assert (await vault.restores()).object["damaged"] == 2
    async with house_in_again(vault.back) as back:
        assert {finding.subject for finding in await back.look()} == {lost.id, altered.id}


# --- under load ----------------------------------------------------------------------------------


async def test_what_ends_between_two_looks(house: House, vault: Vault) -> None:
    """Files that come and go at every step of a backup; at most two may come in its last moments."""
    await house.take(20)
    services, company = house.system.services, operator(house.company)
    loop = asyncio.get_running_loop()
    steps = 0

    async def come_and_go() -> None:
        nonlocal steps
        steps += 1
        if steps > 30:
            return
        (file, *_) = await house.take(3)
        await services.files.delete(company, file)

    def told(_: int, __: int) -> None:
        asyncio.run_coroutine_threadsafe(come_and_go(), loop).result(30)

    def run() -> None:
        data = house.system.settings.data
        make(
            data / DATABASE,
            data / FILES,
            data / CONTACTS,
            vault.target,
            program="0",
            progress=Progress(told),
            at_once=2,
        )

    await asyncio.to_thread(run)
    assert steps > 30
    assert (await vault.restores()).code == 0
    async with house_in_again(vault.back) as back:
        assert await back.look() == []
        assert len(await back.files()) >= 20


async def test_more_than_can_be_copied(house: House, vault: Vault) -> None:
    """Two files come in each round, for each two that are copied."""
    await house.take(1)
    loop = asyncio.get_running_loop()
    calls = itertools.count()

    def told(_: int, __: int) -> None:
        if next(calls) % 2 == 0:
            asyncio.run_coroutine_threadsafe(house.take(2), loop).result(30)

    def run() -> None:
        data = house.system.settings.data
        make(
            data / DATABASE,
            data / FILES,
            data / CONTACTS,
            vault.target,
            program="0",
            progress=Progress(told),
            at_once=1,
        )

    with pytest.raises(Conflict, match="More comes in than can be copied"):
        await asyncio.to_thread(run)
    assert not (vault.target / "manifest.json").exists()


class Followed:
    """The same object, where after each call of one method something else happens too."""

    def __init__(self, of: object, name: str, after: Callable[[], Awaitable[None]]) -> None:
        self._of = of
        self._name = name
        self._after = after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)

        async def both(*arguments: Any, **named: Any) -> Any:
            result = await found(*arguments, **named)
            await self._after()
            return result

        return both if name == self._name else found


@pytest.mark.slow
async def test_a_worker_in_the_midst_of_a_file(house: House, tmp_path: Path) -> None:
    """A backup after each commit of the worker: wherever it stood, another brings what came back to its end."""
    await house.take(1)
    data, backups = house.system.settings.data, tmp_path / "backups"

    async def backed_up() -> None:
        target = backups / str(len([*backups.glob("*")]))
        await asyncio.to_thread(
            make, data / DATABASE, data / FILES, data / CONTACTS, target, program="0", progress=Progress()
        )

    system = house.system
    records: Any = Followed(system.records, "write", backed_up)
    queue: Any = Followed(system.queue, "remember", backed_up)
    await work_on(system, await claimed(system, SystemClock()), records, queue)
    made = sorted(backups.glob("*"))
    assert len(made) >= 5, "begun, scanned, typed, its text begun, ended"
    for backup in made:
        back = tmp_path / "back" / backup.name
        names = {"database": DATABASE, "files": FILES, "contacts": CONTACTS}
        await asyncio.to_thread(restore, backup, back, **names, dry_run=False, progress=Progress())
        async with house_in_again(back) as again:
            job = await claimed(again.system, Later(2 * system.settings.lease))
            await work_on(again.system, job, again.system.records, again.system.queue)
            assert await again.look() == [], backup
            (file,) = await again.files()
            assert file.state is State.READY
            text = await again.system.services.files.text(operator(again.company), file)
            assert text.startswith(b"file 0")


async def claimed(system: System, clock: Clock) -> Job:
    """The one job there is."""
    (job,) = await system.queue.claim("test", lease=system.settings.lease, limit=9, cap=9, now=clock.now())
    return job


async def work_on(system: System, job: Job, records: Records, queue: JobQueue) -> None:
    tools = Tools(system.scanner, system.detector, system.extractor)
    await Processing(records, queue, system.blobs, tools, system.services.clock, system.imports).run(job)


async def test_contact_tables_come_back(house: House, vault: Vault) -> None:
    contacts, admin = house.system.services.contacts, operator(house.company)
    table = await contacts.create(admin, 'x"); DROP', [Column("NAME", max=80)], key=["NAME"])
    await house.system.contacts.put(table, [Contact(1, ("Anna",)), Contact(2, (None,))])
    await vault.backs_up()
    await house.system.contacts.delete(table, 1)
    later = await contacts.create(admin, "later", [Column("NAME")])
    assert (await vault.restores("--dry-run")).code == 0
    assert (await vault.restores()).code == 0
    async with system(Settings(data=vault.back)) as back:
        assert await back.services.contacts.tables(admin) == (table,)
        assert [batch async for batch in back.contacts.export(table, Wanted())] == [
            (Contact(1, ("Anna",)), Contact(2, (None,)))
        ]
        assert await back.services.contacts.examine() == ()
        again = await back.services.contacts.create(admin, "other", [Column("NAME")])
        assert again.number == later.number
    await vault.backs_up()
    (kept,) = vault.target.glob("contacts-*")
    flip(kept)
    said = await vault.restores("--dry-run")
    assert (said.code, f"{kept.name} is altered" in said.out) == (1, True)


async def test_a_table_that_was_declared_after_the_moment_is_none_of_the_backup(house: House, tmp_path: Path) -> None:
    contacts, admin = house.system.services.contacts, operator(house.company)
    known = await contacts.create(admin, "known", [Column("NAME")])
    await contacts.create(admin, 'later"', [Column("NAME", unique=True)])
    folder = house.system.settings.data / CONTACTS
    (kept,) = copies(folder, tmp_path, "0" * 8, lambda _: {known.number}, 0)
    there = SqliteContacts(tmp_path / "there")
    (tmp_path / "there").mkdir()
    kept.rename(there.path(house.company.id))
    put_in_use(there.path(house.company.id))
    assert await there.examine(house.company.id, [known]) == ()
    await there.close()


@pytest.fixture
def typist(tmp_path: Path) -> Typist:
    """Who loads contacts where no server runs."""
    typist = Typist(tmp_path / "data", tmp_path, "acme")
    typist.gets("company", "add", "acme")
    typist.prepares()
    return typist


@pytest.mark.slow
def test_an_import_is_undone_after_a_restore(typist: Typist, tmp_path: Path) -> None:
    first = typist.loads(GOOD)
    before = typist.rows()
    changed = GOOD.replace("Anna", "Anna Maria") + "cleo@example.com;Cleo;01/03/2001\r\n"
    second = typist.loads(changed, "--operation", "UPDINS")
    assert counts(second) == (1, 1, 1, 0, 0)
    for folder, undone in (("untouched", False), ("undone", True)):
        if undone:
            typist.gets("import", "undo", str(second["logID"]))
        typist.gets("backup", str(tmp_path / "backup"))
        back = Typist(tmp_path / folder, tmp_path, "acme")
        back.gets("restore", str(tmp_path / "backup"))
        if not undone:
            assert len(back.rows()) == 3
            found = back.gets("import", "undo", str(second["logID"]))
            assert {**found["undone"], "at": ""} == {"at": "", "removed": 1, "restored": 1, "left": 0, "leftFile": None}
        assert back.rows() == before
        assert back.types("import", "undo", str(second["logID"])).code == 1
        back.gets("import", "undo", str(first["logID"]))
        assert back.rows() == []


@pytest.mark.slow
def test_an_import_after_the_moment_is_none_of_the_backup(typist: Typist, tmp_path: Path) -> None:
    """Its number will be given to another one, which has not been done then."""
    known = typist.loads(GOOD)["logID"]
    typist.loads(GOOD.replace("Anna", "Anna Maria"), "--operation", "UPDINS")
    (kept,) = copies(typist.data / CONTACTS, tmp_path, "0" * 8, lambda _: {1}, known)
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("SELECT number FROM _dock_loads").fetchall() == [(known,)]
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        assert names == {"_dock_tables", "_dock_loads", "customers", "sqlite_sequence"}
