"""What the tests of imports share: a table, files for it, and what they do most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.acceptance.management import Office, office
from tests.service import Service

COLUMNS = [
    {"name": "EMAIL", "type": "email", "required": True},
    {"name": "NAME", "type": "text(80)"},
    {"name": "BORN", "type": "date", "formats": ["DD/MM/YYYY"]},
]
SPECS = ("EMAIL:email,required", "NAME:text(80)", "BORN:date,format=DD/MM/YYYY")
HEADER = "EMAIL;NAME;BORN\r\n"
GOOD = HEADER + 'anna@example.com;Anna;29/02/1996\r\nbert@example.com;"Bert; the second";01/12/1987\r\n'
MIXED = HEADER + (
    "anna@example.com;Anna;29/02/1996\r\n"
    "bert@example.com;Bert;31/02/1987\r\n"  # line 3
    "anna@example.com;Anna again;29/02/1996\r\n"
    "no address;Cleo;32/12/1987\r\n"  # line 5
)
FILE_NOTIFY = [
    *("fileName", "fileSize", "logID", "result", "idCompany", "idWebDb", "lineCount", "movedFile"),
    *("inserted", "updated", "unchanged", "skipped", "rejected", "rejectedFile"),
]


@dataclass(frozen=True)
class Hall(Office):
    """An office with a table `customers`."""

    def stored(self, content: str = GOOD, name: str = "contacts.csv") -> str:
        """The id of a file, which may not have been looked into yet."""
        answer = self.client.post("/files", files={"file": (name, content.encode())})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def asks(self, file: str, **fields: Any) -> dict[str, Any]:
        """An import as it is taken."""
        body = {"table": "customers", "file": file, "separator": ";", **fields}
        answer = self.client.post("/imports", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/api/v1/imports/{answer.json()['logID']}"
        taken: dict[str, Any] = answer.json()
        return taken

    def loads(self, content: str = GOOD, **fields: Any) -> dict[str, Any]:
        """An import at its end, and its files can be read."""
        return self.ended(self.asks(self.stored(content), **fields)["logID"])

    def ended(self, number: int) -> dict[str, Any]:
        self.service.desk.imported(self.company, number)
        self.settle()
        found: dict[str, Any] = self.client.get(f"/imports/{number}").json()
        return found

    def rows(self) -> dict[str, tuple[Any, ...]]:
        """What is in the table, by the addresses."""
        items = self.client.get("/tables/customers/rows", params={"limit": 1000}).json()["items"]
        values = [item["values"] for item in items]
        return {each["EMAIL"]: (each["NAME"], each["BORN"]) for each in values}


@contextmanager
def hall(service: Service) -> Iterator[Hall]:
    with office(service, "admin") as opened:
        made = Hall(opened.service, opened.company, opened.client)
        answer = made.client.post("/tables", json={"code": "customers", "columns": COLUMNS, "key": ["EMAIL"]})
        assert answer.status_code == 201, answer.text
        yield made


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    """(inserted, updated, unchanged, skipped, rejected), which are all records."""
    several = tuple(found[name] for name in ("inserted", "updated", "unchanged", "skipped", "rejected"))
    assert sum(several) == found["lineCount"]
    return several
