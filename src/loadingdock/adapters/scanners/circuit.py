"""A circuit: who failed several times in a row is left alone for a while, then asked with a single probe.

Closed, everything goes through. After `failures` in a row it opens and nothing goes through until a cool-down is over,
which doubles with every opening that follows. Then one attempt alone goes through (half open): its success closes the
circuit, its failure opens it again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Policy:
    """`failures` in a row open a circuit. Cool-downs are seconds: the first, and the longest that one grows to. Each
    is cut by up to a half at random, so that not everybody's probes come at once. A file that waits is asked about at
    least as often, so that what was away is in use again within half a minute of its return."""

    failures: int = 3
    first: float = 1.0
    longest: float = 20.0

    def cool_down(self, openings: int, jitter: float) -> float:
        """After `openings` in a row, from 1; `jitter` is in 0..1."""
        grown = self.first * 2.0 ** min(openings - 1, 30)  # a far larger exponent overflows
        return min(self.longest, grown) * (1 - jitter / 2)


DEFAULT = Policy()


class Circuit:
    """`now` is in seconds and never goes back; `jitter` gives numbers in 0..1; `changed` hears of each new state. For
    one thread, as whatever lives on an event loop."""

    def __init__(
        self,
        policy: Policy = DEFAULT,
        *,
        now: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        changed: Callable[[State], None] = lambda state: None,
    ) -> None:
        self.state = State.CLOSED
        self.why = ""  # the failure that opened it last
        self._policy = policy
        self._now = now
        self._jitter = jitter
        self._changed = changed
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._era = 0  # counts changes of state: what began before the last one says nothing about now

    @property
    def rest(self) -> float:
        """Seconds until a probe may go through."""
        return max(0.0, self._until - self._now()) if self.state is State.OPEN else 0.0

    @property
    def admits(self) -> bool:
        return self.state is State.CLOSED or (self.state is State.OPEN and self._now() >= self._until)

    def admit(self) -> Attempt | None:
        """Whoever gets an attempt must settle it; None: nothing goes through now."""
        if not self.admits:
            return None
        if self.state is State.OPEN:
            self._become(State.HALF_OPEN)
        return Attempt(self, self._era)

    def _succeeded(self) -> None:
        if self.state is State.CLOSED:
            # Only the second success ends the growth: a probe alone may have been luck.
            self._openings = 0
        else:
            self._become(State.CLOSED)
        self._failures = 0

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self.state is State.CLOSED and self._failures < self._policy.failures:
            return
        self.why = why
        self._openings += 1
        self._until = self._now() + self._policy.cool_down(self._openings, self._jitter())
        self._become(State.OPEN)

    def _abandoned(self) -> None:
        if self.state is State.HALF_OPEN:
            self._become(State.OPEN)  # its cool-down is over: the next one is the probe

    def _become(self, state: State) -> None:
        self.state = state
        self._era += 1
        self._changed(state)


class Attempt:
    """Something that went through. The first that is said of it counts, and only while the circuit is as it was."""

    def __init__(self, circuit: Circuit, era: int) -> None:
        self.probe = circuit.state is State.HALF_OPEN
        self._circuit = circuit
        self._era = era
        self._settled = False

    def succeeded(self) -> None:
        if self._settle():
            self._circuit._succeeded()

    def failed(self, why: str) -> None:
        if self._settle():
            self._circuit._failed(why)

    def abandoned(self) -> None:
        """It ended without saying anything about the other side."""
        if self._settle():
            self._circuit._abandoned()

    def _settle(self) -> bool:
        counts = not self._settled and self._era == self._circuit._era
        self._settled = True
        return counts
