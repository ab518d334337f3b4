"""A child process that does what a hostile file might make a parser do: `python -m tests.unit.hostile_child`."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from loadingdock.adapters.confined.child import Answer, serve


def _spin() -> Answer:
    while True:
        pass


def _hang() -> Answer:
    time.sleep(3600)
    return {}


def _crash() -> Answer:
    ctypes.string_at(0)
    return {}


def _eat() -> Answer:
    return {"eaten": len([bytearray(1 << 20) for _ in range(10_000)])}


def _chatter() -> Answer:
    print("a library's chatter", flush=True)
    os.write(1, b"and more of it")
    return {"read": sys.stdin.read()}


def _write() -> Answer:
    with tempfile.TemporaryFile() as file:
        try:
            file.write(bytes(2 << 20))
            file.flush()
        except OSError as error:
            return {"errno": error.errno}
    return {"errno": 0}


def _open() -> Answer:
    files = []
    try:
        for _ in range(1000):
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return {"errno": error.errno}
    finally:
        for file in files:
            os.close(file)
    return {"errno": 0}


def _limits() -> Answer:
    kinds = {"core": resource.RLIMIT_CORE, "data": resource.RLIMIT_DATA, "file_size": resource.RLIMIT_FSIZE}
    return {name: resource.getrlimit(kind) for name, kind in kinds.items()}


_DEEDS: Mapping[str, Callable[[], Answer]] = {
    "spin": _spin,
    "hang": _hang,
    "crash": _crash,
    "eat": _eat,
    "chatter": _chatter,
    "write": _write,
    "open": _open,
    "limits": _limits,
    "talk": lambda: {"text": "x" * (1 << 20)},
    "raise": lambda: {"text": 1 // 0},
    "environment": lambda: dict(os.environ),
    "pid": lambda: {"pid": os.getpid()},
}


def _prepare() -> tuple[Answer, Callable[[Mapping[str, Any]], Answer]]:
    if "refuse" in sys.argv:
        raise ValueError("a rule is wrong")
    if "die" in sys.argv:
        os.abort()
    return {"hello": "here"}, lambda request: _DEEDS[request["deed"]]()


if __name__ == "__main__":
    serve(_prepare)
