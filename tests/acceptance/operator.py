"""The command line as an operator types it: in this process where its words matter, in another where its life does."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from loadingdock.cli.program import run


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """The one JSON object on standard output, and nothing else there."""
        assert self.out.count("\n") == 1, self.out
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


class Operator:
    """Types commands for the installation in `data`."""

    def __init__(self, data: Path, **settings: object) -> None:
        self.data = data
        self._environment = {"LOADINGDOCK_DATA": str(data)}
        self._environment |= {f"LOADINGDOCK_{name.upper()}": str(value) for name, value in settings.items()}

    def types(self, *words: str, stdin: str = "") -> Said:
        with _as_before(), redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            for name in list(os.environ):
                if name.startswith("LOADINGDOCK_"):
                    del os.environ[name]
            os.environ.update(self._environment)
            sys.stdin = io.StringIO(stdin)
            code = run(words)
        return Said(code, out.getvalue(), err.getvalue())

    def gets(self, *words: str, stdin: str = "") -> Any:
        """The object that a command prints which has to succeed."""
        said = self.types(*words, "--json", stdin=stdin)
        assert said.code == 0, said
        return said.object


@contextmanager
def _as_before() -> Iterator[None]:
    """A command sets up its logs and its environment for a process of its own."""
    root = logging.getLogger()
    environment, stdin, handlers, level = dict(os.environ), sys.stdin, root.handlers[:], root.level
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin = stdin
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
