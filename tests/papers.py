"""The papers for people (README, quickstart, how-tos) as what they are for their readers: commands to type and the
answers that come.

A page's `sh` blocks are typed in their order into one bash. A `text` or `json` block right behind one is what it
prints on standard output; `...` in it stands for anything within a line, a line of `...` alone for any lines, and
times, ids, digests, keys and long numbers are examples. Comments, which nobody sees on the rendered page, say the rest:

    <!-- not run: reason -->    before a block: not typed here. On the first line: nothing of the page is
    <!-- after: page.md -->     on the first line: the reader comes from that page, in the same shell
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests import samples

ROOT = Path(__file__).parents[1]
ADDRESS = "127.0.0.1:8080"  # where the service of every page listens
COMMANDS = "sh"
OUTPUTS = frozenset({"text", "json"})
DATA = frozenset({"ini", "nginx", "python", "sql", "toml", "xml", "yaml"})  # shown, neither typed nor printed

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (not run|after): (.+?) -->")
_COMMAND = re.compile(r"(?<![\w./-])loadingdock (?!loadingdock)((?:[a-z]|--data|--set)[^|)&>#\n]*)")
_SERVE = re.compile(r"(\bloadingdock\b[^\n|;&]*? serve)\b")

_EXAMPLES = (
    ("time", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?|\d{8}T\d{6}Z"),
    ("uuid", r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
    ("hex", r"\b(?:[0-9a-f]{64}|[0-9a-f]{32})\b"),
    ("key", r"\bldk_[\w-]{43}"),
    ("month", r"\b\d{4}/\d\d\b"),
    ("number", r"\b\d{6,}\b"),  # as a company's
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    not_run: str | None
    """Why it is not typed; None if it is."""
    prints: Block | None = None
    """The output that the page shows right behind these commands."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page.name}:{self.line}"


@dataclass(frozen=True)
class Paper:
    path: Path
    text: str
    after: Path | None
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def typed(self) -> list[Block]:
        return [block for block in self.blocks if block.language == COMMANDS and block.not_run is None]

    @property
    def prose(self) -> str:
        return _FENCE.sub("", self.text)


def papers() -> list[Paper]:
    docs = ROOT / "docs"
    return [read(path) for path in (ROOT / "README.md", docs / "quickstart.md", *sorted(docs.glob("howto/*.md")))]


def read(path: Path) -> Paper:
    text = path.read_text()
    first = _COMMENT.match(text)
    head = {first[1]: first[2]} if first else {}
    blocks: list[Block] = []
    end = 0
    for fence in _FENCE.finditer(text):
        between = text[end : fence.start()].rstrip()
        near = _COMMENT.fullmatch(between[between.rfind("\n") + 1 :].strip())
        indent, language, body = fence.groups()
        block = Block(
            path,
            text.count("\n", 0, fence.start()) + 1,
            language,
            "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True)),
            near[2] if near and near[1] == "not run" else head.get("not run"),
        )
        if language in OUTPUTS and not between.strip() and blocks and blocks[-1].language == COMMANDS:
            blocks[-1] = replace(blocks[-1], prints=block)
        else:
            blocks.append(block)
        end = fence.end()
    after = head.get("after")
    return Paper(path, text, (path.parent / after).resolve() if after else None, tuple(blocks))


def type_in(paper: Paper, folder: Path, port: int) -> list[tuple[Block, str]]:
    """Types the page, and before it the one that it comes after. Each block with what it printed on standard output.

    The service listens on `port`, whatever the page says, and nothing else is changed. The reader has the files that
    the pages name, and a curl that fails where a server refuses. Fails the test at the first command that fails.
    """
    blocks = [*(read(paper.after).typed if paper.after else ()), *paper.typed]
    _furnish(folder)
    said = folder / "said"
    said.mkdir()
    lines = ["trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"]
    for n, block in enumerate(blocks):
        lines += [f"exec >'{said}/{n}.out' 2>'{said}/{n}.err'", _elsewhere(block.text, port)]
    script = folder / "script"
    script.write_text("\n".join(lines))
    code = _bash(script, folder)

    def printed(n: int, where: str) -> str:
        text = (said / f"{n}.{where}").read_text(errors="replace")
        return text.replace(f"127.0.0.1:{port}", ADDRESS)

    typed = [n for n in range(len(blocks)) if (said / f"{n}.out").exists()]
    story = "\n".join(f"--- {blocks[n]}\n{blocks[n].text}-> {printed(n, 'out')}{printed(n, 'err')}" for n in typed)
    assert code == 0, f"{blocks[typed[-1]]} ended with {code}\n{story}"
    return [(blocks[n], printed(n, "out")) for n in typed]


def agree(shown: Block, printed: str) -> bool:
    """Whether what was printed is what the page shows."""
    if shown.language == "json":
        try:
            return bool(_pattern(_canonical(shown.text)).fullmatch(_masked(_canonical(printed))))
        except json.JSONDecodeError:
            return False
    return bool(_pattern(shown.text.strip()).fullmatch(_masked(printed.strip())))


def _canonical(text: str) -> str:
    """One value a line."""
    return json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False)


def _masked(text: str) -> str:
    for name, example in _EXAMPLES:
        text = re.sub(example, f"<{name}>", text)
    return text


def _pattern(shown: str) -> re.Pattern[str]:
    lines = (
        "(?s:.*)" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*")
        for line in _masked(shown).splitlines()
    )
    return re.compile("\n".join(lines))


def _elsewhere(text: str, port: int) -> str:
    return _SERVE.sub(rf"\1 --port {port}", text.replace(ADDRESS, f"127.0.0.1:{port}"))


def _furnish(folder: Path) -> None:
    """What a reader has: a checkout with its environment, and files of one's own."""
    home, desk = folder / "home", folder / "desk"
    home.mkdir()
    desk.mkdir()
    # Refusals fail, and a script types faster than a service starts.
    (home / ".curlrc").write_text("silent\nshow-error\nfail\nretry = 6\nretry-connrefused\nmax-time = 60\n")
    (desk / ".venv").symlink_to(Path(sys.executable).parents[1])
    for name in ("README.md", "LICENSE"):
        (desk / name).write_bytes((ROOT / name).read_bytes())
    for name in ("invoice.pdf", "report.pdf", "statement.pdf"):
        (desk / name).write_bytes(samples.pdf(name))
    (desk / "photo.png").write_bytes(samples.png())


def _bash(script: Path, folder: Path) -> int:
    program = Path(sys.executable).parent
    shell = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", str(script)],
        env={"PATH": f"{program}:{os.environ['PATH']}", "HOME": str(folder / "home"), "LANG": "C.UTF-8"},
        cwd=folder / "desk",
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return shell.wait(timeout=100)
    finally:
        _end(shell)


def _end(shell: subprocess.Popen[bytes]) -> None:
    """Nothing that a page started lives longer than its test."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    shell.wait()


def commands(paper: Paper) -> list[str]:
    """Every command of ours that stands in the page, typed here or not, within a sentence or in a block."""
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", paper.prose))
    blocks = (block.text.replace("\\\n", " ") for block in paper.blocks if block.language == COMMANDS)
    return [command for text in (*spans, *blocks) for command in _COMMAND.findall(text)]
