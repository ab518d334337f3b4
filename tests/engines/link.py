"""A network namespace of its own and the one link to it, which can be cut: what is sent is lost, and nobody is told.

Needs root, and Debian's `iproute2`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from tests.engines import absent

_numbers = count()


class Link:
    """`inside` goes before a command that is to run in the namespace. `here` and `there` are the addresses of both
    ends, from the block for benchmarks (RFC 2544)."""

    def __init__(self) -> None:
        number = os.getpid() * 4 + next(_numbers)
        self._name = f"dock{number}"
        self._near, self._far = f"{self._name}n", f"{self._name}f"
        net = number % (1 << 15) * 4
        self.here, self.there = (f"198.{18 + (net >> 16)}.{net >> 8 & 255}.{(net & 255) + end}" for end in (1, 2))
        self.inside: Sequence[str] = ("ip", "netns", "exec", self._name)

    def create(self) -> Link:
        _ip("netns", "add", self._name)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._name)
        self._there("link", "set", "lo", "up")
        self._there("address", "add", f"{self.there}/30", "dev", self._far)
        self._there("link", "set", self._far, "up")
        _ip("address", "add", f"{self.here}/30", "dev", self._near)
        _ip("link", "set", self._near, "up")
        # Known for good: who is asked for and does not answer would soon be reported as unreachable.
        (address,) = self._there("-br", "link", "show", self._far).split()[2:3]
        _ip("neighbour", "replace", self.there, "lladdr", address, "dev", self._near, "nud", "permanent")
        return self

    def cut(self) -> None:
        """Nothing arrives any more, in either direction."""
        self._there("link", "set", self._far, "down")

    def lose_answers(self) -> None:
        """What is sent there arrives and is done; what comes back is lost."""
        self._there("route", "add", "blackhole", f"{self.here}/32")

    def mend(self) -> None:
        self._there("link", "set", self._far, "up")
        if self._there("route", "show", "type", "blackhole").strip():
            self._there("route", "del", "blackhole", f"{self.here}/32")

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self._name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._near], capture_output=True, check=False)

    def _there(self, *arguments: str) -> str:
        return _ip("-n", self._name, *arguments)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


@contextmanager
def link() -> Iterator[Link]:
    if shutil.which("ip") is None:
        absent("netns", "apt-get install iproute2")
    made = Link()
    try:
        try:
            made.create()
        except subprocess.CalledProcessError as error:
            absent("netns", f"network namespaces cannot be made here, which root may: {error.stderr.strip()}")
        yield made
    finally:
        made.close()
