"""Named queries: how they are read, and that those used are those written."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters import records
from loadingdock.adapters.records import cursors
from loadingdock.adapters.records.queries import Query, fill, migrations
from loadingdock.adapters.records.sqlite.connection import QUERIES, WORDS
from loadingdock.adapters.records.values import folded, micros, moment, new_id, nfc
from loadingdock.core.errors import InvalidInput

SOURCES = [path.read_text("utf-8") for path in Path(next(iter(records.__path__))).rglob("*.py")]


def test_conditions_decide_which_lines_stand() -> None:
    query = Query("q", "SELECT 1\nWHERE a\nAND b = :b -- when :b\nAND c -- unless :b\nAND d = :d -- when :d")
    assert query.plain is None
    assert query.conditions == {"b", "d"}
    assert query.text({"b": 0, "d": ""}) == "SELECT 1\nWHERE a\nAND b = :b\nAND d = :d"
    assert query.text({"b": None, "d": None, "e": 1}) == "SELECT 1\nWHERE a\nAND c"
    assert query.text({"b": 1, "d": None}) is query.text({"b": 2, "d": None})
    with pytest.raises(KeyError):
        query.text({"b": 1})


def test_a_query_without_conditions_is_plain() -> None:
    assert Query("q", "SELECT 1 -- a remark").plain == "SELECT 1 -- a remark"


def test_words_are_filled_in() -> None:
    words = {"bytes": "BLOB", "contains": "instr({0}, {1}) > 0"}
    assert fill("a {bytes}, {contains f.name :search}", words) == "a BLOB, instr(f.name, :search) > 0"
    with pytest.raises(KeyError):
        fill("{unheard_of}", words)


def test_migrations_are_numbered_from_1() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_every_query_is_used_and_every_query_used_is_there() -> None:
    used = {name for source in SOURCES for name in re.findall(r'"([a-z]+(?:_[a-z0-9]+)*)"', source)}
    assert {*QUERIES} <= used
    asked = {name for source in SOURCES for name in re.findall(r'db\.(?:one|all|run)\(\s*"(\w+)"', source)}
    assert asked <= {*QUERIES}


def test_every_engine_word_is_used() -> None:
    folder = Path(next(iter(records.__path__)))
    written = "".join(path.read_text("utf-8") for path in folder.rglob("*.sql"))
    for word in WORDS:
        assert f"{{{word}" in written


def test_no_query_holds_a_value_of_its_own() -> None:
    """Parameters only: what comes from outside can never become SQL."""
    for source in SOURCES:
        assert not re.search(r'f"""?\s*(?:SELECT|INSERT|UPDATE|DELETE)', source)


@given(
    of=st.sampled_from(["files", "audit"]),
    company_id=st.none() | st.integers(0, 2**40),
    place=st.tuples(st.integers(-(2**63), 2**63 - 1), st.text()),
)
def test_a_cursor_is_read_by_the_list_that_made_it(of: str, company_id: int | None, place: tuple[int, str]) -> None:
    cursor = cursors.encode(of, company_id, place)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
    assert cursors.decode(of, company_id, cursor, (int, str)) == place
    for asked in (("events", company_id, (int, str)), (of, -1, (int, str)), (of, company_id, (int,))):
        with pytest.raises(InvalidInput):
            cursors.decode(asked[0], asked[1], cursor, asked[2])


@given(cursor=st.text(alphabet="ABCab019-_=") | st.text())
def test_other_text_is_no_cursor(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        cursors.decode("files", 1, cursor, (int, str))


@pytest.mark.parametrize("body", ["[" * 100_000, "1" * 10_000, "null", '{"a":1}', "[]", '["files",1,true,"x"]'])
def test_a_forged_cursor_is_refused_calmly(body: str) -> None:
    forged = base64.urlsafe_b64encode(b"123456" + body.encode()).rstrip(b"=").decode()
    with pytest.raises(InvalidInput):
        cursors.decode("files", 1, forged, (int, str))


@given(at=st.datetimes(timezones=st.just(UTC)))
def test_times_are_kept_to_the_microsecond(at: datetime) -> None:
    assert moment(micros(at)) == at


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(TypeError):
        micros(datetime(2026, 1, 1))


@given(name=st.text())
def test_forms_of_names_are_settled(name: str) -> None:
    assert nfc(nfc(name)) == nfc(name)
    assert folded(nfc(name)) == folded(name)


def test_ids_made_later_come_later() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len({*ids}) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)
    assert [id[:12] for id in ids] == sorted(id[:12] for id in ids)
