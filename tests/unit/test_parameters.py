from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.core.errors import InvalidInput
from loadingdock.web.parameters import content_disposition, extended, parameters, unquote

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.mark.parametrize(
    ("value", "first", "found"),
    [
        ("", "", {}),
        ("Text/Plain", "text/plain", {}),
        ("text/plain; Charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
        ('a;b="c;d";e=f', "a", {"b": '"c;d"', "e": "f"}),
        ('a ; b = "x\\"y" ; ', "a", {"b": '"x\\"y"'}),
        ("a;;;b=", "a", {"b": ""}),
    ],
)
def test_parameters(value: str, first: str, found: dict[str, str]) -> None:
    assert parameters("X", value) == (first, found)


@pytest.mark.parametrize("value", ["a; b", "a; =c", 'a; b="c', 'a; b="c"d', "a; b=c d", "a; b=c; B=d", 'a; b="\\"'])
def test_what_cannot_be_read(value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parameters("X-Field", value)
    assert raised.value.field == "X-Field"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_quoted_strings(value: str) -> None:
    quoted = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    assert parameters("X", f"a; b={quoted}") == ("a", {"b": quoted})
    assert unquote(quoted) == value


@pytest.mark.security(11)
@given(NAMES, st.booleans())
def test_any_name_is_told_and_nothing_else(name: str, inline: bool) -> None:
    """It reads as one header of two known parameters, in plain ASCII, and gives the name back."""
    value = content_disposition(name, inline=inline)
    assert re.fullmatch(r"[\x20-\x7e]*", value)
    kind, found = parameters("Content-Disposition", value)
    assert kind == ("inline" if inline else "attachment")
    assert found.keys() <= {"filename", "filename*"}
    told = extended("X", found["filename*"]) if "filename*" in found else unquote(found["filename"])
    assert told == name
    assert not re.search(r'["\\%]', unquote(found["filename"]))


def test_a_plain_name_needs_no_more() -> None:
    assert content_disposition("a; b=c.pdf", inline=True) == 'inline; filename="a; b=c.pdf"'
    assert content_disposition("Ü 1.pdf", inline=False) == (
        "attachment; filename=\"_ 1.pdf\"; filename*=UTF-8''%C3%9C%201.pdf"
    )


def test_a_lone_surrogate_is_replaced() -> None:
    assert content_disposition("a\ud800.txt", inline=False).endswith("filename*=UTF-8''a%3F.txt")
