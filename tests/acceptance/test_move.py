"""An installation goes from one folder to another: whole or not at all, and however often it is killed on its way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from loadingdock.adapters.contacts.tables.sqlite import SqliteContacts
from loadingdock.adapters.moving import CopyLedger, DatabaseRows, SqliteDatabase
from loadingdock.bootstrap import CONTACTS, DATABASE, FILES, system
from loadingdock.cli.move import _shown
from loadingdock.core.administration import operator
from loadingdock.core.contactchanges import Change, ColumnChange
from loadingdock.core.errors import Conflict, Sealed
from loadingdock.core.model.files import State
from loadingdock.core.moving import Seal
from loadingdock.settings import Settings
from loadingdock.testing.contacts.material import EVERY, ROWS, contacts_of, exported, filled
from tests.acceptance.importing import GOOD, counts
from tests.acceptance.operator import Operator, Said
from tests.acceptance.test_fsck import House, flip, house_in
from tests.acceptance.test_import_commands import Typist
from tests.engines.seaweedfs import READER, READER_SECRET, SeaweedFS, seaweedfs

__all__ = ["seaweedfs"]
pytestmark = pytest.mark.embedded


class Ways:
    """Two folders, and what is typed to get from one to the other."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = folder / "old", folder / "new"
        self.operator = Operator(self.old)
        self.moved = Operator(self.new)
        self.to_database = ("--to-database", f"sqlite://{self.new / DATABASE}")
        self.to_store = ("--to-store", str(self.new))

    @property
    def whole(self) -> tuple[str, ...]:
        return ("move", *self.to_database, *self.to_store)

    @asynccontextmanager
    async def furnished(self, count: int = 5, size: int = 64) -> AsyncIterator[House]:
        async with house_in(self.old) as house:
            await house.take(count, size)
            yield house

    def types(self, *words: str) -> Said:
        """In the midst of a test's own loop, where a command cannot have one."""
        return self.operator.types(*words)


@pytest.fixture
def ways(tmp_path: Path) -> Ways:
    return Ways(tmp_path)


