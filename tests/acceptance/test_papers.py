"""The papers are true: what they say to type is typed, and what they say comes out is what comes out."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main

from loadingdock.cli.program import app
from loadingdock.settings import Settings
from tests.papers import COMMANDS, DATA, OUTPUTS, ROOT, Paper, agree, commands, papers, read, type_in
from tests.service import Port

PAPERS = papers()
FAST = frozenset({"docs/quickstart.md"})  # what a newcomer types first; the others take longer and are typed in CI
CHECKED = [*PAPERS, *(read(ROOT / name) for name in ("CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"))]

every_page = pytest.mark.parametrize("paper", CHECKED, ids=lambda paper: paper.name)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "paper",
    [
        pytest.param(paper, id=paper.name, marks=() if paper.name in FAST else pytest.mark.slow)
        for paper in PAPERS
        if paper.typed
    ],
)
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
    assert strange == [], "commands stand in ```sh, answers in ```text or ```json behind them"
    not_run = [block for block in paper.blocks if block.not_run]
    comments = paper.text.count("<!-- not run:")
    assert comments <= len(not_run), "a comment that says why something is not run, and nothing behind it"
    assert paper.after is None or read(paper.after).after is None, "a page comes after one page"


@every_page
def test_every_command_exists(paper: Paper) -> None:
    """Also those within sentences and those that are not typed here."""
    written = [block.text.replace("\\\n", " ") for block in paper.blocks if block.language == COMMANDS]
    lines = [line for text in written for line in text.splitlines()]
    for command in [*commands([paper.prose]), *(line for line in lines if line.startswith("loadingdock "))]:
        _parse(command)
    targets = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make (\w+)", paper.text, re.MULTILINE)) <= targets


def _parse(line: str) -> None:
    words = shlex.split(line, comments=True)
    words = words[words.index("loadingdock") + 1 :]
    words = words[: next((n for n, word in enumerate(words) if word in {"|", "&", "&&", ">"}), len(words))]
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    command.make_context("loadingdock", words)  # raises what a person who typed it would be told


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
