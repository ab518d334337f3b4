"""What the audience sees: acts, requests with their answers, and what was checked."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadingdock.demo import curl
from loadingdock.demo.curl import Answer, Request

_SHOWN = 700  # characters of a body
_HEADERS = ("content-type", "etag", "x-trace-id", "www-authenticate", "retry-after")


@dataclass(frozen=True, slots=True)
class Check:
    act: str
    name: str
    ok: bool
    detail: str = ""


class Show:
    """With `quiet` only the checks are kept, for one JSON object at the end."""

    def __init__(self, *, quiet: bool) -> None:
        self.checks: list[Check] = []
        self._console = Console(quiet=quiet, highlight=False, soft_wrap=True)
        if not self._console.is_terminal:
            self._console.width = 120  # a log, which has no width of its own
        self._act = ""
        self._started = time.monotonic()

    def act(self, title: str) -> None:
        self._act = title
        self._console.print(f"\n[bold]── {escape(title)} ──[/bold]")

    def say(self, text: str) -> None:
        self._console.print(escape(text))

    def ask(self, request: Request) -> Answer:
        """The command, then the answer."""
        self._console.print(f"[cyan]$ {escape(str(request))}[/cyan]")
        answer = curl.send(request)
        if not answer.status:
            self._console.print("  no answer", style="red")
            return answer
        self._console.print(f"  {answer.status}", style="green" if answer.status < 400 else "yellow")
        for name in _HEADERS:
            if name in answer.headers:
                self._console.print(f"  {name}: {answer.headers[name]}", style="dim", markup=False)
        self._console.print(_body(answer), style="dim", markup=False)
        return answer

    def check(self, name: str, ok: bool, detail: str = "") -> bool:
        self.checks.append(Check(self._act, name, ok, detail))
        mark = "[green]✓[/green]" if ok else "[bold red]✗[/bold red]"
        self._console.print(f"  {mark} {escape(name)}{escape(f' ({detail})' if detail else '')}")
        return ok

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def summary(self) -> None:
        table = Table(title="What was checked", title_justify="left")
        for column in ("act", "check", "", "detail"):
            table.add_column(column, overflow="fold")
        last = ""
        for check in self.checks:
            act, last = ("" if check.act == last else check.act), check.act
            mark = "[green]passed[/green]" if check.ok else "[bold red]FAILED[/bold red]"
            table.add_row(escape(act), escape(check.name), mark, escape(check.detail))
        self._console.print("\n", table, soft_wrap=False)
        failed = sum(not check.ok for check in self.checks)
        style = "bold green" if self.passed else "bold red"
        ending = f"{len(self.checks) - failed} passed, {failed} failed in {self.seconds:.0f} s"
        self._console.print(ending, style=style)

    def as_data(self) -> dict[str, object]:
        return {
            "ok": self.passed,
            "seconds": round(self.seconds, 1),
            "checks": [asdict(check) for check in self.checks],
        }


def _body(answer: Answer) -> str:
    if not answer.body:
        return ""
    kind = answer.headers.get("content-type", "")
    if not kind.startswith(("text/", "application/json", "application/problem+json", "application/xml")):
        return f"  <{len(answer.body)} bytes of {kind or 'unknown type'}>"
    text = json.dumps(answer.json, indent=2, ensure_ascii=False) if "json" in kind else answer.text
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."
    return "\n".join(f"  {line}" for line in cut.splitlines())