def everything(folder: Path) -> dict[str, Any]:
    """Each file and how it is, but for the database, whose log SQLite folds into it when it is closed."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(DATABASE)
    }


async def told(ways: Ways, data: Path) -> tuple[list[Any], dict[str, bytes]]:
    """Files as their records say, and the bytes of each."""
    async with system(Settings(data=data)) as opened:
        company = await opened.services.administration.company("acme")
        house = House(opened, company)
        files = sorted(await house.files(), key=lambda file: file.id)
        bytes_of = {
            file.id: b"".join([piece async for piece in opened.blobs.read(file.version.blob_key)])
            for file in files
            if file.version.blob_key is not None
        }
        return files, bytes_of


async def typed(ways: Ways, *words: str, on: Operator | None = None) -> Said:
    return await asyncio.to_thread((on or ways.operator).types, *words)


async def test_a_look_changes_nothing(ways: Ways, tmp_path: Path) -> None:
    async with ways.furnished():
        before = everything(tmp_path)
        said = await typed(ways, *ways.whole, "--dry-run", "--json")
    assert said.code == 0, said
    report = said.object
    assert (report["files"], report["bytes"], report["dry_run"], report["done"]) == (5, 320, True, False)
    assert (report["rows"]["files"], report["rows"]["versions"]) == (5, 5)
    assert report["next"] == []
    assert everything(tmp_path) == before
    assert not ways.new.exists()
    assert "This would be moved: SQLite" in (await typed(ways, *ways.whole, "--dry-run")).out


async def test_it_arrives_and_the_old_one_is_sealed(ways: Ways) -> None:
    async with ways.furnished(7) as house:
        await house.process(7)
        (altered, missing), rest = (await house.files())[:2], 5
        flip(house.path(altered.version.blob_key))
        house.path(missing.version.blob_key).unlink()
        await house.look(repair=True)
        said = await typed(ways, *ways.whole, "--json")
        assert said.code == 0, said
        with pytest.raises(Exception, match="being moved"):
            await house.take(1)
        assert await house.files(), "it is read all the same"
    report = said.object
    assert report["done"]
    assert report["problems"] == []
    assert report["copied"] == 6 + rest + 1, "six files, one of them kept aside, and the texts of all that are ready"
    assert report["rows"]["files"] == 7
    assert str(ways.new) in " ".join(report["next"])
    files, content = await told(ways, ways.new)
    assert (files, content) == await told(ways, ways.old)
    assert sorted(file.state for file in files) == [State.READY] * 5 + [State.REJECTED] * 2
    assert (await typed(ways, "fsck", on=ways.moved)).code == 0
    assert not (ways.old / "moving").exists()
    assert "sealed: moved" in (await typed(ways, "doctor")).out
    repair = await typed(ways, "fsck", "--repair")
    assert (repair.code, "being moved" in repair.out + repair.err) == (1, True)


async def test_contact_tables_go_too(ways: Ways) -> None:
    async with ways.furnished(1) as house:
        contacts, admin = house.system.services.contacts, operator(house.company)
        table = await contacts.create(admin, "Kunden", EVERY, key=["NAME"])
        await house.system.contacts.put(table, contacts_of(ROWS))
        retired = Change(columns={"AGE": ColumnChange(retired=True)})
        table = await contacts.alter(admin, "Kunden", retired)
        looked = await typed(ways, *ways.whole, "--dry-run", "--json")
        assert (looked.object["contacts"], (ways.new / CONTACTS).exists()) == (len(ROWS), False)
        left = SqliteContacts(ways.new / CONTACTS)  # by an attempt that was killed
        await filled(left, replace(table, code="half", columns=table.columns[:2], key=()), [("a", "b")])
        await left.close()
        said = await typed(ways, *ways.whole, "--json")
        assert (said.code, said.object["contacts"]) == (0, len(ROWS)), said
        with pytest.raises(Sealed):
            await contacts.alter(admin, "Kunden", Change(name="x"))
        with pytest.raises(Sealed):
            await contacts.delete(admin, table, ["Anna"])
    async with system(Settings(data=ways.new)) as moved:
        assert await moved.services.contacts.tables(admin) == (table,)
        restored = Change(columns={"AGE": ColumnChange(retired=False)})
        table = await moved.services.contacts.alter(admin, "Kunden", restored)
        assert await exported(moved.contacts, table) == list(contacts_of(ROWS))
        assert await moved.services.contacts.examine() == ()


@pytest.mark.slow
def test_an_import_is_undone_at_the_new_place(ways: Ways, tmp_path: Path) -> None:
    there, back = Typist(ways.new, tmp_path, "acme"), Typist(tmp_path / "back", tmp_path, "acme")
    typist = Typist(ways.old, tmp_path, "acme")
    typist.gets("company", "add", "acme")
    typist.prepares()
    first = str(typist.loads(GOOD)["logID"])
    before = typist.rows()
    changed = GOOD.replace("Anna", "Anna Maria") + "cleo@example.com;Cleo;01/03/2001\r\n"
    second = str(typist.loads(changed, "--operation", "UPDINS")["logID"])
    assert "contacts: 3; imports that can be undone: 2\n" in typist.types(*ways.whole, "--dry-run").out
    assert "imports that can be undone: 2, read back and compared\n" in typist.types(*ways.whole).out
    assert len(there.rows()) == 3
    assert counts(there.loads(changed, "--operation", "UPDINS")) == (0, 0, 3, 0, 0)
    undone = there.gets("import", "undo", second)["undone"]
    assert (undone["removed"], undone["restored"], undone["left"]) == (1, 1, 0)
    assert there.rows() == before
    home = ("--to-database", f"sqlite://{back.data / DATABASE}", "--to-store", str(back.data))
    assert there.gets("move", *home)["undoable"] == 2
    back.gets("import", "undo", first)
    assert back.rows() == []


@pytest.mark.slow
async def test_once_there_it_only_brings_the_log(ways: Ways) -> None:
    async with ways.furnished(1) as house:
        await house.process(1)
        assert (await typed(ways, *ways.whole)).code == 0
        (file,) = await house.files()
        await house.system.services.files.open(operator(house.company), file)
        again = await typed(ways, *ways.whole, "--json")
    assert again.object["done"]
    assert again.object["log_rows_followed"] >= 1
    assert (await typed(ways, *ways.whole, "--json")).object["log_rows_followed"] == 0
    async with system(Settings(data=ways.new)) as opened:
        company = await opened.services.administration.company("acme")
        assert await House(opened, company).audited("download") == 1


async def test_bytes_that_are_missing_stop_it_before_anything_is_sealed(ways: Ways) -> None:
    async with ways.furnished() as house:
        (file, *_) = await house.files()
        house.path(file.version.blob_key).unlink()
        said = await typed(ways, *ways.whole, "--json")
        assert said.code == 1
        (problem,) = said.object["problems"]
        assert (problem["subject"], problem["detail"]) == (file.id, "its bytes are missing")
        assert not said.object["done"]
        assert (await typed(ways, *ways.whole, "--dry-run")).code == 1
        await house.take(1)
        await house.look(repair=True)
        after = await typed(ways, *ways.whole, "--json")
    assert after.object["done"]
    assert after.object["already"] == 4, "what had arrived was not carried again"


async def test_altered_bytes_do_not_arrive_as_if_they_were_right(ways: Ways) -> None:
    async with ways.furnished() as house:
        (file, *_) = await house.files()
        flip(house.path(file.version.blob_key))
        said = await typed(ways, *ways.whole, "--json")
        assert said.code == 1
        (problem,) = said.object["problems"]
        assert problem["subject"] == file.id
        assert "SHA-256" in problem["detail"]
        assert not (ways.new / FILES / "blobs" / (file.version.blob_key or "")).exists()
        await house.take(1)


async def test_where_another_installation_lies_nothing_is_moved(ways: Ways) -> None:
    async with house_in(ways.new) as other:
        await other.take(2)
    async with ways.furnished() as house:
        said = await typed(ways, *ways.whole)
        assert (said.code, "is not empty" in said.err) == (1, True)
        store = await typed(ways, "move", *ways.to_store)
        assert (store.code, "2 files lie there already" in store.out) == (1, True)
        assert (await typed(ways, "move", *ways.to_store, "--dry-run")).code == 1
        await house.take(1)


@pytest.mark.engine("s3")
async def test_a_store_that_may_only_be_read_is_not_moved_to(ways: Ways, seaweedfs: SeaweedFS) -> None:
    """Without a file nothing would have to be written into it before the service starts there."""
    settings = {**seaweedfs.settings, "store_access_key": READER, "store_secret_key": READER_SECRET}
    words = ["--to-store", seaweedfs.fresh_url()]
    words += [word for name, value in settings.items() for word in ("--to", f"{name}={value}")]
    async with ways.furnished(0) as house:
        said = await typed(ways, "move", *words)
        assert said.code == 1
        assert "may not s3:PutObject" in said.out
        await house.take(1)


@pytest.mark.slow
async def test_a_database_that_is_away_is_named(ways: Ways) -> None:
    async with ways.furnished(1):
        with closing(socket.socket()) as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"postgresql://dock:s3:cret@127.0.0.1:{nobody.getsockname()[1]}/dock?connect_timeout=1"
            said = await typed(ways, "move", "--to-database", url, "--dry-run")
    assert said.code == 1
    assert "database at PostgreSQL 127.0.0.1:" in said.err
    assert "s3:cret" not in said.out + said.err


async def test_the_database_alone(ways: Ways) -> None:
    async with ways.furnished():
        said = await typed(ways, "move", *ways.to_database, "--json")
        assert said.object["done"]
        assert (said.object["files"], said.object["rows"]["files"]) == (0, 5)
    both = Operator(ways.old, database_url=f"sqlite://{ways.new / DATABASE}")
    assert (await typed(ways, "fsck", on=both)).code == 0
    assert (await typed(ways, "company", "add", "other", on=both)).code == 0


@pytest.mark.slow
async def test_the_store_alone_is_opened_by_hand(ways: Ways) -> None:
    async with ways.furnished():
        said = await typed(ways, "move", *ways.to_store, "--json")
        assert said.object["done"]
        assert any("--finish" in step for step in said.object["next"])
    new = Operator(ways.new, database_url=f"sqlite://{ways.old / DATABASE}")
    assert (await typed(ways, "company", "add", "other", on=new)).code == 1
    old = await typed(ways, "move", "--finish")
    assert (old.code, "Set what the move said" in old.err) == (1, True)
    assert (await typed(ways, "move", "--finish", on=new)).code == 0
    assert (await typed(ways, "company", "add", "other", on=new)).code == 0
    assert (await typed(ways, "fsck", on=new)).code == 0
    assert (await typed(ways, "move", "--finish", on=new)).code == 1


@pytest.mark.slow
async def test_what_was_left_by_a_kill_is_gone_on_with_or_given_up(ways: Ways, tmp_path: Path) -> None:
    async with ways.furnished() as house:
        database = SqliteDatabase(ways.new / DATABASE)
        rows = DatabaseRows(SqliteDatabase(ways.old / DATABASE), database)
        await rows.seal(Seal("0" * 16, database.place, f"folder {ways.new / FILES}"))
        other = await typed(ways, "move", "--to-database", f"sqlite://{tmp_path / 'third' / DATABASE}")
        assert (other.code, "is under way" in other.err) == (1, True)
        assert (await typed(ways, "move", "--abandon")).code == 0
        assert (await typed(ways, "move", "--abandon")).code == 1
        await house.take(1)
        assert (await typed(ways, *ways.whole)).code == 0
        refused = await typed(ways, "move", "--abandon")
        assert (refused.code, "--force" in refused.err) == (1, True)
        assert (await typed(ways, "move", "--abandon", "--force")).code == 0
        await house.take(1)


async def test_one_at_a_time(ways: Ways) -> None:
    async with ways.furnished():
        held = CopyLedger(ways.old / "moving" / "held.sqlite3")
        said = await typed(ways, *ways.whole)
        held.close()
        assert (said.code, "Another `loadingdock move`" in said.err) == (1, True)
        assert (await typed(ways, *ways.whole)).code == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "say where to"),
        (("--to-store", "s3://b", "--abandon"), "say where to"),
        (("--to-store", "x", "--to", "lease=3s"), "no setting of a place"),
        (("--to-store", "x", "--to", "store_endpoint"), "no setting of a place"),
        (("--to-database", "mysql://db"), "LOADINGDOCK_DATABASE_URL is wrong"),
        (("--to-store", "old"), "no installation"),
    ],
)
def test_what_is_typed_wrongly_is_said(ways: Ways, words: tuple[str, ...], reason: str) -> None:
    said = ways.types("move", *words)
    assert said.code in {1, 2}
    assert reason in said.err


async def test_where_it_lies_already(ways: Ways) -> None:
    async with ways.furnished():
        said = await typed(ways, "move", "--to-store", str(ways.old))
        assert (said.code, "lie there already" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://dock:s3:cret@db:5432/dock", "postgresql://dock:***@db:5432/dock"),
        ("postgresql://db/dock?user=a&password=s3:cret&x=1", "postgresql://db/dock?user=a&password=***&x=1"),
        ("postgresql://db/dock", "postgresql://db/dock"),
    ],
)
def test_no_secret_is_told(url: str, shown: str) -> None:
    assert _shown(Settings(database_url=url, store_secret_key="s3:cret"), "database_url") == shown
    assert "s3:cret" not in str(_shown(Settings(store_secret_key="s3:cret"), "store_secret_key"))


async def test_what_the_ledger_says_has_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "moving" / "one.sqlite3"
    ledger = CopyLedger(path)
    for key in ("here", "gone", "half"):
        await ledger.begin(key)
    await ledger.arrive("here", 1, "a")
    await ledger.arrive("gone", 1, "b")
    with pytest.raises(Conflict):
        CopyLedger(path)
    ledger.close()
    again = CopyLedger(path)
    assert await again.unfinished() == ("half",)
    assert await again.arrived(["here", "gone", "half", "other"]) == {"here", "gone"}
    assert await again.see(["here", "half", "other"]) == {"here", "half"}
    await again.forget_unseen()
    assert await again.arrived(["here", "gone"]) == {"here"}
    looked = CopyLedger(None, like=path)
    assert await looked.arrived(["here", "gone"]) == {"here"}
    looked.close()
    await again.clear()
    again.close()
    assert not path.parent.exists()


def killed_until_done(ways: Ways) -> tuple[int, Any]:
    """How often, and the report at last. Each attempt is given a little longer than the one before."""
    environment = {**os.environ, "LOADINGDOCK_DATA": str(ways.old)}
    command = [sys.executable, "-m", "loadingdock", *ways.whole, "--json"]
    patience = 0.8
    for kills in count():
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                out, _ = process.communicate(timeout=patience)
                return kills, json.loads(out)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                patience += 0.3
    raise AssertionError("it counts for ever")


@pytest.mark.slow
async def test_killed_at_any_moment_it_goes_on(ways: Ways) -> None:
    async with ways.furnished(40, 300_000):
        before = await told(ways, ways.old)
    kills, report = await asyncio.to_thread(killed_until_done, ways)
    assert kills >= 2
    assert report["done"], report
    assert await told(ways, ways.new) == before
    assert (await typed(ways, "fsck", on=ways.moved)).code == 0
