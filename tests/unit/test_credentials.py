"""What a request says about who sent it."""

from __future__ import annotations

import base64
import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core.errors import Unauthenticated
from loadingdock.web.credentials import (
    Basic,
    Bearer,
    Headers,
    Key,
    api_key,
    authorization,
    client_address,
    header_token,
    networks,
    trace_id,
    traceparent,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def sent(*values: str | bytes, name: bytes = b"Authorization") -> Headers:
    return [(name, value if isinstance(value, bytes) else value.encode()) for value in values]


def basic(text: str | bytes) -> str:
    return "Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


# --- Authorization -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "login", "password"),
    [
        ("anna@acme:secret", "anna@acme", "secret"),
        ("anna@acme:se:cr:et", "anna@acme", "se:cr:et"),
        ("anna@acme:", "anna@acme", ""),
        (":", "", ""),
        ("änna@acme:pässwörd €", "änna@acme", "pässwörd €"),
        ("Aladdin:open sesame", "Aladdin", "open sesame"),
        ("test:123\u00a3", "test", "123£"),  # the example of RFC 7617 2.1
    ],
)
def test_basic(text: str, login: str, password: str) -> None:
    assert authorization(sent(basic(text))) == Basic(login, password)


@given(
    login=st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=":")),
    password=st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    scheme=st.sampled_from(["Basic", "basic", "BASIC"]),
    spaces=st.integers(1, 3),
)
def test_basic_of_any_text(login: str, password: str, scheme: str, spaces: int) -> None:
    encoded = base64.b64encode(f"{login}:{password}".encode()).decode()
    assert authorization(sent(f"{scheme}{' ' * spaces}{encoded}")) == Basic(login, password)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic !",
        "Basic YW5uYQ",  # not padded
        "Basic YW5u YQ==",
        "Basic YW5uYTpzZWNyZXQ=,",
        basic("no colon"),
        basic(b"anna:\xff\xfe"),
        basic("anna\0:secret"),
        basic("anna:sec\r\nret"),
        basic("an\x7fna:secret"),
        "Basic Ünïcode",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer a,b",
        "Bearer ü",
        'Digest username="anna"',
        "Negotiate YII",
        "AWS4-HMAC-SHA256 Credential=x",
        "string",
        "a b c",
        b"Basic \xff",
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_read_is_unauthenticated(value: str | bytes) -> None:
    with pytest.raises(Unauthenticated):
        authorization(sent(value))


def test_two_authorizations_are_none() -> None:
    for second in (basic("anna:secret"), "Bearer abc", ""):
        with pytest.raises(Unauthenticated):
            authorization(sent(basic("anna:secret"), second))


def test_no_authorization() -> None:
    assert authorization([]) is None
    assert authorization(sent("abc", name=b"x-authorization")) is None


@pytest.mark.parametrize("value", ["Bearer abc.def-_~+/==", "bearer abc.def-_~+/==", "BEARER  abc.def-_~+/== "])
def test_bearer(value: str) -> None:
    assert authorization(sent(value)) == Bearer("abc.def-_~+/==")
    assert authorization(sent(value, name=b"AUTHORIZATION")) == Bearer("abc.def-_~+/==")


def test_a_token_without_the_word_is_one_where_the_wire_says_so() -> None:
    assert authorization(sent("abc.def"), bare=True) == Bearer("abc.def")
    assert authorization(sent("Bearer abc.def"), bare=True) == Bearer("abc.def")
    assert authorization(sent(basic("anna:secret")), bare=True) == Basic("anna", "secret")
    for value in ("", "a,b", "ü", "Digest x"):
        with pytest.raises(Unauthenticated):
            authorization(sent(value), bare=True)


def test_tokens_in_headers_of_their_own() -> None:
    assert api_key(sent("ldk_abc-_", name=b"api-key")) == Key("ldk_abc-_")
    assert api_key(sent(" ldk_abc ", name=b"API-Key")) == Key("ldk_abc")
    assert api_key([]) is None
    assert header_token(sent("a.b.c", name=b"X-CAP-API-OAUTH-TOKEN"), b"x-cap-api-oauth-token") == "a.b.c"


@pytest.mark.parametrize("values", [("",), ("a b",), ("ü",), ("a\n",), ("a", "a"), ("a", "b")])
def test_tokens_that_are_none(values: tuple[str, ...]) -> None:
    with pytest.raises(Unauthenticated):
        api_key(sent(*values, name=b"api-key"))


@given(value=st.binary(max_size=60), bare=st.booleans())
def test_any_bytes_are_read_or_refused(value: bytes, bare: bool) -> None:
    with contextlib.suppress(Unauthenticated):
        assert isinstance(authorization(sent(value), bare=bare), Basic | Bearer)


# --- address -------------------------------------------------------------------------------------

PROXIES = networks(["10.0.0.0/8", "::1", "2001:db8:f::/48"])


