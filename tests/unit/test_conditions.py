from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from loadingdock.web.conditions import NotSatisfiable, refusal, wanted_range

ETAG = '"abc"'
MODIFIED = datetime(2026, 11, 22, 5, 17, 3, 500_000, UTC)
SAME, EARLIER, LATER = (f"Sun, 22 Nov 2026 05:17:0{second} GMT" for second in (3, 2, 4))


def headers(**fields: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in fields.items()})


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, None),
        ({"if_none_match": '"abc"'}, 304),
        ({"if_none_match": 'W/"abc"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"x", W/"abc" , "y"'}, 304),
        ({"if_none_match": "\"x,'abc'\""}, None),
        ({"if_none_match": '"x"'}, None),
        ({"if_none_match": "abc"}, None),
        ({"if_match": '"abc"'}, None),
        ({"if_match": "*"}, None),
        ({"if_match": '"x", "abc"'}, None),
        ({"if_match": '"x"'}, 412),
        ({"if_match": 'W/"abc"'}, 412),
        ({"if_match": ""}, 412),
        ({"if_modified_since": SAME}, 304),
        ({"if_modified_since": LATER}, 304),
        ({"if_modified_since": EARLIER}, None),
        ({"if_modified_since": "nonsense"}, None),
        ({"if_unmodified_since": SAME}, None),
        ({"if_unmodified_since": LATER}, None),
        ({"if_unmodified_since": EARLIER}, 412),
        ({"if_unmodified_since": "nonsense"}, None),
        # The order of RFC 9110 13.2.2: tags come before dates.
        ({"if_none_match": '"x"', "if_modified_since": SAME}, None),
        ({"if_match": '"abc"', "if_unmodified_since": EARLIER}, None),
        ({"if_match": '"x"', "if_none_match": '"abc"'}, 412),
        ({"if_unmodified_since": EARLIER, "if_none_match": '"abc"'}, 412),
    ],
)
def test_conditions(fields: dict[str, str], status: int | None) -> None:
    assert refusal(headers(**fields), ETAG, MODIFIED) == status


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 1000)),
        ("bytes=0-999", (0, 1000)),
        ("bytes=0-5000", (0, 1000)),
        ("bytes=999-", (999, 1)),
        ("bytes=500-599", (500, 100)),
        ("bytes=-1", (999, 1)),
        ("bytes=-1000", (0, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes= 5-6 ", (5, 2)),
        ("bytes=00005-6", (5, 2)),
        # the whole, for what cannot be read, for other units and for several at once
        ("bytes=6-5", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=a-b", None),
        ("bytes=1_0-20", None),
        ("bytes=+5-6", None),
        ("bytes=²-³", None),
        ("bytes=--5", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("", None),
        ("bytes=0-" + "9" * 19, None),
    ],
)
def test_ranges(value: str, part: tuple[int, int] | None) -> None:
    assert wanted_range(headers(range=value), ETAG, 1000) == part


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-1000", "bytes=5000-6000", "bytes=-0"])
def test_ranges_behind_the_end(value: str) -> None:
    with pytest.raises(NotSatisfiable):
        wanted_range(headers(range=value), ETAG, 1000)


def test_ranges_of_nothing() -> None:
    assert wanted_range(headers(range="bytes=-5"), ETAG, 0) is None
    with pytest.raises(NotSatisfiable):
        wanted_range(headers(range="bytes=0-"), ETAG, 0)


@pytest.mark.parametrize(
    ("validator", "partly"), [('"abc"', True), (' "abc" ', True), ('W/"abc"', False), ('"x"', False), (SAME, False)]
)
def test_if_range(validator: str, partly: bool) -> None:
    found = wanted_range(headers(range="bytes=5-", if_range=validator), ETAG, 1000)
    assert found == ((5, 995) if partly else None)


@given(
    st.integers(0, 50), st.text("0123456789-, bytes=", max_size=12) | st.from_regex(r"\Abytes=[0-9]{0,2}-[0-9]{0,2}\Z")
)
def test_a_range_lies_within(size: int, value: str) -> None:
    try:
        part = wanted_range(headers(range=value), ETAG, size)
    except NotSatisfiable:
        return
    if part is not None:
        start, length = part
        assert 0 <= start < start + length <= size


@pytest.mark.security(15)
def test_10000_ranges() -> None:
    value = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    started = time.process_time()
    assert wanted_range(headers(range=value), ETAG, 1000) is None
    assert refusal(headers(if_none_match='W/"x", ' * 10_000), ETAG, MODIFIED) is None
    assert time.process_time() - started < 1
