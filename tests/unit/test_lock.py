"""The lock files: everything that the project names is in them, with hashes, and no word about where to fetch it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.runtime.lock": ("build",),
    "requirements.lock": ("build", "dev"),
}
_ENTRY = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)[^\\\n]*(?P<hashes>(?:\\\n +--hash=sha256:[0-9a-f]{64} ?)+)$",
    re.M,
)


def locked(lock: str) -> dict[str, set[str]]:
    """The versions by name; several where a marker chooses."""
    found: dict[str, set[str]] = {}
    for entry in _ENTRY.finditer((ROOT / lock).read_text()):
        found.setdefault(canonicalize_name(entry["name"]), set()).add(entry["version"])
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_version_with_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert _ENTRY.sub("", text).strip() == ""
    assert "://" not in text


@pytest.mark.parametrize(("lock", "groups"), LOCKS.items())
def test_what_the_project_names_is_locked(lock: str, groups: tuple[str, ...]) -> None:
    named = [
        *PROJECT["project"]["dependencies"],
        *(one for group in groups for one in PROJECT["dependency-groups"][group]),
    ]
    versions = locked(lock)
    for text in named:
        requirement = Requirement(text)
        found = versions.get(canonicalize_name(requirement.name), set())
        assert found, f"{requirement.name} is not in {lock}: make lock"
        assert all(requirement.specifier.contains(version) for version in found), f"{text} is not {found}: make lock"


def test_both_agree() -> None:
    runtime, everything = (locked(lock) for lock in LOCKS)
    assert {name: everything.get(name) for name in runtime} == runtime
