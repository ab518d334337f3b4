"""Children: started, kept for the next job for a while, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from loadingdock.adapters.confined.pool import INHERITED
from loadingdock.adapters.contacts.importing.messages import LENGTH, Message, error_of, framed, parsed
from loadingdock.core.ports.imports import Interrupted

Place: TypeAlias = Path | str
"""The folder of SQLite's files of contacts, or libpq's connection string."""

_MODULE = "loadingdock.adapters.contacts.importing.child"
_IDLE_S = 60.0
_IDLE = 2  # children kept at most: each holds a hundred MiB
_JOBS = 100  # of one child, whatever its libraries leak
_LONGEST = 64 << 20  # bytes of a message: an undo's thousand rows of 16 KiB, however they are escaped
_PIECE = 1 << 16
# Beside what an interpreter needs to start: to find certificates and time zones.
_INHERITED = (*INHERITED, "PYTHONTZPATH", "SSL_CERT_DIR", "SSL_CERT_FILE")
# Arrow's own pools keep what they once had, and glibc has an arena for each thread.
_MEMORY = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "2"}


class ChildFailed(Exception):
    """An error that nobody foresaw, with the child's own traceback as its message."""


class Child:
    """A process that does one job after the other. `busy` from when it is given one until it has said how it ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._in = process.stdin
        self._out = process.stdout
        self.busy = False
        self.jobs = 0

    @classmethod
    async def start(cls, place: Place) -> Child:
        """Raises Interrupted."""
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _MODULE, str(os.getpid())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment | _MEMORY,
                start_new_session=True,  # Ctrl-C is for the service, which drains
            )
        except OSError as error:
            raise Interrupted(f"no process can be started: {error}") from error
        child = cls(process)
        try:
            # By the pipe, because everybody may read the arguments, and the same user the environment.
            await child.send(
                "place",
                engine="sqlite" if isinstance(place, Path) else "postgres",
                where=str(place),
                settings={name: value for name, value in os.environ.items() if name.startswith("PG")},
            )
        except BaseException:
            await asyncio.shield(child.end())
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def send(self, kind: str, **facts: object) -> None:
        # One that died meanwhile shows when its answer is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._in.write(framed(kind, **facts))
            await self._in.drain()

    async def give(self, kind: str, **facts: object) -> None:
        """A job."""
        self.busy = True
        self.jobs += 1
        await self.send(kind, **facts)

    async def receive(self) -> Message:
        """What it says, if that is no error. Raises the core's errors, ChildFailed and Interrupted."""
        try:
            (length,) = LENGTH.unpack(await self._out.readexactly(LENGTH.size))
            if length > _LONGEST:
                raise ChildFailed(f"a message of {length} bytes")
            kind, facts = parsed(await self._out.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            raise Interrupted(_told(await self._process.wait())) from error
        self.busy = kind not in {"done", "raised", "failed"}
        if kind == "raised":
            raise error_of(**facts)
        if kind == "failed":
            raise ChildFailed(facts["traceback"])
        return kind, facts

    def kill(self) -> None:
        """With whatever it started: it leads a process group of its own."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        self.kill()
        self._in.close()
        # To its end first: asyncio lets go of a process only when its pipes have ended, and a full one is not read.
        with contextlib.suppress(ConnectionResetError):
            while await self._out.read(_PIECE):
                pass
        await self._process.wait()


class Children:
    """As many as there are jobs. Belongs to the event loop that first asks for one."""

    def __init__(self, place: Place, idle: float = _IDLE_S) -> None:
        self._place = place
        self._idle_s = idle
        self._idle: dict[Child, asyncio.TimerHandle] = {}
        self._all: set[Child] = set()
        self._jobs: set[asyncio.Future[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Child]:
        """For one job. It is killed unless it has said how that ended. Raises Interrupted."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        self._jobs.add(over)
        try:
            child = await self._take()
            try:
                yield child
            finally:
                if child.busy or not child.alive or child.jobs >= _JOBS or self._closed or len(self._idle) >= _IDLE:
                    await self._discard(child)
                else:
                    self._idle[child] = loop.call_later(self._idle_s, self._expired, child)
        finally:
            self._jobs.discard(over)
            over.set_result(None)

    async def close(self) -> None:
        """Kills what runs, and returns when every child is gone and every job has ended."""
        self._closed = True
        for child in list(self._idle):
            self._expired(child)
        for child in self._all:
            child.kill()
        while waited := [*self._jobs, *self._endings]:
            await asyncio.wait(waited)

    async def _take(self) -> Child:
        while self._idle:
            child, timer = self._idle.popitem()  # the last one that worked: the others may go
            timer.cancel()
            if child.alive:
                return child
            await self._discard(child)
        if not self._closed:
            child = await Child.start(self._place)
            self._all.add(child)
            if not self._closed:
                return child
            await self._discard(child)
        raise Interrupted("the service is ending")

    def _expired(self, child: Child) -> None:
        self._idle.pop(child).cancel()
        self._ending(child)

    def _ending(self, child: Child) -> asyncio.Task[None]:
        self._all.discard(child)
        ending = asyncio.get_running_loop().create_task(child.end())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    async def _discard(self, child: Child) -> None:
        await asyncio.shield(self._ending(child))


def _told(status: int) -> str:
    if status < 0:
        return f"the process that loads contacts was ended by signal {-status}; out of memory, if that is 9"
    return f"the process that loads contacts ended with status {status}"
