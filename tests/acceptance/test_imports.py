"""Imports by the management API: of files that any door has taken in, to the end of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.importing import FILE_NOTIFY, GOOD, HEADER, MIXED, Hall, counts, hall
from tests.acceptance.management import client, office
from tests.acceptance.test_management_events import follow
from tests.receiver import Receiver
from tests.service import Service


@pytest.fixture(scope="module")
def calling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose callbacks may reach this machine."""
    opened = Service(tmp_path_factory.mktemp("imports") / "data", {"callback_allow": "127.0.0.1/32"})
    try:
        yield opened.start()
    finally:
        opened.close()


@pytest.fixture
def desk_of(calling: Service) -> Iterator[Hall]:
    with hall(calling) as opened:
        yield opened


def test_a_file_that_came_by_another_door_is_loaded(desk_of: Hall) -> None:
    login = desk_of.service.desk.user(desk_of.company, "files:upload")
    sent = desk_of.client.post(
        f"{desk_of.service.url}/dana/conversation/http/rest/file/upload",
        files={"file": ("contacts.csv", GOOD.encode())},
        headers={"authorization": login.header},
    ).json()
    (file,) = desk_of.client.get("/files", params={"alias": sent["fileID"]}).json()["items"]
    taken = desk_of.asks(file["id"])
    assert (taken["state"], taken["result"], taken["file"]) == ("waiting", None, file["id"])
    found = desk_of.ended(taken["logID"])
    assert (found["state"], found["result"], counts(found)) == ("finished", "FINISHED", (2, 0, 0, 0, 0))
    assert list(found)[: len(FILE_NOTIFY)] == FILE_NOTIFY
    assert (found["columns"], found["operation"], found["strict"]) == (["EMAIL", "NAME", "BORN"], "INSALL", True)
    assert (found["rejectedFile"], found["reportFile"], found["reason"], found["warnings"]) == (None, None, None, [])
    assert desk_of.rows() == {
        "anna@example.com": ("Anna", "1996-02-29"),
        "bert@example.com": ("Bert; the second", "1987-12-01"),
    }
    number = found["logID"]
    source = desk_of.client.get(f"/imports/{number}/source")
    assert source.content == GOOD.encode()
    assert source.headers["content-disposition"] == 'attachment; filename="contacts.csv"'
    assert source.headers["x-content-type-options"] == "nosniff"
    assert desk_of.client.get(f"/imports/{number}/source", headers={"range": "bytes=0-4"}).text == "EMAIL"
    assert desk_of.client.head(f"/imports/{number}/source").headers["content-length"] == str(len(GOOD))
    for name in ("rejects.csv", "report.ndjson", "left.ndjson"):
        assert desk_of.client.get(f"/imports/{number}/{name}").status_code == 404


def test_what_was_rejected_is_told_corrected_and_loaded(desk_of: Hall) -> None:
    found = desk_of.loads(MIXED, operation="UPDINS", strict=False)
    number = found["logID"]
    assert (found["state"], counts(found)) == ("finished_with_errors", (1, 0, 0, 1, 2))
    first = desk_of.client.get(f"/imports/{number}/rejects", params={"limit": 1}).json()
    assert first["items"] == [
        {
            "record": 2,
            "line": 3,
            "problems": [
                {"column": "BORN", "code": "not_a_date", "reason": first["items"][0]["problems"][0]["reason"]}
            ],
            "raw": "bert@example.com;Bert;31/02/1987",
            "cut": False,
        }
    ]
    rest = desk_of.client.get(f"/imports/{number}/rejects", params={"cursor": first["next_cursor"]}).json()
    (second,) = rest["items"]
    assert (second["line"], rest["next_cursor"]) == (5, None)
    assert [(each["column"], each["code"]) for each in second["problems"]] == [
        ("EMAIL", "not_an_email"),
        ("BORN", "not_a_date"),
    ]
    skipped = desk_of.client.get(f"/imports/{number}/rejects", params={"outcome": "skipped"}).json()["items"]
    assert [(row["line"], row["problems"][0]["code"]) for row in skipped] == [(2, "duplicate_in_file")]
    assert desk_of.client.get(f"/imports/{number}/rejects", params={"cursor": "x"}).json()["field"] == "cursor"

    report = desk_of.client.get(found["reportFile"].removeprefix("/api/v1"))
    assert {json.loads(line)["line"] for line in report.text.splitlines()} == {2, 3, 5}
    rejected = desk_of.client.get(found["rejectedFile"].removeprefix("/api/v1"))
    assert rejected.headers["content-type"].startswith("text/csv")
    assert rejected.headers["content-disposition"].startswith("attachment")
    corrected = rejected.text.replace("31/02", "28/02").replace("32/12", "31/12").replace("no address", "c@d.example")
    again = desk_of.loads(corrected, operation="UPDINS", strict=False)
    assert (again["state"], counts(again)) == ("finished", (2, 0, 0, 0, 0))
    assert {"bert@example.com": ("Bert", "1987-02-28"), "c@d.example": ("Cleo", "1987-12-31")}.items() <= (
        desk_of.rows().items()
    )


