"""The operator's contract: what is typed, what is printed, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadingdock import __version__
from loadingdock.core.administration import operator as acting
from loadingdock.core.ports.records import Unit
from loadingdock.web.services import Services
from tests.acceptance.operator import Operator

if TYPE_CHECKING:
    from tests.service import Service

PASSWORD = "correct-horse-battery"


@pytest.fixture
def desk(tmp_path: Path) -> Operator:
    return Operator(tmp_path / "data")


def program(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOADINGDOCK_")}
    return subprocess.run(
        [sys.executable, "-m", "loadingdock", *words],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )


# --- how every command answers -------------------------------------------------------------------


def test_version_from_the_shell(tmp_path: Path) -> None:
    assert program("version", cwd=tmp_path).stdout == f"loadingdock {__version__}\n"
    assert json.loads(program("version", "--json", cwd=tmp_path).stdout) == {"version": __version__}
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_command(desk: Operator) -> None:
    said = desk.types("--help")
    assert said.code == 0
    for noun in ("serve", "work", "demo", "doctor", "fsck", "company", "user", "key", "client", "jobs", "version"):
        assert noun in said.out


def test_a_light_command_does_not_load_the_service(tmp_path: Path) -> None:
    heavy = "fastapi uvicorn apsw rich loadingdock.bootstrap loadingdock.settings"
    code = (
        "import sys; from loadingdock.cli.program import run; run(['version']);"
        f" print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        ("company", "list"),
        ("company", "settings"),
        ("user", "list"),
        ("key", "list"),
        ("client", "list"),
        ("jobs", "list"),
        ("jobs", "requeue", "--all"),
        ("fsck",),
        ("doctor",),
        ("version",),
    ],
)
def test_json_is_one_object_and_text_is_none(words: tuple[str, ...], desk: Operator) -> None:
    assert desk.gets(*words)
    said = desk.types(*words)
    assert said.code == 0
    assert said.out.strip()
    assert not said.out.startswith("{")


@pytest.mark.parametrize(
    ("words", "code", "word", "says"),
    [
        (("company", "add", "no spaces"), 1, "invalid_input", "no company code"),
        (("company", "set", "nobody", "max-size=1MB"), 1, "not_found", "there is none yet"),
        (("user", "disable", "anna@nobody"), 1, "not_found", "There is no company 'nobody'"),
        (("key", "revoke", "0" * 32), 1, "not_found", "no living key"),
        (("client", "revoke", "0" * 32), 1, "not_found", "no living client"),
        (("jobs", "requeue", "1"), 1, "not_found", "No job that was given up has the id 1"),
        (("jobs", "requeue"), 2, "usage", "name the jobs, or give --all"),
        (("jobs", "list", "sleeping"), 2, "usage", "'sleeping' is none of"),
        (("user", "disable", "anna"), 2, "usage", "NAME@COMPANY"),
        (("user", "add", "anna@acme"), 2, "usage", "--password-stdin"),
        (("company", "set", "acme", "max-size"), 2, "usage", "KEY=VALUE"),
        (("company", "frobnicate"), 2, "usage", "No such command"),
        (("serve", "--port", "65536"), 2, "usage", "--port"),
        (("--set", "region", "version"), 2, "usage", "NAME=VALUE"),
        (("--set", "max_body=-1", "company", "list"), 1, "settings", "LOADINGDOCK_MAX_BODY is wrong"),
        (("--set", "store_url=ftp://files", "company", "list"), 1, "settings", "LOADINGDOCK_STORE_URL is wrong"),
    ],
)
def test_errors_are_sentences(words: tuple[str, ...], code: int, word: str, says: str, desk: Operator) -> None:
    said = desk.types(*words, "--json")
    assert said.code == code
    assert said.object["error"]["code"] == word
    assert says in said.object["error"]["message"]
    assert said.err == ""
    text = desk.types(*words)
    assert (text.code, text.out) == (code, "")
    assert says in text.err
    assert "Traceback" not in text.err


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = Operator(tmp_path / "file" / "data").types("company", "list", "--json")
    assert (said.code, said.object["error"]["code"]) == (1, "system")
    assert "Not a directory" in said.object["error"]["message"]


# --- the nouns -----------------------------------------------------------------------------------


def test_companies(desk: Operator) -> None:
    added = desk.gets("company", "add", "Acme", "--name", "Acme & Sons")
    assert (added["code"], added["name"], added["settings"]) == ("acme", "Acme & Sons", {})
    assert 100_000 <= added["number"] < 10**9
    assert desk.types("company", "add", "acme", "--json").object["error"]["code"] == "already_exists"
    assert desk.gets("company", "list") == {"companies": [added]}
    changed = desk.gets("company", "set", "acme", "quota-bytes=5GiB", "rate-limit=10 per second")
    assert changed["settings"] == {"quota-bytes": 5 * 2**30, "rate-limit": "10/second"}
    said = desk.types("company", "set", "acme", "retention=90d").out
    assert said == "The company acme has now: quota-bytes=5GiB rate-limit=10/second retention=90d.\n"
    desk.gets("company", "set", "acme", "retention=")
    assert desk.gets("company", "set", "acme", "quota-bytes=")["settings"] == {"rate-limit": "10/second"}
    assert desk.gets("company", "show", "acme")["bytes"] == 0
    assert desk.gets("company", "disable", "acme")["disabled_at"]
    assert desk.gets("company", "enable", "acme")["disabled_at"] is None


def test_a_wrong_company_setting_names_the_known_ones(desk: Operator) -> None:
    desk.gets("company", "add", "acme")
    message = desk.types("company", "set", "acme", "colour=blue", "--json").object["error"]["message"]
    keys = [setting["key"] for setting in desk.gets("company", "settings")["settings"]]
    assert "quota-bytes" in keys
    assert all(key in message for key in keys)
    wrong = desk.types("company", "set", "acme", "max-size=huge", "--json").object["error"]["message"]
    assert wrong.startswith("max-size: ")
    assert "10MiB" in wrong


def test_company_settings_have_meaning_default_and_value(desk: Operator) -> None:
    desk.gets("company", "add", "acme")
    desk.gets("company", "set", "acme", "job-cap=9")
    found = {one["key"]: one for one in desk.gets("company", "settings", "acme")["settings"]}
    assert (found["job-cap"]["default"], found["job-cap"]["value"]) == (4, 9)
    assert all(one["meaning"] for one in found.values())


def test_users(desk: Operator) -> None:
    desk.gets("company", "add", "acme")
    added = desk.gets(
        "user", "add", "a.b@mail.example@acme", "--password-stdin", "--grant", "files:upload", stdin=f"{PASSWORD}\n"
    )
    assert (added["name"], added["company"]) == ("a.b@mail.example", "acme")
    assert added["permissions"] == ["files:upload"]
    assert PASSWORD not in json.dumps(added)
    assert desk.gets("user", "grant", "a.b@mail.example@acme", "--grant", "files:read")["permissions"] == ["files:read"]
    assert desk.gets("user", "disable", "a.b@mail.example@acme")["disabled_at"]
    assert [user["login"] for user in desk.gets("user", "list", "acme")["users"]] == ["a.b@mail.example@acme"]
    assert desk.gets("user", "enable", "a.b@mail.example@acme")["disabled_at"] is None
    assert desk.types("user", "add", "b@acme", "--password-stdin", stdin="\n").code == 1
    wrong = desk.types("user", "grant", "a.b@mail.example@acme", "--grant", "files:eat", "--json")
    assert "files:upload" in wrong.object["error"]["message"]


@pytest.mark.security(26)
def test_a_key_is_shown_once(desk: Operator) -> None:
    desk.gets("company", "add", "acme")
    added = desk.gets("key", "add", "acme", "--grant", "files:read", "--label", "reports")
    assert added["api_key"].startswith("ldk_")
    assert len(added["api_key"]) > 40
    listed = desk.types("key", "list", "acme", "--json")
    assert added["api_key"] not in listed.out
    assert [(key["id"], key["label"]) for key in listed.object["keys"]] == [(added["id"], "reports")]
    assert added["api_key"].encode() not in b"".join(file.read_bytes() for file in desk.data.glob("*.sqlite3*"))
    assert desk.gets("key", "revoke", added["id"])["revoked"]
    assert desk.types("key", "revoke", added["id"]).code == 1


def test_clients(desk: Operator) -> None:
    home, other = (desk.gets("company", "add", code) for code in ("acme", "globex"))
    added = desk.gets("client", "add", "acme", "--grant", "transactions:post", "--ttl", "60", "--company", "globex")
    assert {"client_id", "client_secret", "organization_id"} <= added.keys()
    assert added["organization_id"] == str(home["number"])
    listed = desk.types("client", "list", "--json")
    assert added["client_secret"] not in listed.out
    (client,) = listed.object["clients"]
    assert (client["companies"], client["token_ttl"]) == (["acme", other["code"]], 60)
    assert desk.types("client", "add", "acme", "--ttl", "0", "--json").object["error"]["code"] == "invalid_input"
    assert desk.gets("client", "revoke", added["client_id"])["revoked"]


def test_jobs_that_were_given_up_run_again(make_service: Callable[..., Service]) -> None:
    service = make_service()
    service.data.mkdir(parents=True)
    company = service.desk.company("jobs")

    async def give_up(services: Services) -> str:
        now = services.clock.now()

        async def work(unit: Unit) -> str | None:
            return await unit.jobs.enqueue("test", "nothing", at=now)

        id = await services.records.write(company.id, work)
        (job,) = await services.jobs.claim(
            "test", lease=service.settings.lease, limit=1, cap=1, now=now, kinds=("test",)
        )
        await services.jobs.bury(job, error="it was a test", now=now)
        assert id is not None
        return id

    id = service.desk.ask(give_up)
    beside = Operator(service.data, **service.chosen)
    (dead,) = [job for job in beside.gets("jobs", "list")["jobs"] if job["id"] == id]
    assert (dead["company"], dead["state"], dead["last_error"]) == (company.code, "dead", "it was a test")
    assert beside.gets("jobs", "requeue", id) == {"requeued": [id]}
    assert id in [job["id"] for job in beside.gets("jobs", "list", "waiting")["jobs"]]


# --- beside a running server ---------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_typed_holds_at_once_in_a_running_server(service: Service) -> None:
    beside = Operator(service.data, **service.chosen)
    code = beside.gets("company", "add", "beside")["code"]
    beside.gets("user", "add", f"anna@{code}", "--password-stdin", "--grant", "files:upload", stdin=PASSWORD)
    path = "/dana/conversation/http/rest/file/upload"
    with service.client(auth=(f"anna@{code}", PASSWORD)) as client:
        assert client.post(path, files={"file": ("note.txt", b"a note")}).status_code == 200


@pytest.mark.slow  # credentials that were right are taken for ten seconds without looking at the record
def test_who_is_shut_out_is_out_within_seconds(service: Service) -> None:
    beside = Operator(service.data, **service.chosen)
    code = beside.gets("company", "add", "shut")["code"]
    beside.gets("user", "add", f"anna@{code}", "--password-stdin", "--grant", "files:upload", stdin=PASSWORD)
    path = "/dana/conversation/http/rest/file/upload"
    with service.client(auth=(f"anna@{code}", PASSWORD)) as client:
        assert client.post(path, files={"file": ("note.txt", b"a note")}).status_code == 200
    beside.gets("company", "disable", code)
    with service.client(auth=(f"anna@{code}", PASSWORD)) as client:
        service.until(lambda: client.post(path, files={"file": ("note.txt", b"a note")}).status_code == 401)


@pytest.mark.security(28)
def test_every_deed_leaves_its_row(service: Service) -> None:
    beside = Operator(service.data, **service.chosen)
    code = beside.gets("company", "add", "deeds")["code"]
    beside.gets("company", "set", code, "max-size=1MiB")
    beside.gets("user", "add", f"anna@{code}", "--password-stdin", stdin=PASSWORD)
    key = beside.gets("key", "add", code)
    beside.gets("key", "revoke", key["id"])

    async def rows(services: Services) -> list[tuple[str, str]]:
        company = await services.administration.company(code)

        async def work(unit: Unit) -> list[tuple[str, str]]:
            return [(row.action, row.actor) for row in (await unit.audit.list(limit=100)).items]

        return await services.records.read(acting(company).company.id, work)

    found = service.desk.ask(rows)
    assert [action for action, _ in found] == ["key.revoke", "key.add", "user.add", "company.set", "company.add"]
    assert {actor for _, actor in found} == {"system:operator"}
