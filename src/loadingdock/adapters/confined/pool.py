"""The parent's side: a few long-lived children, each asked one thing at a time, replaced after any violation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

_LENGTH = struct.Struct(">I")
_START = 30.0  # seconds until a child has imported its libraries, on a busy machine
# What an interpreter needs to start where it is installed unusually. Everything else may hold secrets.
INHERITED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "TMPDIR",
    "TZ",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use. Bytes and seconds; `cpu` and `wall` are for one call, the others for its whole life."""

    memory: int = 512 << 20  # of its own data; files that it maps for reading do not count
    cpu: int = 60
    wall: float = 120.0
    file_size: int = 0  # the largest file it may write
    open_files: int = 64
    reply: int = 16 << 20  # the longest answer that is read
    calls: int = 200  # then it is replaced, with whatever it leaked


class Failure(StrEnum):
    CRASHED = "crashed"
    MEMORY = "ran out of memory"
    CPU = "used up its CPU time"
    TIME = "took too long"
    REPLY = "gave an answer that cannot be read"


class ChildFailed(Exception):
    """The child did not survive the call, or did not answer properly; the next call gets another child."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"the child process {failure}")
        self.failure = failure


class ChildUnavailable(Exception):
    """No child can be started; the message says what it said."""


class Pool:
    """Up to `size` children of `python -m MODULE ARGUMENTS`. Belongs to the event loop that first calls it."""

    def __init__(self, module: str, *arguments: str, limits: Limits, size: int = 1) -> None:
        self._command = (sys.executable, "-P", "-m", module, *arguments)
        self._limits = limits
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._closed = False

    async def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The child's answer. Raises ChildFailed and ChildUnavailable; a cancelled call costs the child as well.

        A child that crashed is asked once more, as another one: the kernel may have killed it for somebody else's
        memory, or while it was idle.
        """
        try:
            return await self._call(request)
        except ChildFailed as error:
            if error.failure is not Failure.CRASHED or self._closed:
                raise
        return await self._call(request)

    async def _call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        async with self._free:
            child = await self._take()
            try:
                answer = await child.ask(request, self._limits)
            except BaseException:
                await self._discard(child)
                raise
            if child.calls >= self._limits.calls or answer.get("spent"):
                await self._discard(child)
            else:
                self._idle.append(child)
        if failure := answer.get("spent"):
            raise ChildFailed(Failure(failure))
        return answer

    async def hello(self) -> dict[str, Any]:
        """What a child said of itself when it was ready; starts one if there is none. Raises ChildUnavailable."""
        async with self._free:
            child = await self._take()
            self._idle.append(child)
            return child.hello

    async def close(self) -> None:
        """Kills what runs, and returns when every child is gone and every call has ended."""
        self._closed = True
        for child in self._all:
            child.kill()
        for _ in range(self._size):  # the calls under way give their places back
            await self._free.acquire()
        for child in self._idle:
            await self._discard(child)
        self._idle.clear()
        for _ in range(self._size):
            self._free.release()

    async def _take(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._discard(child)
        if self._closed:
            raise ChildUnavailable("the pool is closed")
        child = await _Child.start(self._command, self._limits)
        self._all.add(child)
        try:
            await child.greet()
        except BaseException:
            await self._discard(child)
            raise
        return child

    async def _discard(self, child: _Child) -> None:
        self._all.discard(child)
        await asyncio.shield(child.end())


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._in = process.stdin
        self._out = process.stdout
        self.calls = 0
        self.hello: dict[str, Any] = {}

    @classmethod
    async def start(cls, command: tuple[str, ...], limits: Limits) -> _Child:
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment["LOADINGDOCK_CHILD"] = json.dumps({**asdict(limits), "parent": os.getpid()})
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the service, which drains
            )
        except OSError as error:
            raise ChildUnavailable(f"no process can be started: {error}") from error
        return cls(process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def greet(self) -> None:
        try:
            async with asyncio.timeout(_START):
                self.hello = await self._receive(1 << 20)
        except TimeoutError as error:
            raise ChildUnavailable(f"the child process was not ready within {_START:.0f} s") from error
        except ChildFailed as error:
            raise ChildUnavailable("the child process ended while it started") from error
        if problem := self.hello.get("problem"):
            raise ChildUnavailable(str(problem))

    async def ask(self, request: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
        self.calls += 1
        message = json.dumps(request).encode()
        try:
            async with asyncio.timeout(limits.wall):
                # A child that died meanwhile shows when its answer is read.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._in.write(_LENGTH.pack(len(message)) + message)
                    await self._in.drain()
                return await self._receive(limits.reply)
        except TimeoutError as error:
            raise ChildFailed(Failure.TIME) from error

    async def _receive(self, limit: int) -> dict[str, Any]:
        try:
            (length,) = _LENGTH.unpack(await self._out.readexactly(_LENGTH.size))
            if length > limit:
                raise ChildFailed(Failure.REPLY)
            answer = json.loads(await self._out.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            code = await self._process.wait()
            raise ChildFailed(Failure.CPU if code == -signal.SIGXCPU else Failure.CRASHED) from error
        except ValueError as error:
            raise ChildFailed(Failure.REPLY) from error
        if not isinstance(answer, dict):
            raise ChildFailed(Failure.REPLY)
        return answer

    def kill(self) -> None:
        """With whatever it started: it leads a process group of its own."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        self.kill()
        self._in.close()
        # To its end first: asyncio lets go of a process only when its pipes have ended, and a full one is not read.
        with contextlib.suppress(ConnectionResetError):
            while await self._out.read(1 << 16):
                pass
        await self._process.wait()
