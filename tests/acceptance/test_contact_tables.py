"""Contact tables by the management API and by the command line, on a running service."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.management import Office, client, office
from tests.acceptance.operator import Operator
from tests.service import Service

COLUMNS = [
    {"name": "EMAIL", "type": "email", "required": True},
    {"name": "NAME", "type": "text(80)"},
    {"name": "AGE", "type": "integer"},
    {"name": "BALANCE", "type": "decimal(10,2)", "comma": True},
    {"name": "BORN", "type": "date", "formats": ["DD/MM/YYYY"]},
    {"name": "SEEN", "type": "datetime", "zone": "Europe/Berlin"},
    {"name": "MEMBER", "type": "boolean"},
]
SEEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROWS = [
    ("anna@example.com", "Anna", 30, Decimal("12.50"), date(1996, 2, 29), SEEN, True),
    ("bert@example.com", '=HYPERLINK("x")', None, Decimal("-0.01"), None, None, False),
    ("cleo@example.com", "", 2**62, None, date(2000, 1, 1), None, None),
]
CSV = (
    "EMAIL,NAME,AGE,BALANCE,BORN,SEEN,MEMBER\r\n"
    "anna@example.com,Anna,30,12.50,1996-02-29,2026-01-02T03:04:05Z,true\r\n"
    'bert@example.com,"\'=HYPERLINK(""x"")",,-0.01,,,false\r\n'
    'cleo@example.com,"",4611686018427387904,,2000-01-01,,\r\n'
)


@pytest.fixture(scope="module")
def admin(service: Service) -> Iterator[Office]:
    with office(service, "admin") as opened:
        answer = opened.client.post("/tables", json={"code": "Kunden", "columns": COLUMNS, "key": ["email"]})
        assert answer.status_code == 201, answer.text
        service.desk.fill(opened.company, "Kunden", ROWS)
        yield opened


def make(admin: Office, code: str, *columns: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = admin.client.post("/tables", json={"code": code, "columns": columns or COLUMNS, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_table_is_declared_and_described(admin: Office) -> None:
    shown = admin.client.get("/tables/kunden").json()
    assert (shown["code"], shown["key"], shown["rows"], shown["retired"]) == ("Kunden", ["EMAIL"], 3, [])
    assert [(column["name"], column["type"]) for column in shown["columns"]] == [
        (column["name"], column["type"]) for column in COLUMNS
    ]
    assert shown["columns"][4]["formats"] == ["DD/MM/YYYY"]
    later = make(admin, "später", region="de")
    assert later["number"] > shown["number"]
    assert later["region"] == "DE"
    listed = admin.client.get("/tables").json()["items"]
    assert [table["code"] for table in listed][:2] == ["Kunden", "später"]
    again = admin.client.post("/tables", json={"code": "KUNDEN", "columns": COLUMNS})
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"code": "a/b", "columns": COLUMNS}, "code"),
        ({"code": "_dock_x", "columns": COLUMNS}, "code"),
        ({"code": "x", "columns": [{"name": "xmin"}]}, "xmin"),
        ({"code": "x", "columns": [{"name": "RowID"}]}, "RowID"),  # SQLite's ALTER TABLE cannot rename it
        ({"code": "x", "columns": [{"name": "a"}, {"name": "A"}]}, "columns"),
        ({"code": "x", "columns": [{"name": "a", "type": "varchar"}]}, "type"),
        ({"code": "x", "columns": [{"name": "a", "type": "decimal(19,2)"}]}, "a"),
        ({"code": "x", "columns": [{"name": "a", "type": "date", "formats": ["%d"]}]}, "a"),
        ({"code": "x", "columns": [{"name": "a", "type": "boolean", "formats": ["yes"]}]}, "a"),
        ({"code": "x", "columns": [{"name": "a", "comma": True}]}, "a"),
        ({"code": "x", "columns": [{"name": "a", "type": "datetime", "zone": "Mars/Base"}]}, "a"),
        ({"code": "x", "columns": [{"name": "a"}], "key": ["b"]}, "b"),
        ({"code": "x", "columns": [{"name": "a" * 64}]}, None),
        ({"code": "x", "columns": [{"name": "ä" * 32}]}, "columns"),
        ({"code": "x", "columns": [{"name": "a\u0000"}]}, "columns"),
        ({"code": "x", "columns": [{"name": "a\u202eb"}]}, "columns"),
        ({"code": "\u2066x", "columns": COLUMNS}, "code"),
        ({"code": "x", "columns": []}, "columns"),
        ({"code": "x", "columns": [{"name": "a"}], "region": "Germany"}, "region"),
        ({"code": "x", "columns": [{"name": "a"}], "number": 7}, "number"),
    ],
)
def test_what_cannot_be_a_table_is_refused(admin: Office, body: dict[str, Any], field: str | None) -> None:
    answer = admin.client.post("/tables", json=body)
    assert answer.status_code == 400, answer.text
    assert field in (None, answer.json()["field"])
    assert admin.client.get("/tables/x").status_code == 404


def test_a_repetition_is_answered_with_the_first_answer(admin: Office) -> None:
    headers = {"idempotency-key": "make-it-once"}
    body = {"code": "once", "columns": COLUMNS}
    answers = [admin.client.post("/tables", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


def test_rows_are_filtered_searched_sorted_and_paged(admin: Office) -> None:
    def rows(**query: Any) -> list[str]:
        answer = admin.client.get("/tables/Kunden/rows", params=query)
        assert answer.status_code == 200, answer.text
        return [item["values"]["EMAIL"][0] for item in answer.json()["items"]]

    assert rows() == ["a", "b", "c"]
    assert rows(where=["AGE>=30", "NAME=Anna"]) == ["a"]
    assert rows(where="AGE is null") == ["b"]
    assert rows(search="hyper") == ["b"]
    page = admin.client.get("/tables/Kunden/rows", params={"limit": 2, "sort": "key", "count": True}).json()
    assert page["total"] == 3
    assert rows(sort="key", cursor=page["next_cursor"]) == ["c"]
    values = page["items"][0]["values"]
    assert values == {
        "EMAIL": "anna@example.com",
        "NAME": "Anna",
        "AGE": 30,
        "BALANCE": "12.50",
        "BORN": "1996-02-29",
        "SEEN": "2026-01-02T03:04:05Z",
        "MEMBER": True,
    }
    for query, field in (
        ({"where": "NOPE=1"}, "where"),
        ({"where": "AGE=x"}, "AGE"),
        ({"cursor": "x"}, "cursor"),
        ({"sort": "name"}, "sort"),
        ({"were": "AGE=1"}, "were"),
    ):
        answer = admin.client.get("/tables/Kunden/rows", params=query)
        assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.security(31)
def test_an_export_is_harmless_or_raw(admin: Office) -> None:
    answer = admin.client.get("/tables/Kunden/export")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.text == CSV
    assert admin.client.get("/tables/Kunden/export", params={"raw": True}).text == CSV.replace("'=", "=")
    some = admin.client.get("/tables/Kunden/export", params={"where": "MEMBER=true"}).text
    assert some.splitlines() == CSV.splitlines()[:2]
    none = admin.client.get("/tables/Kunden/export", params={"where": "AGE=7"})
    assert (none.status_code, none.text) == (200, CSV.splitlines()[0] + "\r\n")
    make(admin, "formulas", {"name": "=x"}, {"name": "N", "type": "integer"})
    cells = ["=1", "+1", "-1", "@x", "\tx", "\rx", "x=1", "'=1", "\n=1", " =1"]
    admin.service.desk.fill(admin.company, "formulas", [(cell, -1) for cell in cells])
    text = admin.client.get("/tables/formulas/export").content.decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["'=x", "N"]
    assert [row[0] for row in read[1:]] == [f"'{cell}" for cell in cells[:6]] + cells[6:]
    assert {row[1] for row in read[1:]} == {"-1"}
    raw = admin.client.get("/tables/formulas/export", params={"raw": True}).content.decode()
    assert [row[0] for row in csv.reader(io.StringIO(raw, newline=""))] == ["=x", *cells]


def test_a_table_is_altered_at_once_or_not_at_all(admin: Office) -> None:
    make(admin, "change", {"name": "A"}, {"name": "B", "type": "integer"}, key=["A"])
    admin.service.desk.fill(admin.company, "change", [("x", 1), ("y", None)])
    patch = {"name": "Changed", "add": [{"name": "C", "type": "date"}], "columns": {"b": {"required": True}}}
    refused = admin.client.patch("/tables/change", json=patch)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "1 contacts have no value for B. Rows: 2." in refused.json()["detail"]
    assert len(admin.client.get("/tables/change").json()["columns"]) == 2
    patch["columns"] = {"B": {"name": "BE", "type": "decimal(12,2)"}, "A": {"name": "AH"}}
    altered = admin.client.patch("/tables/change", json=patch).json()
    assert [column["name"] for column in altered["columns"]] == ["AH", "BE", "C"]
    assert (altered["name"], altered["key"]) == ("Changed", ["AH"])
    retired = admin.client.patch("/tables/change", json={"columns": {"BE": {"retired": True}}}).json()
    assert (retired["retired"], len(retired["columns"])) == (["BE"], 2)
    values = admin.client.get("/tables/change/contact", params={"key": "x"}).json()["values"]
    assert values == {"AH": "x", "C": None}
    admin.client.patch("/tables/change", json={"columns": {"BE": {"retired": False}}})
    values = admin.client.get("/tables/change/contact", params={"key": "x"}).json()["values"]
    assert values == {"AH": "x", "BE": "1.00", "C": None}
    for body in ({}, {"columns": {"AH": {"type": "date"}}}, {"columns": {"NOPE": {"unique": True}}}):
        assert admin.client.patch("/tables/change", json=body).status_code == 400


def test_a_contact_is_shown_and_forgotten_by_key(admin: Office) -> None:
    make(admin, "people", {"name": "FIRST"}, {"name": "BORN", "type": "date"}, key=["FIRST", "BORN"])
    admin.service.desk.fill(admin.company, "people", [("Anna", date(1996, 2, 29)), ("Anna", None)])
    key = {"key": ["Anna", "1996-02-29"]}
    assert admin.client.get("/tables/people/contact", params=key).json()["row"] == 1
    assert admin.client.get("/tables/people/contact", params={"key": "Anna"}).json()["field"] == "key"
    assert admin.client.get("/tables/people/contact", params={"key": ["Anna", "x"]}).json()["field"] == "BORN"
    assert admin.client.delete("/tables/people/contact", params=key).status_code == 204
    assert admin.client.delete("/tables/people/contact", params=key).status_code == 404
    audit = admin.client.get("/audit", params={"subject": "people"}).json()["items"]
    deeds = [(row["action"], row["detail"]) for row in audit]
    assert deeds == [("contact.delete", "row 1"), ("contact.read", "row 1"), ("table.create", None)]


def test_rights(service: Service, admin: Office) -> None:
    asked = {
        "contacts:read": [200, 200, 200, 200, 403, 403, 403],
        "contacts:load": [200, 200, 403, 403, 403, 403, 403],
        "files:read": [403] * 7,
    }
    for grant, statuses in asked.items():
        with client(service, admin.company, grant) as opened:
            key = {"key": "anna@example.com"}
            answers = [
                opened.get("/tables"),
                opened.get("/tables/kunden"),
                opened.get("/tables/kunden/export"),
                opened.get("/tables/kunden/contact", params=key),
                opened.delete("/tables/kunden/contact", params=key),
                opened.post("/tables", json={"code": "x", "columns": COLUMNS}),
                opened.patch("/tables/kunden", json={"name": "x"}),
            ]
            assert [answer.status_code for answer in answers] == statuses, grant


def test_the_command_line_says_the_same(service: Service, admin: Office) -> None:
    typed, company = Operator(service.data, **service.chosen), admin.company.code
    made = typed.gets(
        "table", "add", company, "typed", "--column", "EMAIL:email,required", "--column", "B:C:text,max=9,unique",
        "--column", "N:decimal(8,3),comma", "--column", "D:datetime,format=DD.MM.YYYY hh:mm,zone=Europe/Berlin",
        "--key", "EMAIL",
    )  # fmt: skip
    assert [column["type"] for column in made["columns"]] == ["email", "text(9)", "decimal(8,3)", "datetime"]
    admin.service.desk.fill(admin.company, "typed", [("a@b.example", "=1", Decimal("1.500"), SEEN)])
    shown = typed.gets("table", "show", company, "TYPED")
    assert shown == {**admin.client.get("/tables/typed").json(), **{k: shown[k] for k in ("created_at", "changed_at")}}
    assert "typed" in typed.types("table", "list", company).out
    exported = typed.types("table", "export", company, "typed", "--format", "csv").out
    assert exported == admin.client.get("/tables/typed/export").content.decode()
    assert typed.types("table", "export", company, "typed", "--raw").out == exported.replace("'=1", "=1")
    (row,) = typed.gets("table", "export", company, "typed")["rows"]
    assert typed.gets("table", "rows", company, "typed", "--where", "B:C^==", "--sort", "key")["rows"] == [row]
    assert typed.gets("contact", "get", company, "typed", "a@b.example") == row
    altered = typed.gets(
        "table", "alter", company, "typed", "--column", "N:decimal(10,4)", "--column", "NEW:text",
        "--rename", "B:C=TEXT", "--retire", "D",
    )  # fmt: skip
    assert [column["name"] for column in altered["columns"]] == ["EMAIL", "TEXT", "N", "NEW"]
    assert (altered["columns"][2]["comma"], altered["retired"]) == (False, ["D"])
    assert typed.gets("contact", "delete", company, "typed", "a@b.example") == {"row": 1, "deleted": True}
    assert typed.types("contact", "get", company, "typed", "a@b.example").code == 1
    wrong = typed.types("table", "add", company, "x", "--column", "EMAIL", "--json")
    assert wrong.object["error"]["code"] == "invalid_input"
    assert "there are Kunden" in typed.types("table", "show", company, "nix").err
