"""Errors in S3's shape: every one of the tree, whatever is in it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from loadingdock.core.errors import AlreadyUploaded, DockError, Forbidden, InvalidInput, LinkExpired, OffsetMismatch
from loadingdock.web import s3
from loadingdock.web.context import Context, attach
from loadingdock.web.problems import SAMPLES


def request(raw_path: bytes = b"/objects/1/x") -> Request:
    scope = {"type": "http", "method": "PUT", "path": raw_path.decode("latin-1"), "raw_path": raw_path, "headers": []}
    attach(scope, Context("0af7651916cd43dd8448eb211c80319c", None, request_id="id-1"))
    return Request(scope)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_has_a_row(error: DockError) -> None:
    answer = s3.render(error, request())
    shown = ElementTree.fromstring(bytes(answer.body))
    assert [child.tag for child in shown] == ["Code", "Message", "Resource", "RequestId"]
    assert shown.findtext("RequestId") == answer.headers["x-amz-request-id"] == "id-1"
    assert answer.headers["content-type"] == "application/xml"
    assert 400 <= answer.status_code < 600
    assert (answer.status_code >= 500) == (
        shown.findtext("Code") in {"InternalError", "SlowDown", "ServiceUnavailable", "InsufficientStorage"}
    )


@given(message=st.text(max_size=80), path=st.binary(max_size=80))
def test_whatever_they_say_is_well_formed(message: str, path: bytes) -> None:
    answer = s3.render(InvalidInput(message), request(b"/objects/" + path))
    ElementTree.fromstring(bytes(answer.body))


def test_what_clients_act_upon() -> None:
    assert b"SignatureDoesNotMatch" in bytes(s3.render(Forbidden("link"), request()).body)
    assert b"<Code>AccessDenied" in bytes(s3.render(Forbidden("files:write"), request()).body)
    assert b"Request has expired" in bytes(s3.render(LinkExpired("over"), request()).body)
    assert s3.render(OffsetMismatch(current=5, claimed=6), request()).headers["upload-offset"] == "5"
    assert s3.render(AlreadyUploaded(), request()).headers["upload-complete"] == "?1"
    marked = request()
    s3.mark_complete(marked)
    assert s3.render(InvalidInput("late"), marked).headers["upload-complete"] == "?1"


def test_every_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/signed-links.md").read_text()
    for error in SAMPLES:
        answer = s3.render(error, request())
        code = ElementTree.fromstring(bytes(answer.body)).findtext("Code") or ""
        assert any(line.startswith(f"| {answer.status_code} |") and code in line for line in page.splitlines()), code
