"""The preference `wait` of RFC 7240."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadingdock.dialects.signed_url.preferences import LONGEST, wait


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], None),
        ([""], None),
        (["wait=20"], 20),
        (["wait=0"], 0),
        (["WAIT = 20"], 20),
        (['wait="20"'], 20),
        (["respond-async, wait=20"], 20),
        (["respond-async", "wait=20"], 20),
        (['wait=20; foo="bar"'], 20),
        (["wait=20, wait=30"], 20),
        (["wait=3600"], LONGEST),
        (["wait"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=soon, wait=5"], None),
        (["await=5"], None),
        (["wait=9999999999"], None),
    ],
)
def test_what_is_asked_for(values: list[str], seconds: int | None) -> None:
    assert wait(values) == seconds


@given(st.lists(st.text(max_size=40), max_size=4))
def test_nothing_fails_and_nobody_waits_for_ever(values: list[str]) -> None:
    assert wait(values) is None or 0 <= (wait(values) or 0) <= LONGEST
