"""Files of contacts that are meant to hurt, through the whole service (SECURITY.md, line 32): each ends with a reason,
changes nothing, and the process that reads them stays small."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.importing import GOOD, HEADER, Hall, hall
from tests.contract.processes import importers, peak
from tests.service import Service

pytestmark = [pytest.mark.slow, pytest.mark.security(32)]

_LINE = b"anna@example.com;Anna;29/02/1996\r\n"
_HEAD = HEADER.encode()
_SMALL = 512  # MiB; a hundred of it are libraries


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    opened = Service(tmp_path_factory.mktemp("attacked") / "data")
    try:
        yield opened.start()
    finally:
        opened.close()


def ended(of: Hall, content: bytes, name: str = "contacts", **fields: Any) -> dict[str, Any]:
    """By a name that promises nothing, or bytes that are no text would be refused at the door."""
    answer = of.client.post("/files", files={"file": (name, content, "application/octet-stream")})
    assert answer.status_code == 201, answer.text
    return of.ended(of.asks(answer.json()["id"], **fields)["logID"])


def problems(of: Hall, found: dict[str, Any]) -> list[tuple[int, str | None, str]]:
    """(line, column, code)"""
    rows = of.client.get(f"/imports/{found['logID']}/rejects").json()["items"]
    return [(row["line"], each["column"], each["code"]) for row in rows for each in row["problems"]]


def bomb(streams: int) -> bytes:
    """A contact, and then 14 MB of blank lines in each of them, a thousand times their size."""
    return gzip.compress(_HEAD + _LINE) + gzip.compress(b"\r\n" * 7_000_000) * streams


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(
            _LINE + b"a@b.example;" + b"x" * (10 << 20) + b";\r\n", [(3, None, "record_too_long")], id="huge field"
        ),
        pytest.param(
            _LINE + b'a@b.example;"' + _LINE * 1_000_000, [(3, "NAME", "unclosed_quote")], id="unclosed quote"
        ),
        pytest.param(b"a@b.example;;" + b"9" * 10_000 + b"\r\n", [(2, "BORN", "not_a_date")], id="huge number"),
        pytest.param(b"a@b.example;A\0nna;\r\n", [(2, None, "nul")], id="NUL"),
        pytest.param(_LINE + b";" * 100_000 + b"\r\n", [(3, None, "too_many_fields")], id="many fields"),
    ],
)
def test_a_row_that_is_meant_to_hurt_is_rejected(
    attacked: Service, content: bytes, told: list[tuple[int, str | None, str]]
) -> None:
    with hall(attacked) as of:
        found = ended(of, _HEAD + content)
        assert (found["state"], found["result"], found["inserted"]) == ("rejected", "REJECTED", 0)
        assert problems(of, found)[: len(told)] == told
        assert of.rows() == {}
        assert max(map(peak, importers(attacked.pid))) < _SMALL
        assert ended(of, GOOD.encode())["state"] == "finished"  # the next one has nothing to fear


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("streams", "state", "reason"),
    [
        pytest.param(4, "rejected", "The file unpacks to more than", id="read"),
        pytest.param(150, "failed", "The file was refused: The file cannot be scanned", id="not even read"),
    ],
)
def test_a_file_that_unpacks_to_far_more_than_it_is_changes_nothing(
    attacked: Service, streams: int, state: str, reason: str, strict: bool
) -> None:
    with hall(attacked) as of:
        found = ended(of, bomb(streams), "contacts.gz", strict=strict)
        assert found["state"] == state
        assert found["reason"].startswith(reason)
        assert of.rows() == {}
        assert max(map(peak, importers(attacked.pid))) < _SMALL


def test_a_header_of_ten_thousand_names_is_refused_at_once(attacked: Service) -> None:
    with hall(attacked) as of:
        content = ";".join(f"c{n}" for n in range(10_000)).encode() + b"\r\n"
        id = of.client.post("/files", files={"file": ("contacts.csv", content)}).json()["id"]
        answer = of.client.post("/imports", json={"table": "customers", "file": id, "separator": ";"})
        assert (answer.status_code, answer.json()["field"]) == (400, "file")
