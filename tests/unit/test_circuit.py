"""The circuit before one daemon: when it opens, how long it rests, whom it lets through."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from loadingdock.adapters.scanners.circuit import Attempt, Circuit, Policy, State

POLICY = Policy(failures=3, first=1.0, longest=30.0)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def circuit(time: Time, jitter: float = 0.0) -> Circuit:
    return Circuit(POLICY, now=time, jitter=lambda: jitter)


def through(circuit: Circuit) -> Attempt:
    attempt = circuit.admit()
    assert attempt is not None
    return attempt


def fail(circuit: Circuit, times: int = 1) -> None:
    for n in range(times):
        through(circuit).failed(f"failure {n}")


def test_failures_in_a_row_open_it() -> None:
    held = circuit(Time())
    fail(held, 2)
    through(held).succeeded()
    fail(held, 2)
    assert held.state is State.CLOSED
    fail(held)
    assert (held.state, held.why) == (State.OPEN, "failure 0")
    assert held.admit() is None


def test_one_probe_goes_through_when_the_rest_is_over() -> None:
    time = Time()
    held = circuit(time)
    fail(held, 3)
    assert held.rest == 1.0
    time.now += 0.999
    assert held.admit() is None
    time.now += 0.001
    probe = through(held)
    assert probe.probe
    assert held.state == "half_open"
    assert held.admit() is None
    probe.succeeded()
    assert held.state == "closed"


def test_the_rest_doubles_up_to_the_longest_and_begins_anew() -> None:
    time = Time()
    held = circuit(time)
    fail(held, 3)
    rests = []
    for _ in range(7):
        rests.append(held.rest)
        time.now += held.rest
        fail(held)
    assert rests == [1, 2, 4, 8, 16, 30, 30]
    time.now += held.rest
    through(held).succeeded()
    fail(held, 3)
    assert held.rest == 30, "one success may have been luck"
    time.now += held.rest
    through(held).succeeded()
    through(held).succeeded()
    fail(held, 3)
    assert held.rest == 1


def test_a_probe_that_said_nothing_gives_its_place_to_the_next() -> None:
    time = Time()
    held = circuit(time)
    fail(held, 3)
    time.now += held.rest
    through(held).abandoned()
    assert through(held).probe


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "abandoned"])
def test_what_began_before_the_last_change_counts_no_more(outcome: str) -> None:
    time = Time()
    held = circuit(time)
    old = through(held)
    fail(held, 3)
    time.now += held.rest
    through(held)
    getattr(old, outcome)(*(["late"] if outcome == "failed" else []))
    assert held.state is State.HALF_OPEN


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_cool_down_is_within_its_bounds(openings: int, jitter: float) -> None:
    assert POLICY.first / 2 <= POLICY.cool_down(openings, jitter) <= POLICY.longest


class Machine(RuleBasedStateMachine):
    """Attempts that begin and end in any order while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.time = Time()
        self.states: list[State] = []
        self.held = Circuit(POLICY, now=self.time, jitter=lambda: self.jitter, changed=self.states.append)
        self.jitter = 0.0
        self.under_way: list[Attempt] = []
        self.opened_at = 0.0

    @initialize(jitter=st.floats(0, 1))
    def begin(self, jitter: float) -> None:
        self.jitter = jitter

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.time.now += seconds

    @rule()
    def admit(self) -> None:
        before, admits = self.held.state, self.held.admits
        attempt = self.held.admit()
        assert (attempt is not None) == admits
        if attempt is None:
            assert before is not State.CLOSED
            return
        assert attempt.probe == (before is State.OPEN)
        if attempt.probe:
            assert self.time.now - self.opened_at >= POLICY.first / 2
        self.under_way.append(attempt)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed", "abandoned"]), again=st.booleans())
    def settle(self, data: st.DataObject, outcome: str, again: bool) -> None:
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        attempt = self.under_way[at] if again else self.under_way.pop(at)
        before = self.held.state
        if outcome == "failed":
            attempt.failed("why")
        else:
            attempt.succeeded() if outcome == "succeeded" else attempt.abandoned()
        after = self.held.state
        if before is State.CLOSED:
            assert after in ({State.CLOSED, State.OPEN} if outcome == "failed" else {State.CLOSED})
        elif before is State.OPEN:
            assert after is State.OPEN, "only a probe leads out of it"
        elif after is not before:
            assert attempt.probe
            assert after is (State.CLOSED if outcome == "succeeded" else State.OPEN)
        if after is State.OPEN and before is not after and outcome == "failed":
            self.opened_at = self.time.now
            assert POLICY.first / 2 <= self.held.rest <= POLICY.longest + 1e-6

    @invariant()
    def somebody_comes_through_in_the_end(self) -> None:
        """Never stuck: closed, resting for a bounded time, or with a probe under way."""
        if self.held.state is State.HALF_OPEN:
            assert any(attempt.probe for attempt in self.under_way) or not self.held.admits
        assert self.held.rest <= POLICY.longest + 1e-6
        if self.states:
            assert self.states[-1] is self.held.state

    @invariant()
    def a_state_follows_another(self) -> None:
        allowed = {
            (State.CLOSED, State.OPEN),
            (State.OPEN, State.HALF_OPEN),
            (State.HALF_OPEN, State.OPEN),
            (State.HALF_OPEN, State.CLOSED),
        }
        seen = [State.CLOSED, *self.states]
        assert set(itertools.pairwise(seen)) <= allowed


TestMachine = Machine.TestCase
