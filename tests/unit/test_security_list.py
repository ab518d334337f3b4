"""The list in SECURITY.md is held by tests: each of its lines by at least one that carries the line's number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "tests", ROOT / "src" / "loadingdock" / "testing")  # the contract suites are tests too


@cache
def promised() -> frozenset[int]:
    """The numbers of the list."""
    _, _, text = (ROOT / "SECURITY.md").read_text().partition("\n## The list\n")
    return frozenset(int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE))


@cache
def marked() -> dict[int, set[str]]:
    """The numbers that tests carry, and the files in which they do."""
    found: dict[int, set[str]] = {}
    for folder in SOURCES:
        for path in folder.rglob("*.py"):
            text = path.read_text()
            if "security" not in text:  # most have none, and parsing all takes a second
                continue
            for number in _marks(ast.parse(text, str(path))):
                found.setdefault(number, set()).add(path.relative_to(ROOT).as_posix())
    return found


def _marks(tree: ast.Module) -> Iterator[int]:
    """N of every `pytest.mark.security(N)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="security", value=ast.Attribute(attr="mark")), args=[ast.Constant(int(number))]
            ):
                yield number


def test_the_list_is_the_one_that_was_promised() -> None:
    assert promised() == set(range(1, 34))


@pytest.mark.parametrize("number", sorted(promised()))
def test_every_line_is_held_by_a_test(number: int) -> None:
    assert marked().get(number), f"line {number} of SECURITY.md has no test with @pytest.mark.security({number})"


def test_every_marker_names_a_line() -> None:
    strangers = {number: sorted(paths) for number, paths in marked().items() if number not in promised()}
    assert not strangers


@pytest.mark.parametrize(
    "source", ["@pytest.mark.security(7)\ndef test(): ...", "pytestmark = pytest.mark.security(7)"]
)
def test_markers_are_found_however_they_are_set(source: str) -> None:
    assert list(_marks(ast.parse(source))) == [7]