def test_strict_changes_nothing_if_anything_is_wrong(desk_of: Hall) -> None:
    found = desk_of.loads(MIXED)
    assert (found["state"], found["result"], found["rejected"]) == ("rejected", "REJECTED", 2)
    assert desk_of.rows() == {}
    assert len(desk_of.client.get(f"/imports/{found['logID']}/rejects").json()["items"]) == 2
    assert desk_of.client.post(f"/imports/{found['logID']}/undo").status_code == 409


def test_who_operates_it_sees_how_imports_end(desk_of: Hall) -> None:
    def counted(line: str) -> float:
        with desk_of.service.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(each.removeprefix(line)) for each in lines if each.startswith(line))

    rejected = 'loadingdock_import_records_total{outcome="rejected"}'
    ended = 'loadingdock_import_seconds_count{result="finished_with_errors"}'
    before = counted(rejected), counted(ended)
    done = desk_of.loads(MIXED, strict=False)
    assert (counted(rejected), counted(ended)) == (before[0] + done["rejected"], before[1] + 1)


def test_a_dry_run_counts_and_changes_nothing(desk_of: Hall) -> None:
    found = desk_of.loads(GOOD, dry_run=True)
    assert (found["state"], found["dry_run"], counts(found)) == ("finished", True, (2, 0, 0, 0, 0))
    assert (desk_of.rows(), found["undo_until"]) == ({}, None)
    refused = desk_of.client.post(f"/imports/{found['logID']}/undo").json()
    assert (refused["status"], refused["code"]) == (409, "conflict")


