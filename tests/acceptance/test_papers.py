"""The papers are true: what they say to type is typed, and what they say comes out is what comes out."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from loadingdock.cli.program import command as program
from loadingdock.settings import Settings
from tests.papers import COMMANDS, DATA, OUTPUTS, ROOT, Block, Paper, agree, commands, papers, read, type_in
from tests.service import Port

PAPERS = papers()
CHECKED = [*PAPERS, *(read(ROOT / name) for name in ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"))]

every_page = pytest.mark.parametrize("paper", CHECKED, ids=lambda paper: paper.name)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("paper", [pytest.param(paper, id=paper.name) for paper in PAPERS if paper.typed])
def test_a_page_does_what_it_says(paper: Paper, tmp_path: Path) -> None:
    port = Port()
    try:
        for block, printed in type_in(paper, tmp_path, port.number):
            if block.prints is not None:
                assert agree(block.prints, printed), f"{block.prints} shows\n{block.prints.text}but it is\n{printed}"
    finally:
        port.close()


@every_page
def test_every_block_is_typed_or_says_why_not(paper: Paper) -> None:
    strange = [str(block) for block in paper.blocks if block.language not in {COMMANDS, *OUTPUTS, *DATA}]
    assert "```" not in paper.prose, "a fence that is not closed, or has more than a language behind it"
    assert strange == [], "commands stand in ```sh, answers in ```text or ```json behind them"
    not_run = [block for block in paper.blocks if block.not_run]
    comments = re.findall(r"^ *<!-- not run:", paper.text, re.MULTILINE)
    assert len(comments) <= len(not_run), "a comment that says why something is not run, and nothing behind it"
    assert paper.after is None or read(paper.after).after is None, "a page comes after one page"


@every_page
def test_every_command_exists(paper: Paper) -> None:
    """Also those within sentences and those that are not typed here."""
    for line in commands(paper):
        words = shlex.split(line)
        command: Any = program()
        while words[0] in {"--data", "--set"}:
            words = words[2:]
        name = ""
        while hasattr(command, "commands"):
            name, *words = words
            assert name in command.commands, line
            command = command.commands[name]
        command.make_context(name, words)  # raises what a person who typed it would be told
    targets = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", paper.text, re.MULTILINE)) <= targets


@every_page
def test_every_setting_exists(paper: Paper) -> None:
    known = {f"LOADINGDOCK_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bLOADINGDOCK_[A-Z_]+\b", paper.text)) <= known


def test_the_architecture_names_every_room() -> None:
    listing = next(block.text for block in read(ROOT / "docs" / "architecture.md").blocks)
    package = ROOT / "src" / "loadingdock"
    rooms = {path.name + "/" * path.is_dir() for path in package.glob("[!_]*") if path.is_dir() or path.suffix == ".py"}
    assert set(re.findall(r"^  (\S+)", listing, re.MULTILINE)) == rooms


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_page_is_found_from_the_readme() -> None:
    """By links, in any number of steps."""
    found: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in found:
            found.add(page)
            links = re.findall(r"\]\((?!https?:)([^)#\s]+\.md)", page.read_text())
            todo += [(page.parent / link).resolve() for link in links]
    assert {paper.path for paper in PAPERS} <= found


# --- that untrue papers would be found ---


def _paper(folder: Path, text: str) -> Paper:
    path = folder / "page.md"
    path.write_text(text)
    return read(path)


def _shows(language: str, text: str) -> Block:
    return Block(ROOT / "README.md", 1, language, text, None)


@pytest.mark.parametrize(
    ("language", "shown", "printed"),
    [
        ("text", "Added acme, number 134148142.\n", "Added acme, number 999999999.\n"),
        ("text", "1 file of ... bytes\n", "1 file of 12 bytes\n"),
        ("text", "first\n...\nlast", "first\n2\n3\nlast\n"),
        (
            "json",
            '{"id": "90b352f2-f1aa-4b89-80d6-5613a05fff37", "n": 1}',
            '{"n":1,"id":"' + "0" * 8 + '-0000-4000-8000-000000000000"}',
        ),
        ("json", '{"at": "2026-11-22T05:55:28.549Z"}', '{"at":"2027-01-01T00:00:00Z"}'),
        ("json", '{"url": "http://127.0.0.1:8080/objects/..."}', '{"url":"http://127.0.0.1:8080/objects/1?a=b"}'),
    ],
)
def test_what_is_an_example_may_differ(language: str, shown: str, printed: str) -> None:
    assert agree(_shows(language, shown), printed)


@pytest.mark.parametrize(
    ("language", "shown", "printed"),
    [
        ("text", "Added acme.\n", "Added beta.\n"),
        ("text", "Added acme.\n", "Added acme.\nAnd more.\n"),
        ("text", "1 file of ... bytes\n", "1 file of\n12 bytes\n"),
        ("json", '{"n": 1}', '{"n": 2}'),
        ("json", '{"n": 1}', '{"n": 1, "m": 1}'),
        ("json", '{"a": "...", "b": 1}', '{"a": "x", "c": 0, "b": 1}'),
        ("json", '{"n": 1}', "no JSON"),
    ],
)
def test_nothing_else_may(language: str, shown: str, printed: str) -> None:
    assert not agree(_shows(language, shown), printed)


def test_a_command_that_fails_fails_its_page(tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    page = _paper(tmp_path, "```sh\necho fine\n```\n\n```text\nfine\n```\n\n```sh\nfalse | cat\n```\n")
    with pytest.raises(AssertionError, match="ended with 1"):
        type_in(page, folder, 1)


def test_what_is_not_typed_says_why(tmp_path: Path) -> None:
    one = _paper(tmp_path, "# Page\n\n<!-- not run: rain -->\n```sh\nfalse\n```\n\n```sh\ntrue\n```\n")
    assert [block.not_run for block in one.blocks] == ["rain", None]
    assert [block.text for block in one.typed] == ["true\n"]
    whole = _paper(tmp_path, "<!-- not run: needs an engine -->\n# Page\n\n```sh\nfalse\n```\n\n```sh\ntrue\n```\n")
    assert whole.typed == []
