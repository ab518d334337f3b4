"""The child's side: confine this process, say hello, then answer one request after the other until the pipe closes."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

_LENGTH = struct.Struct(">I")
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # linux/prctl.h

Answer = Mapping[str, Any]


def serve(prepare: Callable[[], tuple[Answer, Callable[[Mapping[str, Any]], Answer]]]) -> None:
    """Confines the process, then calls `prepare` for the greeting and the function that answers requests.

    Any exception of `prepare` is told to the parent as the reason why there is no child. A MemoryError while a request
    is answered ends the child, because nobody knows what is left in it; so does an exception that the function did not
    expect.
    """
    told = json.loads(os.environ.pop("LOADINGDOCK_CHILD"))
    requests, answers = pipes()
    _confine(told)
    try:
        hello, answer = prepare()
    except Exception as error:
        _send(answers, {"problem": f"{type(error).__name__}: {error}"})
        return
    _send(answers, hello)
    while (request := _receive(requests)) is not None:
        _allow_cpu(told["cpu"])
        try:
            _send(answers, answer(request))
        except MemoryError:
            _send(answers, {"spent": "ran out of memory"})
            return


def pipes() -> tuple[BinaryIO, BinaryIO]:
    """Takes the two pipes away from file descriptors 0 and 1, where a library's chatter would end up in a message."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, answers


def _confine(told: Mapping[str, Any]) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getppid() != told["parent"]:
            os._exit(0)  # the parent was gone before it could be watched
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, told["memory"]),
        (resource.RLIMIT_FSIZE, told["file_size"]),
        (resource.RLIMIT_NOFILE, told["open_files"]),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _allow_cpu(seconds: int) -> None:
    """So many CPU seconds from now on; then the kernel ends the process with SIGXCPU."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _receive(pipe: BinaryIO) -> Mapping[str, Any] | None:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    request: Mapping[str, Any] = json.loads(pipe.read(_LENGTH.unpack(head)[0]))
    return request


def _send(pipe: BinaryIO, answer: Answer) -> None:
    message = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
    pipe.write(_LENGTH.pack(len(message)) + message)
    pipe.flush()
