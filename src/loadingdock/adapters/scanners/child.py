"""The child process that looks into files for the scanners.

`python -m loadingdock.adapters.scanners.child [RULES...]` is started by `inspection.Inspection`. Without folders of
rules it only opens archives, for a scanner elsewhere that is known to pass over what it cannot open.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from loadingdock.adapters.confined.child import Answer, serve
from loadingdock.adapters.scanners.archives import Walk
from loadingdock.adapters.scanners.limits import Limits


class _Infected(Exception):
    """Ends the walk: nothing worse can be found."""


def _prepare() -> tuple[Answer, Any]:
    folders = [Path(folder) for folder in sys.argv[1:]]
    if not folders:
        return {"version": ""}, lambda request: _inspect(request, None)
    from loadingdock.adapters.scanners.rules import Rules  # only where rules are asked for: it costs 30 MB

    rules = Rules(*folders)
    return {"version": rules.version}, lambda request: _inspect(request, rules)


def _inspect(request: Mapping[str, Any], rules: Any) -> Answer:
    """{"verdict", "detail"}; the verdict `scanner_down` where the machine failed and not the file."""
    opaque: list[str] = []

    def look(file: BinaryIO, name: str) -> None:
        if rules is None:
            return
        infected, closed = rules.match(file)
        if infected:
            raise _Infected(infected)
        if closed:
            opaque.append(f"{closed} in {name or 'the file'}")

    folder = Path(request["folder"]) if request["folder"] else None
    walk = Walk(look, Limits(**request["limits"]), folder)
    try:
        with open(request["path"], "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != request["size"]:
                return _answer("scanner_down", f"the file has {size} bytes instead of {request['size']}")
            walk.through(file)
    except _Infected as found:
        return _answer("infected", str(found))
    except OSError as error:  # no room for temporary files, a disk that fails
        return _answer("scanner_down", f"{type(error).__name__}: {error}")
    problems = opaque + [str(problem) for problem in walk.problems]
    if problems:
        return _answer("unscannable", problems[0])
    return _answer("clean", "")


def _answer(verdict: str, detail: str) -> Answer:
    return {"verdict": verdict, "detail": detail[:500]}


if __name__ == "__main__":
    serve(_prepare)