def forwarded(*values: str) -> Headers:
    return sent(*values, name=b"X-Forwarded-For")


@pytest.mark.security(23)
@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("198.51.100.7", forwarded("192.0.2.1"), "198.51.100.7"),
        ("10.0.0.1", forwarded("192.0.2.1"), "192.0.2.1"),
        ("10.0.0.1", forwarded("203.0.113.9, 192.0.2.1"), "192.0.2.1"),
        ("10.0.0.1", forwarded("203.0.113.9, 192.0.2.1, 10.0.0.2"), "192.0.2.1"),
        ("10.0.0.1", forwarded("203.0.113.9", "192.0.2.1, 10.0.0.2", "10.0.0.3"), "192.0.2.1"),
        ("10.0.0.1", forwarded("10.0.0.3, 10.0.0.2"), "10.0.0.3"),
        ("10.0.0.1", forwarded("192.0.2.1:4711"), "192.0.2.1"),
        ("10.0.0.1", forwarded("[2001:db8::1]:4711"), "2001:db8::1"),
        ("10.0.0.1", forwarded("2001:db8::1"), "2001:db8::1"),
        ("::1", forwarded("192.0.2.1"), "192.0.2.1"),
        ("2001:db8:f:1::9", forwarded("192.0.2.1"), "192.0.2.1"),
        ("2001:db8:e:1::9", forwarded("192.0.2.1"), "2001:db8:e:1::9"),
        ("::ffff:10.0.0.1", forwarded("192.0.2.1"), "192.0.2.1"),
        ("::ffff:198.51.100.7", forwarded("192.0.2.1"), "198.51.100.7"),
        ("10.0.0.1", forwarded("::ffff:192.0.2.1"), "192.0.2.1"),
        ("10.0.0.1", forwarded(""), "10.0.0.1"),
        ("10.0.0.1", forwarded("unknown"), "10.0.0.1"),
        ("10.0.0.1", forwarded("192.0.2.1, unknown"), "10.0.0.1"),
        ("10.0.0.1", forwarded("192.0.2.1, unknown, 10.0.0.2"), "10.0.0.2"),
        ("10.0.0.1", forwarded("192.0.2.1, 10.0.0.2, "), "10.0.0.1"),
        ("10.0.0.1", sent("for=192.0.2.1", name=b"forwarded"), "10.0.0.1"),
        ("10.0.0.1", sent("192.0.2.1", name=b"x-real-ip"), "10.0.0.1"),
        ("testclient", forwarded("192.0.2.1"), "testclient"),
        (None, forwarded("192.0.2.1"), None),
    ],
)
def test_the_client_behind_trusted_proxies(peer: str | None, headers: Headers, address: str | None) -> None:
    assert client_address(peer, headers, PROXIES) == address


@pytest.mark.security(23)
@given(value=st.text(st.characters(max_codepoint=255, exclude_categories=("Cc",)), max_size=60))
def test_without_trusted_proxies_the_header_says_nothing(value: str) -> None:
    headers = [(b"x-forwarded-for", value.encode("latin-1"))]
    assert client_address("198.51.100.7", headers, ()) == "198.51.100.7"
    assert client_address("10.0.0.1", headers, PROXIES)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "proxy.example.com", "10.0.0"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/8"):
        networks([text])


# --- trace ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        f"00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-00",
        f" 00-{TRACE}-{PARENT}-ff ",
        f"cc-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-comes-later",
    ],
)
def test_a_trace_is_continued(value: str) -> None:
    assert trace_id(sent(value, name=b"TraceParent")) == TRACE


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        (f"ff-{TRACE}-{PARENT}-01",),
        (f"00-{'0' * 32}-{PARENT}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"00-{TRACE.upper()}-{PARENT}-01",),
        (f"00-{TRACE}-{PARENT}-01-more",),
        (f"00-{TRACE}-{PARENT}-01-",),
        (f"cc-{TRACE}-{PARENT}-01more",),
        (f"00-{TRACE}-{PARENT}",),
        (f"00-{TRACE[1:]}-{PARENT}-01",),
        (f"00-{TRACE}-{PARENT}-1",),
        (f"0-{TRACE}-{PARENT}-01",),
        (f"00_{TRACE}_{PARENT}_01",),
        (f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"),
    ],
)
def test_anything_else_begins_a_fresh_one(values: tuple[str, ...]) -> None:
    headers = sent(*values, name=b"traceparent")
    fresh = {trace_id(headers) for _ in range(3)}
    assert len(fresh) == 3
    assert TRACE not in fresh
    assert all(re.fullmatch(r"[0-9a-f]{32}", trace) for trace in fresh)


def test_what_we_send_on_continues_the_trace() -> None:
    header = traceparent(TRACE)
    assert trace_id(sent(header, name=b"traceparent")) == TRACE
    assert header != traceparent(TRACE)
