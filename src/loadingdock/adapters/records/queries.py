"""Named queries from .sql files.

    -- name: file_by_id
    SELECT {file_columns} FROM {file_tables} WHERE f.company_id = :company_id AND f.id = :id;

Parameters are written `:name`. A line that ends in `-- when :owner` stands only where `owner` is given (not None), one
that ends in `-- unless :state` only where `state` is not. Words in braces are replaced: by a block `-- fragment: NAME`
of the files, or by what the engine calls it (`{contains column :text}`; the engine's template takes what follows the
word as {0}, {1} ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

_HEAD = re.compile(r"^-- (name|fragment): (\w+)$")
_CONDITION = re.compile(r"\s*-- (when|unless) :(\w+)$")
_WORD = re.compile(r"\{(\w+)((?: [^\s{}]+)*)\}")


class Query:
    """The text of one query, in as many variants as its optional lines make."""

    __slots__ = ("_conditions", "_lines", "_texts", "name")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._conditions: list[tuple[str, bool]] = []
        self._lines: list[tuple[str, tuple[str, bool] | None]] = []
        self._texts: dict[tuple[bool, ...], str] = {}
        for line in text.splitlines():
            condition = None
            if match := _CONDITION.search(line):
                condition = (match[2], match[1] == "when")
                if condition not in self._conditions:
                    self._conditions.append(condition)
                line = line[: match.start()]
            self._lines.append((line, condition))

    @property
    def plain(self) -> str | None:
        """The text, if it is always the same."""
        return None if self._conditions else self.text({})

    @property
    def conditions(self) -> frozenset[str]:
        """The parameters that decide which of its lines stand."""
        return frozenset(name for name, _ in self._conditions)

    def text(self, params: Mapping[str, Any]) -> str:
        held = tuple((params[name] is not None) is given for name, given in self._conditions)
        if (text := self._texts.get(held)) is None:
            stands = dict(zip(self._conditions, held, strict=True))
            text = "\n".join(line for line, condition in self._lines if condition is None or stands[condition])
            self._texts[held] = text
        return text


class Queries(Mapping[str, Query]):
    """All named queries, in one engine's words."""

    def __init__(self, words: Mapping[str, str]) -> None:
        fragments: dict[str, str] = {}
        texts: dict[str, str] = {}
        for kind, name, text in _blocks():
            target = fragments if kind == "fragment" else texts
            if name in target:
                raise ValueError(f"{kind} {name} is defined twice")
            target[name] = text
        fragments = {name: fill(text, words) for name, text in fragments.items()}
        self._queries = {name: Query(name, fill(text, {**words, **fragments})) for name, text in texts.items()}

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)


def fill(text: str, words: Mapping[str, str]) -> str:
    """Replaces the words in braces."""
    return _WORD.sub(lambda match: words[match[1]].format(*match[2].split()), text)


def migrations() -> tuple[tuple[int, str], ...]:
    """(number, text) in order; the numbers run from 1 without a gap."""
    folder = files(__package__).joinpath("migrations")
    found = sorted((int(entry.name[:4]), entry.read_text("utf-8")) for entry in folder.iterdir() if _is_sql(entry.name))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are not numbered from 1 without a gap")
    return tuple(found)


@cache
def _blocks() -> tuple[tuple[str, str, str], ...]:
    """(name or fragment, its name, its text) of every block in queries/*.sql."""
    blocks: list[tuple[str, str, list[str]]] = []
    for entry in sorted(files(__package__).joinpath("queries").iterdir(), key=lambda entry: entry.name):
        if not _is_sql(entry.name):
            continue
        for line in entry.read_text("utf-8").splitlines():
            if match := _HEAD.match(line):
                blocks.append((match[1], match[2], []))
            elif line.strip() and not (line.startswith("--") or not blocks):
                blocks[-1][2].append(line)
    return tuple((kind, name, "\n".join(lines).rstrip(";")) for kind, name, lines in blocks)


def _is_sql(name: str) -> bool:
    return name.endswith(".sql")