def test_columns_are_named_by_position(desk_of: Hall) -> None:
    found = desk_of.loads("Anna\tanna@example.com\n", columns=["NAME", "email"], separator="\t", quote="")
    assert (found["columns"], counts(found)) == (["NAME", "EMAIL"], (1, 0, 0, 0, 0))
    assert desk_of.rows() == {"anna@example.com": ("Anna", None)}
    found = desk_of.loads("x;y\nBert;bert@example.com\n", columns=["NAME", "EMAIL"], header=True)
    assert counts(found) == (1, 0, 0, 0, 0)
    assert found["warnings"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"operation": "MERGE"}, "operation"),
        ({"separator": ";;"}, "separator"),
        ({"separator": '"'}, "quote"),
        ({"encoding": "klingon"}, "encoding"),
        ({"columns": ["EMAIL", "NOPE", "BORN"]}, "columns"),
        ({"columns": ["EMAIL", "EMAIL", "BORN"]}, "columns"),
        ({"operation": "UPDINS", "key": ["NOPE"]}, "key"),
        ({"operation": "UPDINS", "columns": ["NAME", "BORN"]}, "key"),
        ({"callback": "http://10.0.0.1/"}, "callback"),
        ({"callback": "hook"}, "callback"),
        ({"header": "yes"}, "header"),
        ({"number": 1}, "number"),
        ({"version": 0}, "version"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_is_refused_at_once(desk_of: Hall, fields: dict[str, Any], field: str) -> None:
    body = {"table": "customers", "file": desk_of.stored(), "separator": ";", **fields}
    answer = desk_of.client.post("/imports", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field), answer.text
    assert desk_of.client.get("/imports").json()["items"] == []


def test_what_is_not_there_cannot_be_loaded(desk_of: Hall) -> None:
    file = desk_of.stored()
    for fields, what in (
        ({"table": "nothing"}, "table"),
        ({"file": "nothing"}, "file"),
        ({"file": "00000000-0000-4000-8000-000000000000"}, "file"),
        ({"version": 2}, "version"),
    ):
        body = {"table": "customers", "file": file, "separator": ";", **fields}
        answer = desk_of.client.post("/imports", json=body)
        assert (answer.status_code, answer.json()["what"]) == (404, what), fields
    for path in ("/imports/999999999", "/imports/999999999/rejects", "/imports/999999999/source"):
        assert desk_of.client.get(path).status_code == 404
    for number in ("0", "x", "9" * 20, "-1"):
        assert desk_of.client.get(f"/imports/{number}").status_code == 400


@pytest.mark.security(25)
def test_another_companys_file_cannot_be_loaded(desk_of: Hall) -> None:
    with hall(desk_of.service) as other:
        body = {"table": "customers", "file": other.stored(), "separator": ";"}
        answer = desk_of.client.post("/imports", json=body)
        assert (answer.status_code, answer.json()["what"]) == (404, "file")
    mine = desk_of.client.post("/files", files={"file": ("a.csv", GOOD.encode())}, data={"owner": "bob"}).json()["id"]
    body = {"table": "customers", "file": mine, "separator": ";"}
    assert desk_of.client.post("/imports", json=body, headers={"user-id": "eve"}).status_code == 404


def test_imports_are_listed_and_repeated_requests_make_one(desk_of: Hall) -> None:
    body = {"table": "CUSTOMERS", "file": desk_of.stored(), "separator": ";"}
    answers = [desk_of.client.post("/imports", json=body, headers={"idempotency-key": "once"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    first = desk_of.ended(answers[0].json()["logID"])
    second = desk_of.loads(MIXED)
    assert desk_of.client.get("/imports").json() == {"items": [second, first], "next_cursor": None}
    page = desk_of.client.get("/imports", params={"limit": 1}).json()
    assert desk_of.client.get("/imports", params={"cursor": page["next_cursor"]}).json()["items"] == [first]
    assert desk_of.client.get("/imports", params={"state": "rejected"}).json()["items"] == [second]
    assert desk_of.client.get("/imports", params={"table": "customers", "state": "loading"}).json()["items"] == []
    assert desk_of.client.get("/imports", params={"table": "nothing"}).status_code == 404
    assert desk_of.client.post(f"/imports/{first['logID']}/cancel").status_code == 409


def test_an_import_is_undone_but_for_what_was_changed_since(desk_of: Hall) -> None:
    desk_of.loads(HEADER + "anna@example.com;Before;01/01/1990\n")
    found = desk_of.loads(GOOD, operation="UPDINS")
    assert counts(found) == (1, 1, 0, 0, 0)
    assert found["undo_until"] > found["ended_at"]
    desk_of.loads(HEADER + "bert@example.com;Since;01/01/1990\n", operation="UPALL")
    number = found["logID"]
    headers = {"idempotency-key": "undo-it"}
    undone = [desk_of.client.post(f"/imports/{number}/undo", headers=headers).json() for _ in range(2)]
    assert undone[0] == undone[1]
    found = desk_of.ended(number)
    assert (found["state"], found["result"], found["undo_until"]) == ("undone", "FINISHED", None)
    assert found["undone"] == {"at": found["undone"]["at"], "removed": 0, "restored": 1, "left": 1}
    assert desk_of.rows() == {
        "anna@example.com": ("Before", "1990-01-01"),
        "bert@example.com": ("Since", "1990-01-01"),
    }
    (left,) = desk_of.client.get(f"/imports/{number}/rejects", params={"outcome": "left"}).json()["items"]
    assert (left["line"], left["problems"][0]["code"]) == (0, "changed")
    assert len(desk_of.client.get(f"/imports/{number}/left.ndjson").text.splitlines()) == 1
    assert desk_of.client.post(f"/imports/{number}/undo").status_code == 409


def test_the_callback_is_file_notify_and_can_be_sent_again(desk_of: Hall) -> None:
    with Receiver() as receiver:
        found = desk_of.loads(MIXED, strict=False, callback=receiver.url("/hook?key=hidden"))
        (got,) = receiver.until(lambda received: received)
        number = found["logID"]
        told = json.loads(got.body)
        assert list(told) == FILE_NOTIFY
        assert {**told, "rejectedFile": found["rejectedFile"]} == {name: found[name] for name in FILE_NOTIFY}
        rejects = desk_of.client.get(f"/imports/{number}/rejects.csv").content
        assert httpx.get(told["rejectedFile"]).content == rejects  # whoever has the link
        desk_of.service.desk.idle()
        again = desk_of.client.post(f"/imports/{number}/replay", headers={"idempotency-key": "again"})
        assert (again.status_code, again.json()["event"], again.json()["subject"]) == (
            202,
            "import.finished_with_errors",
            f"import:{number}",
        )
        assert "hidden" not in again.text
        _, second = receiver.until(lambda received: len(received) == 2)
        assert (second.headers["webhook-id"], second.body) == (got.headers["webhook-id"], got.body)
    silent = desk_of.loads(GOOD)
    answer = desk_of.client.post(f"/imports/{silent['logID']}/replay")
    assert (answer.status_code, answer.json()["what"]) == (404, "callback")


def test_rights(desk_of: Hall) -> None:
    body = {"table": "customers", "file": desk_of.stored(), "separator": ";"}
    number = desk_of.loads(MIXED, strict=False)["logID"]
    paths = ("", f"/{number}", f"/{number}/rejects", f"/{number}/source", f"/{number}/rejects.csv")
    asked = {
        ("contacts:read",): [200] * 5 + [403] * 4,
        ("contacts:load",): [200] * 5 + [403, 409, 202, 403],
        ("files:read", "files:write"): [403] * 9,
    }
    for grants, statuses in asked.items():
        with client(desk_of.service, desk_of.company, *grants) as opened:
            answers = [opened.get(f"/imports{path}") for path in paths]
            answers += [
                opened.post("/imports", json=body),
                *(opened.post(f"/imports/{number}/{deed}") for deed in ("cancel", "undo", "replay")),
            ]
            assert [answer.status_code for answer in answers] == statuses, grants
        if "contacts:load" in grants:
            desk_of.ended(number)
    with client(desk_of.service, desk_of.company, "contacts:load", "files:read") as opened:
        assert opened.post("/imports", json=body).status_code == 202


def test_who_reads_contacts_hears_of_imports_and_not_of_files(desk_of: Hall) -> None:
    with (
        client(desk_of.service, desk_of.company, "contacts:read") as reader,
        client(desk_of.service, desk_of.company, "files:read") as clerk,
    ):
        with follow(reader, after=0) as stream:
            number = desk_of.loads(MIXED, strict=False)["logID"]
            seen = []
            while not seen or seen[-1][1] != "import.finished_with_errors":
                seen.append(stream.next())
        assert {kind.partition(".")[0] for _, kind, _ in seen} == {"import"}
        assert {data["subject"] for _, _, data in seen} == {str(number)}
        kinds = [kind for _, kind, _ in seen if kind != "import.progress"]
        assert kinds == ["import.waiting", "import.loading", "import.finished_with_errors"]
        assert (seen[-1][2]["table"], seen[-1][2]["records"]) == ("customers", 4)
        with follow(clerk, after=0) as stream:
            assert {stream.next()[1].partition(".")[0] for _ in range(6)} == {"file"}


@pytest.mark.slow
def test_one_that_waits_is_cancelled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where nothing works, everything waits."""
    idle = Service(tmp_path_factory.mktemp("idle") / "data", options=("--no-worker",))
    try:
        with hall(idle.start()) as opened:
            number = opened.asks(opened.stored())["logID"]
            listed = opened.client.get("/imports", params={"state": "waiting"}).json()["items"]
            assert [each["logID"] for each in listed] == [number]
            answer = opened.client.post(f"/imports/{number}/cancel")
            assert (answer.status_code, answer.json()["state"], answer.json()["result"]) == (202, "cancelled", "FAILED")
            assert answer.json()["cancelling"] is False
            assert opened.client.post(f"/imports/{number}/cancel").status_code == 409
    finally:
        idle.close()


@pytest.mark.slow
def test_one_under_way_is_watched_and_cancelled(desk_of: Hall) -> None:
    content = HEADER + "".join(f"c{n}@example.com;Contact {n};29/02/1996\r\n" for n in range(1_000_000))
    with client(desk_of.service, desk_of.company, "contacts:read") as reader, follow(reader, after=0) as stream:
        number = desk_of.asks(desk_of.stored(content))["logID"]
        while stream.next()[1] != "import.checking":
            pass
        answer = desk_of.client.post(f"/imports/{number}/cancel").json()
        assert (answer["state"], answer["cancelling"], answer["result"]) == ("checking", True, None)
        seen = [stream.next()]
        while seen[-1][1] == "import.progress":
            seen.append(stream.next())
    found = desk_of.ended(number)
    assert (seen[-1][1], found["state"], found["result"]) == ("import.cancelled", "cancelled", "FAILED")
    assert (found["cancelling"], found["inserted"], desk_of.rows()) == (False, 0, {})


def test_no_other_office_sees_them(desk_of: Hall) -> None:
    desk_of.loads(GOOD)
    with office(desk_of.service, "admin") as other:
        assert other.client.get("/imports").json()["items"] == []
