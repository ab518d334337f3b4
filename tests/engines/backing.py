"""What every service of a test run stands on instead of its folder: `pytest --on postgres`.

An engine is started when the first service asks for it and ended with the run; each service has a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager

Places = Callable[[], Mapping[str, str]]
"""Each call makes an empty place in the engine and names it: settings of a service, by their names in lower case."""


@contextmanager
def _postgres() -> Iterator[Places]:
    from tests.engines import postgres  # not before it is wanted: every test run reads this file

    with postgres.server() as server:
        yield lambda: {"database_url": server.database()}


@contextmanager
def _s3() -> Iterator[Places]:
    from tests.engines import seaweedfs

    with seaweedfs.server() as server:
        yield lambda: {**server.settings, "store_url": server.fresh_url()}


ENGINES: Mapping[str, Callable[[], AbstractContextManager[Places]]] = {"postgres": _postgres, "s3": _s3}


class Backing:
    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._running: dict[str, Places] = {}
        self._stack = ExitStack()

    def choose(self, names: str) -> None:
        """`names` are divided by commas. Raises ValueError for one that is none."""
        chosen = tuple(filter(None, names.split(",")))
        if unknown := set(chosen) - set(ENGINES):
            raise ValueError(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(sorted(ENGINES))}")
        self._names = chosen

    def settings(self) -> dict[str, str]:
        """Of one service."""
        found: dict[str, str] = {}
        for name in self._names:
            if name not in self._running:
                self._running[name] = self._stack.enter_context(ENGINES[name]())
            found |= self._running[name]()
        return found

    def __bool__(self) -> bool:
        return bool(self._names)

    def close(self) -> None:
        self._running.clear()
        self._stack.close()


BACKING = Backing()
