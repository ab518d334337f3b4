from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core.errors import InvalidInput, LimitExceeded, TooLarge, TooMany
from loadingdock.web.forms import receive_json, receive_urlencoded
from tests.unit.bodies import body_of

MIB = 1 << 20


async def form(data: bytes) -> list[tuple[str, str]]:
    return (await receive_urlencoded(body_of(data))).fields


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", []),
        (b"a=1&b=2&a=", [("a", "1"), ("b", "2"), ("a", "")]),
        (b"a=x+y%20z%26%3D", [("a", "x y z&=")]),
        (b"a", [("a", "")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"&&a=1&", [("a", "1")]),
        (b"a=%C3%BC&%C3%BC=\xc3\xbc", [("a", "ü"), ("ü", "ü")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
        (b"a=%zz%", [("a", "%zz%")]),
    ],
)
async def test_url_encoded(data: bytes, fields: list[tuple[str, str]]) -> None:
    assert await form(data) == fields


@pytest.mark.parametrize("data", [b"a=\xff", b"a=%ff", b"%ff=a"])
async def test_url_encoded_but_not_utf_8(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        await form(data)


@pytest.mark.security(3)
async def test_1001_url_encoded_fields() -> None:
    started = time.process_time()
    assert len(await form(b"&".join([b"a=1"] * 1000))) == 1000
    with pytest.raises(TooMany):
        await form(b"&".join([b"a=1"] * 1001))
    with pytest.raises(TooMany):
        await form(b"&" * 1001)
    assert time.process_time() - started < 1


@pytest.mark.security(3)
async def test_a_large_url_encoded_field() -> None:
    with pytest.raises(TooLarge):
        await form(b"a=" + b"x" * 65_537)
    body = body_of([b"x" * 65_536] * 1600)
    with pytest.raises(TooLarge):
        await receive_urlencoded(body)
    assert body.received < 2 * MIB


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON), st.booleans())
async def test_json_objects(value: dict[str, Any], ascii: bool) -> None:
    assert await receive_json(body_of(json.dumps(value, ensure_ascii=ascii).encode())) == value


@given(st.binary() | st.text(alphabet='{}[]":,\\u0d8trueNa.-+ ').map(str.encode))
async def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        assert isinstance(await receive_json(body_of(data)), dict)
    except InvalidInput:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b"{",
        b'{"a":1}x',
        b'{"a":1,}',
        b"[]",
        b'"a"',
        b"1",
        b"null",
        b'{"a":1,"a":2}',
        b'{"b":{"a":1,"a":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\n"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
)
async def test_what_is_no_json_object(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        await receive_json(body_of(data))


async def test_a_byte_order_mark_and_surrogate_pairs_are_fine() -> None:
    assert await receive_json(body_of(b'\xef\xbb\xbf{"a":"\\ud83c\\udf88"}')) == {"a": "🎈"}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_json_without_depth(opening: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InvalidInput):
        await receive_json(body_of(b'{"a":' + opening * 100_000))
    assert time.process_time() - started < 1


async def test_json_has_a_limit() -> None:
    body = body_of([b" " * 65_536] * 1600)
    with pytest.raises(LimitExceeded):
        await receive_json(body, 1000)
    assert body.received < 2 * MIB
