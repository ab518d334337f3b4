"""Which origins are named to whom."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from loadingdock.core import settings
from loadingdock.web import cors


def scope(origin: str | None) -> dict[str, object]:
    return {"type": "http", "headers": [] if origin is None else [(b"origin", origin.encode())]}


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "https://app.example.com.evil.example", "*"])
def test_who_is_not_allowed_is_told_who_is(origin: str | None) -> None:
    asked = scope(origin)
    cors.allow(asked, ["https://app.example.com", "https://other.example.com"])
    named = cors.headers(Request(asked))  # type: ignore[arg-type]  # as much of a scope as is needed
    assert named["access-control-allow-origin"] == "https://app.example.com"
    assert named["vary"] == "Origin"


def test_who_is_allowed_is_named() -> None:
    asked = scope("https://other.example.com")
    cors.allow(asked, ["https://app.example.com", "https://other.example.com"])
    named = cors.headers(Request(asked), "ETag")  # type: ignore[arg-type]  # as much of a scope as is needed
    assert named["access-control-allow-origin"] == "https://other.example.com"
    assert named["access-control-allow-credentials"] == "true"
    assert named["access-control-expose-headers"] == "ETag"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Files.Example.com", "https://files.example.com"),
        ("https://files.example.com:443", "https://files.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:80/dock", "http://[::1]"),
    ],
)
def test_our_own_origin(url: str, origin: str) -> None:
    assert cors.origin_of(url) == origin


def test_what_an_operator_may_write() -> None:
    assert settings.origins("https://App.example.com, http://localhost:3000") == [
        "https://app.example.com",
        "http://localhost:3000",
    ]
    assert settings.origins("default") == []
    for wrong in (
        "*",
        "null",
        "https://x.example/",
        "https://x.example:443",
        "ftp://x.example",
        "x.example",
        "https://",
    ):
        with pytest.raises(ValueError, match="origin"):
            settings.origins(wrong)
