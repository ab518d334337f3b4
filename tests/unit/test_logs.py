"""No secret in a log, in whichever way it came there, and nothing that a client sent begins a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from loadingdock import logs

KEY = "ldk_Zp4Jf0nq8Zt1xUuQyq1Q0m0c7w5rYkqX1v2b3n4m5k6"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
SIGNATURE = "7b3f0a5d1c9e8f6a4b2c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a"
PASSWORD = "hunter2-correct-horse"
BASIC = "YW5uYUBhY21lOmh1bnRlcjItY29ycmVjdC1ob3JzZQ=="

# How secrets come into logs: fields of ours, headers in three forms, URLs, messages of libraries.
SECRETS: list[tuple[str, dict[str, Any], str]] = [
    ("refused", {"path": f"/objects/1?X-Amz-Expires=600&X-Amz-Signature={SIGNATURE}"}, SIGNATURE),
    ("refused", {"query": f"X-Amz-Signature={SIGNATURE}&X-Amz-Expires=600"}, SIGNATURE),
    ("refused", {"raw_query": f"X-Amz-Signature={SIGNATURE}".encode()}, SIGNATURE),
    ("refused", {"headers": [(b"authorization", f"Basic {BASIC}".encode())]}, BASIC),
    ("refused", {"headers": {"Authorization": f"Bearer {TOKEN}"}}, TOKEN),
    ("refused", {"headers": [("api-key", "not-one-of-ours")]}, "not-one-of-ours"),
    ("refused", {"headers": {"X-CAP-API-OAUTH-TOKEN": TOKEN}}, TOKEN),
    ("refused", {"headers": {"Cookie": "session=opensesame"}}, "opensesame"),
    (f"Authorization: Basic {BASIC}", {}, BASIC),
    (f"request headers {{'authorization': 'Bearer {TOKEN}'}}", {}, TOKEN),
    (f"b'Authorization', b'Basic {BASIC}'", {}, BASIC),
    ("made", {"password": PASSWORD}, PASSWORD),
    ("made", {"client_secret": PASSWORD}, PASSWORD),
    ("made", {"new": {"secret": PASSWORD}}, PASSWORD),
    (f"the key {KEY} is unknown", {}, KEY),
    ("made whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {}, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("token", {"claims": TOKEN}, TOKEN),
    ("cannot connect", {"url": f"redis://default:{PASSWORD}@10.0.0.7:6379/0"}, PASSWORD),
    (f"POST /oauth/token?client_secret={PASSWORD}&grant_type=x", {}, PASSWORD),
    ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg\n-----END EC PRIVATE KEY-----", {}, "MHcCAQEEIBkg"),
]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(format: Literal["json", "text"], level: Literal["debug", "info"] = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, format, stream)
    return stream


@pytest.mark.security(22)
@pytest.mark.security(26)
@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize(("event", "fields", "secret"), SECRETS)
def test_secrets_are_masked(event: str, fields: dict[str, Any], secret: str, format: Literal["json", "text"]) -> None:
    stream = written(format)
    structlog.get_logger("test").warning(event, **fields)
    logging.getLogger("library").warning("%s %s", event, fields)
    assert secret not in stream.getvalue()
    assert "***" in stream.getvalue()


@pytest.mark.security(26)
@pytest.mark.parametrize("format", ["json", "text"])
def test_a_traceback_shows_neither_secrets_nor_local_variables(format: Literal["json", "text"]) -> None:
    stream = written(format)
    local = "what a client sent"
    try:
        raise ValueError(f"wrong key {KEY}")
    except ValueError as error:
        structlog.get_logger("test").error("failed", exc_info=error, length=len(local))
        logging.getLogger("library").exception("failed")
    assert "ValueError: wrong key ldk_***" in stream.getvalue()
    assert KEY not in stream.getvalue()
    assert local not in stream.getvalue()


def test_what_is_no_secret_stays() -> None:
    stream = written("json")
    structlog.get_logger("test").info("refused", path="/v1/files?limit=30", status=404, token_ttl=300, seconds=0.5)
    line = json.loads(stream.getvalue())
    assert line["path"] == "/v1/files?limit=30"
    assert (line["status"], line["token_ttl"], line["seconds"]) == (404, 300, 0.5)


def test_a_line_is_one_object_with_time_level_and_trace() -> None:
    stream = written("json")
    structlog.get_logger("loadingdock.web").info("refused", trace_id="4bf92f3577b34da6a3ce929d0e0e4736", name="a\nb")
    with structlog.contextvars.bound_contextvars(trace_id="11112222333344445555666677778888"):
        logging.getLogger("library").warning("two\nlines")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert ours["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert theirs["trace_id"] == "11112222333344445555666677778888"
    for line in (ours, theirs):
        assert {"timestamp", "level", "logger", "event"} <= line.keys()
        assert line["timestamp"].endswith("Z")


@pytest.mark.security(28)
@given(value=st.text())
def test_in_text_nothing_sent_begins_a_line(value: str) -> None:
    stream = written("text")
    structlog.get_logger("test").info("refused", path=value)
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_levels_hold_for_libraries_too() -> None:
    stream = written("json")
    structlog.get_logger("test").debug("small")
    logging.getLogger("library").debug("small")
    logging.getLogger("httpx").info("GET http://example.com")
    assert stream.getvalue() == ""


@given(st.text())
def test_masking_is_stable(text: str) -> None:
    assert logs.mask(logs.mask(text)) == logs.mask(text)
