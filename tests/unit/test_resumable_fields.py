"""Header fields of resumable uploads: structured fields, read strictly, and what their lengths may say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from loadingdock.core.errors import InvalidInput, LengthMismatch, TooLarge
from loadingdock.core.model.files import Upload
from loadingdock.web.resumable import Fields, length_of, limits

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UPLOAD = Upload("u", 1, "f", 1, max_size=100, created_at=NOW, expires_at=NOW + timedelta(minutes=10))
NOTHING = Fields(None, None, None)


def fields(**values: str) -> Fields:
    return Fields.of(Headers({name.replace("_", "-"): value for name, value in values.items()}))


def test_the_three_fields() -> None:
    assert fields(upload_complete="?1", upload_offset="12", upload_length="0") == Fields(True, 12, 0)
    assert fields(upload_complete="?0") == Fields(False, None, None)
    assert fields() == NOTHING


@pytest.mark.parametrize("parameters", [";a", ";a=1", "; a=?1;b", ';a="x;y"', ";*k=tok/en"])
def test_parameters_mean_nothing(parameters: str) -> None:
    read = fields(upload_complete=f"?1{parameters}", upload_offset=f" 12{parameters} ")
    assert read == Fields(True, 12, None)


@pytest.mark.parametrize("value", ["-1", "+1", "1.0", "1_0", "0x1", "١", "1" * 16, "1,2", '"1"', "?1", ""])
def test_what_is_no_whole_number_is_ignored(value: str) -> None:
    headers = Headers(raw=[(b"upload-offset", value.encode()), (b"upload-length", value.encode())])
    assert Fields.of(headers) == NOTHING


def test_a_field_that_comes_twice_is_ignored() -> None:
    assert Fields.of(Headers(raw=[(b"upload-complete", b"?1"), (b"upload-complete", b"?1")])) == NOTHING


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60))
def test_anything_else_neither_fails_nor_is_believed(value: str) -> None:
    read = Fields.of(Headers(raw=[(b"upload-complete", value.encode("latin-1"))]))
    assert read.complete is None or value.strip(" ")[:2] in {"?0", "?1"}


def test_the_length_is_learned_and_kept() -> None:
    assert length_of(UPLOAD, NOTHING, offset=0, content=None, last=False) is None
    assert length_of(UPLOAD, NOTHING, offset=10, content=5, last=False) is None
    assert length_of(UPLOAD, NOTHING, offset=10, content=5, last=True) == 15
    assert length_of(UPLOAD, Fields(None, None, 20), offset=10, content=5, last=False) == 20
    known = replace(UPLOAD, size=20)
    assert length_of(known, NOTHING, offset=10, content=None, last=True) == 20
    assert length_of(known, Fields(None, None, 20), offset=10, content=10, last=True) == 20


def test_lengths_that_contradict_each_other() -> None:
    known = replace(UPLOAD, size=20)
    with pytest.raises(InvalidInput):
        length_of(known, Fields(None, None, 21), offset=0, content=None, last=False)
    with pytest.raises(LengthMismatch):
        length_of(known, NOTHING, offset=0, content=19, last=True)
    with pytest.raises(LengthMismatch):
        length_of(UPLOAD, Fields(None, None, 20), offset=0, content=21, last=True)


@given(
    offset=st.integers(0, 200), content=st.integers(0, 200), length=st.none() | st.integers(0, 200), last=st.booleans()
)
def test_no_length_passes_the_limit(offset: int, content: int, length: int | None, last: bool) -> None:
    claimed = Fields(None, None, length)
    if max(offset + content, length or 0) > UPLOAD.max_size:
        with pytest.raises(TooLarge) as refused:
            length_of(UPLOAD, claimed, offset=offset, content=content, last=last)
        assert refused.value.limit == UPLOAD.max_size
    elif last and length not in (None, offset + content):
        with pytest.raises(LengthMismatch):
            length_of(UPLOAD, claimed, offset=offset, content=content, last=last)
    else:
        found = length_of(UPLOAD, claimed, offset=offset, content=content, last=last)
        assert found == (offset + content if last else length)


def test_limits_never_promise_a_negative_life() -> None:
    assert limits(UPLOAD, NOW) == "max-size=100, max-age=600"
    assert limits(UPLOAD, NOW + timedelta(hours=1)) == "max-size=100, max-age=0"
