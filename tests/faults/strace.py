"""strace beside a running server: to kill it at one system call, to make one fail, or to watch their order."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines import absent

DURABLE = "fsync,fdatasync,rename,renameat,renameat2"


@contextmanager
def strace(pid: int, log: Path, *options: str) -> Iterator[None]:
    """Attached to every thread of the process while the context is open."""
    program = shutil.which("strace")
    if program is None:
        absent("strace", "apt-get install strace")
    tracer = subprocess.Popen(
        [program, "-f", "-p", str(pid), "-o", str(log), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tracer.stderr is not None
        for line in tracer.stderr:
            if "attached" in line:
                break
        else:
            absent("strace", "this machine does not let processes be traced")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)  # lets go of what it traces
        try:
            tracer.wait(5)
        except subprocess.TimeoutExpired:  # it waits for a thread that died in its hands
            tracer.kill()
            tracer.wait()
        if tracer.stderr is not None:
            tracer.stderr.close()


@dataclass(frozen=True)
class Call:
    """One finished system call: `began` and `ended` are positions in the trace."""

    name: str
    arguments: str
    result: str
    began: int
    ended: int


_WHOLE = re.compile(r"(\d+) +(\w+)\((.*)\) += +(.*)")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)\) += +(.*)")


def calls(log: Path) -> list[Call]:
    """The calls of a trace in the order in which they ended."""
    begun: dict[tuple[str, str], tuple[int, str]] = {}
    found: list[Call] = []
    for at, line in enumerate(log.read_text(errors="replace").splitlines()):
        if match := _BEGUN.fullmatch(line):
            begun[match[1], match[2]] = (at, match[3])
        elif (match := _RESUMED.fullmatch(line)) and (match[1], match[2]) in begun:
            began, arguments = begun.pop((match[1], match[2]))
            found.append(Call(match[2], arguments + match[3], match[4], began, at))
        elif match := _WHOLE.fullmatch(line):
            found.append(Call(match[2], match[3], match[4], at, at))
    return found
