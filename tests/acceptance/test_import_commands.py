"""Imports as an operator types them: with a server beside, and where none runs."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.importing import FILE_NOTIFY, GOOD, HEADER, MIXED, SPECS, counts
from tests.acceptance.operator import Operator
from tests.engines.backing import BACKING
from tests.receiver import Receiver
from tests.service import Service

SEMICOLON = ("--separator", ";")


class Typist(Operator):
    """At a company's table `customers`, with files in a folder."""

    def __init__(self, data: Path, folder: Path, company: str, **settings: object) -> None:
        super().__init__(data, **settings)
        self.folder = folder
        self.company = company

    def prepares(self) -> None:
        specs = [word for spec in SPECS for word in ("--column", spec)]
        self.gets("table", "add", self.company, "customers", *specs, "--key", "EMAIL")

    def file(self, content: str, name: str = "contacts.csv") -> str:
        path = self.folder / name
        path.write_bytes(content.encode())
        return str(path)

    def loads(self, content: str, *words: str, code: int = 0) -> dict[str, Any]:
        said = self.types("import", "run", self.company, "customers", self.file(content), *SEMICOLON, *words, "--json")
        assert said.code == code, said
        found: dict[str, Any] = said.object
        return found

    def rows(self) -> list[tuple[Any, ...]]:
        shown = self.gets("table", "rows", self.company, "customers")["rows"]
        return [tuple(row["values"].values()) for row in shown]

    def program(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """In a process of its own, where what is written are bytes."""
        return subprocess.run(
            [sys.executable, "-m", "loadingdock", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=100,
        )

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LOADINGDOCK_")}
        return clean | self._environment


@pytest.fixture
def alone(tmp_path: Path) -> Typist:
    """Where no server runs."""
    typist = Typist(tmp_path / "data", tmp_path, "acme", **BACKING.settings(), callback_allow="127.0.0.1/32")
    typist.gets("company", "add", "acme")
    typist.prepares()
    return typist


@pytest.fixture
def beside(service: Service, tmp_path: Path) -> Typist:
    typist = Typist(service.data, tmp_path, service.desk.company("typed").code, **service.chosen)
    typist.prepares()
    return typist


def test_it_is_done_where_no_server_runs(alone: Typist) -> None:
    with Receiver() as receiver:
        found = alone.loads(GOOD, "--operation", "updins", "--callback", receiver.url())
        assert len(receiver.received) == 1  # before the command ends
    assert (found["state"], found["result"], counts(found)) == ("finished", "FINISHED", (2, 0, 0, 0, 0))
    assert list(found)[: len(FILE_NOTIFY)] == FILE_NOTIFY
    assert alone.rows() == [
        ("anna@example.com", "Anna", "1996-02-29"),
        ("bert@example.com", "Bert; the second", "1987-12-01"),
    ]
    number = str(found["logID"])
    assert alone.gets("import", "show", number) == {**found, "progress": found["progress"]}
    (listed,) = alone.gets("import", "list", "acme", "--table", "customers", "--state", "finished")["imports"]
    assert listed["logID"] == found["logID"]
    assert alone.gets("import", "list", "acme", "--state", "failed")["imports"] == []
    assert "state: finished\n" in alone.types("import", "show", number).out

    undone = alone.types("import", "undo", number)
    assert (undone.code, undone.out) == (
        0,
        f"Import {number} is undone: 2 contacts removed, 0 restored, 0 left as they were changed since.\n",
    )
    assert alone.rows() == []
    assert alone.types("import", "undo", number).code == 1


@pytest.mark.slow
def test_rejected_records_are_shown(alone: Typist) -> None:
    path = alone.file(MIXED)
    said = alone.types("import", "run", "acme", "customers", path, *SEMICOLON)
    assert said.code == 1
    assert re.match(r"Import \d+ was rejected, and nothing was changed\. ", said.out)
    assert alone.rows() == []

    found = alone.loads(MIXED, "--lenient", "--key", "email", "--operation", "UPDINS", code=1)
    assert (found["state"], counts(found)) == ("finished_with_errors", (1, 0, 0, 1, 2))
    number = str(found["logID"])
    rejects = alone.gets("import", "rejects", number)["rejects"]
    assert [(each["line"], each["column"], each["code"], each["raw"]) for each in rejects] == [
        (3, "BORN", "not_a_date", "bert@example.com;Bert;31/02/1987"),
        (5, "EMAIL", "not_an_email", "no address;Cleo;32/12/1987"),
        (5, "BORN", "not_a_date", "no address;Cleo;32/12/1987"),
    ]
    assert list(rejects[0]) == ["line", "column", "code", "reason", "raw"]
    assert "bert@example.com;Bert;31/02/1987" in alone.types("import", "rejects", number).out
    (skipped,) = alone.gets("import", "rejects", number, "--outcome", "skipped")["rejects"]
    assert (skipped["line"], skipped["code"]) == (2, "duplicate_in_file")

    assert alone.types("import", "rejects", number, "--csv", "--json").code == 2


@pytest.mark.slow
def test_rejected_records_are_written_and_loaded_again(alone: Typist) -> None:
    number = str(alone.loads(MIXED, "--lenient", "--operation", "UPDINS", code=1)["logID"])
    written = alone.program("import", "rejects", number, "--csv")
    assert written.returncode == 0, written.stderr
    corrected = (
        written.stdout.decode().replace("31/02", "28/02").replace("32/12", "31/12").replace("no address", "c@d.e")
    )
    assert counts(alone.loads(corrected)) == (2, 0, 0, 0, 0)
    assert len(alone.program("import", "rejects", number, "--report").stdout.splitlines()) == 3
    nothing = alone.program("import", "rejects", number, "--report", "--outcome", "left")
    assert (nothing.returncode, b"no such file" in nothing.stderr) == (1, True)


@pytest.mark.slow
def test_what_waits_can_be_cancelled(alone: Typist) -> None:
    waiting = alone.loads(GOOD, "--no-wait")
    number = str(waiting["logID"])
    assert (waiting["state"], waiting["result"]) == ("waiting", None)
    assert alone.gets("import", "show", number)["result"] is None
    assert alone.types("import", "cancel", number).out == f"Import {number} was cancelled, and nothing was changed.\n"
    assert alone.gets("import", "show", number)["state"] == "cancelled"
    again = alone.types("import", "cancel", number)
    assert (again.code, again.err) == (1, f"Import {number} is cancelled: there is nothing to cancel.\n")
    assert alone.rows() == []


@pytest.mark.slow
def test_names_are_given_and_files_are_of_all_kinds(alone: Typist) -> None:
    found = alone.loads("Anna|anna@example.com\n", "--columns", "NAME;EMAIL", "--separator", "|", "--dry-run")
    assert (found["columns"], found["dry_run"], counts(found)) == (["NAME", "EMAIL"], True, (1, 0, 0, 0, 0))
    assert alone.rows() == []
    found = alone.loads(
        "x\ty\n\"Anna\tanna@example.com\n", "--columns", "NAME", "--columns", "EMAIL", "--header",
        "--separator", "tab", "--quote", "", "--encoding", "latin-1",
    )  # fmt: skip
    assert (counts(found), alone.rows()) == ((1, 0, 0, 0, 0), [("anna@example.com", '"Anna', None)])
    assert "Warning: " in alone.types(
        "import", "run", "acme", "customers", alone.file("x;y\n"), *SEMICOLON, "--columns", "NAME;EMAIL", "--header"
    ).out  # fmt: skip


@pytest.mark.slow
def test_what_cannot_be_loaded_is_said(alone: Typist) -> None:
    for words, code in (
        (("--operation", "MERGE"), 2),
        (("--columns", "NOPE"), 1),
        (("--separator", "ab"), 1),
        (("--encoding", "klingon"), 1),
        ((*SEMICOLON, "--operation", "UPALL", "--key", "NAME;NOPE"), 1),
        ((*SEMICOLON, "--callback", "http://10.0.0.1/"), 1),
    ):
        said = alone.types("import", "run", "acme", "customers", alone.file(GOOD), *words)
        assert (said.code, bool(said.err)) == (code, True), words
    assert alone.gets("import", "list", "acme")["imports"] == []


def test_what_is_not_there_is_said(alone: Typist) -> None:
    said = alone.types("import", "show", "4711")
    assert (said.code, said.err) == (
        1,
        "There is no import 4711; `loadingdock import list COMPANY` shows them.\n",
    )
    missing = alone.types("import", "run", "acme", "customers", "/nowhere/contacts.csv")
    assert (missing.code, missing.err) == (1, "/nowhere/contacts.csv: No such file or directory\n")
    folder = alone.types("import", "run", "acme", "customers", ".")
    assert (folder.code, folder.err) == (1, ".: Is a directory\n")
    assert "there are customers" in alone.types("import", "run", "acme", "nothing", alone.file(GOOD)).err
    assert alone.types("import", "list", "acme", "--state", "odd").code == 2


def test_a_server_beside_does_it(beside: Typist) -> None:
    first = beside.types("import", "run", beside.company, "customers", beside.file(GOOD), *SEMICOLON)
    assert first.code == 0
    number = re.match(r"Import (\d+) has finished: 2 records, 2 inserted\.\n", first.out)
    assert number is not None, first.out
    assert re.search(r"^Import \d+: waiting$", first.err, re.MULTILINE)
    assert f"`loadingdock import undo {number[1]}`" in first.out
    beside.loads(HEADER + "bert@example.com;Since;01/01/1990\n", "--operation", "UPDINS")
    undone = beside.types("import", "undo", number[1])
    assert undone.code == 1
    assert "1 contacts removed, 0 restored, 1 left" in undone.out
    (left,) = beside.gets("import", "rejects", number[1], "--outcome", "left")["rejects"]
    assert left["code"] == "changed"


@pytest.mark.slow
def test_a_terminal_sees_a_bar(alone: Typist) -> None:
    here, there = pty.openpty()
    words = ("import", "run", "acme", "customers", alone.file(GOOD), *SEMICOLON)
    running = subprocess.Popen(
        [sys.executable, "-m", "loadingdock", *words],
        env={**alone.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=there,
    )
    os.close(there)
    drawn = b""
    try:
        while piece := os.read(here, 1 << 16):
            drawn += piece
    except OSError:  # how a terminal tells that nobody writes to it any more
        pass
    os.close(here)
    said, _ = running.communicate(timeout=100)
    assert (running.returncode, b"has finished" in said) == (0, True)
    assert b"waiting" in drawn
    assert b"finished" in drawn


@pytest.mark.slow
def test_who_stops_waiting_stops_nothing_else(alone: Typist) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "loadingdock", "import", "run", "acme", "customers", alone.file(GOOD), *SEMICOLON],
        env=alone.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    waiting = re.fullmatch(r"Import (\d+): waiting\n", running.stderr.readline())
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=100)
    assert waiting is not None, err
    assert (running.returncode, out) == (1, "")
    assert f"`loadingdock import cancel {waiting[1]}` ends it" in err
    assert alone.gets("import", "show", waiting[1])["state"] == "waiting"
    assert counts(alone.loads(GOOD, "--operation", "INSNEW")) == (0, 0, 0, 2, 0)  # it was its turn before
