"""Text of any encoding, whole or cut."""

from __future__ import annotations

import codecs
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.adapters.readers import plain

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=60)
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


def read(data: bytes, limit: int = 1000) -> str:
    return "".join(plain.read(io.BytesIO(data), limit))


@given(texts)
def test_utf8_needs_no_mark(text: str) -> None:
    assert read(text.encode()) == text


@given(texts, st.sampled_from(sorted(MARKS)))
def test_marks(text: str, encoding: str) -> None:
    if encoding == "utf-16-le" and text.startswith("\0"):
        return  # its mark and two zeros are the mark of UTF-32
    assert read(MARKS[encoding] + text.encode(encoding)) == text


@given(texts, st.sampled_from(sorted(MARKS)), st.integers(0, 20))
def test_the_limit_is_exceeded_only_by_more_text(text: str, encoding: str, limit: int) -> None:
    """The caller cuts; it must see that there was more, and nothing broken before the cut."""
    if encoding == "utf-16-le" and text.startswith("\0"):
        return
    got = read(MARKS[encoding] + text.encode(encoding), limit)
    assert got[:limit] == text[:limit]
    assert (len(got) > limit) == (len(text) > limit)


@given(st.binary(max_size=100))
def test_total(data: bytes) -> None:
    read(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße €".encode("cp1252"), "Grüße €"),
        (b"caf\xe9", "café"),
        (b"\x81", "\ufffd"),  # not even Windows-1252 has it
        (b"\xff\xfea", "\ufffd"),  # half a character
    ],
)
def test_what_is_no_utf8(data: bytes, text: str) -> None:
    assert read(data) == text
