"""The acts of contact-load: a good file, bad rows strict and lenient, the rejects corrected and sent again, an update
and its undo, and the callback of each."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from loadingdock.demo import curl
from loadingdock.demo.curl import Request
from loadingdock.demo.receiver import Receiver
from loadingdock.demo.service import DemoFailed, Throwaway
from loadingdock.demo.show import Show

_TABLE = "Customers"
_COLUMNS = ("EMAIL:email,required", "NAME:text,max=80", "PHONE:phone,region=VE", "BORN:date", "BALANCE:decimal(12,2)")
_FIELDS = "EMAIL;NAME;PHONE;BORN;BALANCE"
_PATIENCE = 30.0  # seconds until an import has ended
_ENDED = frozenset({"finished", "finished_with_errors", "rejected", "failed", "cancelled", "undone"})

_GOOD = """\
ada@example.com,Ada,0412-5551234,1990-01-31,10.00
grace@example.com,Grace,0414-5554321,1985-12-09,20.50
linus@example.com,Linus,+582125550000,1979-06-30,0.00
"""
_MIXED = """\
alan@example.com,Alan,0412-5550001,1992-06-23,1.00
not an address,Nobody,0412-5550002,1992-06-23,1.00
edsger@example.com,Edsger,0412-5550003,1992-02-30,1.00
barbara@example.com,Barbara,0412-5550004,1989-11-07,12.345
"""
_CORRECTIONS = {"not an address": "somebody@example.com", "1992-02-30": "1992-02-28", "12.345": "12.35"}
_UPDATE = """\
ada@example.com,Ada Lovelace,0412-5551234,1990-01-31,99.00
linus@example.com,Linus,+582125550000,1979-06-30,0.00
margaret@example.com,Margaret,0416-5559999,1986-08-17,5.00
"""


@dataclass(frozen=True, slots=True)
class _Marketer:
    """`login` is `user:password`, `key` an API key for `/api/v1`."""

    show: Show
    url: str
    folder: Path
    login: str
    key: str
    receiver: Receiver

    def load(self, name: str, content: str, parts: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """(the import once it has ended, the callback's message)"""
        file = self.folder / name
        file.write_text(content)
        self.show.say(f"$ cat {name}\n{content}")
        answer = self.show.ask(
            Request(
                "POST",
                f"{self.url}/api/contacts/rest/webdb/table/{_TABLE}",
                login=self.login,
                parts={"fieldsCode": _FIELDS, **parts, "callback": self.receiver.url},
                form=file,
            )
        )
        said = answer.json
        taken = answer.status == 200 and said.get("status") is True and said.get("fileName") == name
        if not self.show.check(f"{name} is taken in", taken, f"import {said.get('logID')}"):
            raise DemoFailed(f"{name} was not taken in: {answer.text}")
        ended = self.ended(said["logID"])
        received = self.receiver.next()
        number = received.message.get("logID")
        self.show.say(f"callback: {json.dumps(received.message, indent=2)}")
        self.show.check(
            "the callback is received and its signature is good", received.genuine and number == said["logID"]
        )
        self.show.check(
            "every line is accounted for",
            sum(ended[each] for each in ("inserted", "updated", "unchanged", "skipped", "rejected"))
            == ended["lineCount"]
            == content.count("\n") - content.count("#loadingdock"),
            ", ".join(f"{ended[each]} {each}" for each in ("inserted", "updated", "unchanged", "skipped", "rejected")),
        )
        return ended, received.message

    def ended(self, number: int) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        found: dict[str, Any] = {}
        while time.monotonic() < deadline and found.get("state") not in _ENDED:
            time.sleep(0.1)
            found = curl.fetch(self.asking(f"/imports/{number}")).json
        return found

    def asking(self, path: str, method: str = "GET") -> Request:
        return Request(method, f"{self.url}/api/v1{path}", headers={"api-key": self.key})

    def rows(self) -> dict[str, Mapping[str, Any]]:
        """By their addresses."""
        items = curl.fetch(self.asking(f"/tables/{quote(_TABLE)}/rows")).json.get("items", [])
        return {item["values"]["EMAIL"]: item["values"] for item in items}


def contacts(show: Show, service: Throwaway, company: str, folder: Path) -> None:
    show.act("contact-load: a table")
    password = secrets.token_urlsafe(12)
    user = f"marketer@{company}"
    grants = ("--grant", "contacts:load", "--grant", "contacts:read")

    def command(*words: str, secret: str | None = None) -> dict[str, Any]:
        show.say(f"$ {f'echo {secret} | ' if secret else ''}loadingdock {' '.join(words)}")
        code, answer = service.command(*words, secret=secret)
        if code:
            raise DemoFailed(str(answer.get("error", {}).get("message", answer)))
        return answer

    columns = [word for column in _COLUMNS for word in ("--column", column)]
    command("table", "add", company, _TABLE, *columns, "--key", "EMAIL")
    command("user", "add", user, "--password-stdin", *grants, secret=password)
    key = command("key", "add", company, *grants)["api_key"]
    signing = command("callback", "secret", company)["callback_secret"]
    show.check("a table of five typed columns is there", True)
    with Receiver(signing) as receiver:
        _acts(_Marketer(show, service.url, folder, f"{user}:{password}", key, receiver))


def _acts(marketer: _Marketer) -> None:
    show = marketer.show
    show.act("contact-load: a good file")
    ended, _ = marketer.load("customers.csv", _GOOD, {})
    show.check("all of it is loaded", ended["state"] == "finished" and ended["inserted"] == 3)

    show.act("contact-load: bad rows")
    ended, _ = marketer.load("mixed.csv", _MIXED, {"operationType": "INSNEW"})
    nothing = ended["state"] == "rejected" and len(marketer.rows()) == 3
    show.check("strict: nothing is changed", nothing, f"{ended['rejected']} rejected")
    ended, told = marketer.load("mixed.csv", _MIXED, {"operationType": "INSNEW", "strict": "false"})
    loaded = ended["state"] == "finished_with_errors" and (ended["inserted"], ended["rejected"]) == (1, 3)
    show.check("lenient: the good ones are loaded", loaded)
    rejected = show.ask(marketer.asking(f"/imports/{ended['logID']}/rejects")).json.get("items", [])
    lines = [row["line"] for row in rejected]
    show.check("each bad one is named with its line, column and reason", lines == [2, 3, 4], str(lines))

    show.act("contact-load: corrected and sent again")
    again = show.ask(Request("GET", str(told.get("rejectedFile")))).text
    ended, _ = marketer.load("corrected.csv", _corrected(again), {"operationType": "INSNEW"})
    show.check("all of them are loaded now", ended["state"] == "finished" and ended["inserted"] == 3)

    show.act("contact-load: an update, and its undo")
    before = marketer.rows()
    ended, _ = marketer.load("update.csv", _UPDATE, {"operationType": "UPDINS"})
    counts = (ended["inserted"], ended["updated"], ended["unchanged"])
    show.check("one is new, one changed, one the same", counts == (1, 1, 1), str(counts))
    show.check("the table says so", marketer.rows()["ada@example.com"]["NAME"] == "Ada Lovelace")
    asked = show.ask(marketer.asking(f"/imports/{ended['logID']}/undo", "POST"))
    undone = marketer.ended(ended["logID"]) if asked.status == 202 else {}
    show.check("it is undone", undone.get("state") == "undone", str(undone.get("undone")))
    show.check("every contact is what it was", marketer.rows() == before, f"{len(before)} contacts")


def _corrected(rejects: str) -> str:
    """As a person would: the remarks may stay where they are."""
    lines = rejects.splitlines()
    for wrong, right in _CORRECTIONS.items():
        lines = [line if line.startswith("#") else line.replace(wrong, right) for line in lines]
    return "".join(f"{line}\n" for line in lines)
