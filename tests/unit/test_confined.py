"""A limited child may crash, hang, eat and talk: its parent gets a reason, and the next call another child."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from loadingdock.adapters.confined.pool import ChildFailed, ChildUnavailable, Failure, Limits, Pool

ROOT = Path(__file__).parents[2]
LIMITS = Limits(memory=128 << 20, cpu=1, wall=20.0, file_size=1 << 20, open_files=32, reply=1 << 19, calls=1000)
MakePool = Callable[..., Pool]


@pytest.fixture
async def make_pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakePool]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # so that the child finds the tests
    made: list[Pool] = []

    def make(*arguments: str, limits: Limits = LIMITS, size: int = 1) -> Pool:
        made.append(Pool("tests.unit.hostile_child", *arguments, limits=limits, size=size))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()


async def pid_of(pool: Pool) -> int:
    return int((await pool.call({"deed": "pid"}))["pid"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "failure"),
    [
        ("crash", Failure.CRASHED),
        ("raise", Failure.CRASHED),
        ("eat", Failure.MEMORY),
        ("spin", Failure.CPU),
        ("talk", Failure.REPLY),
    ],
)
async def test_a_violation_costs_the_child_alone(make_pool: MakePool, deed: str, failure: Failure) -> None:
    pool = make_pool()
    before = await pid_of(pool)
    with pytest.raises(ChildFailed) as raised:
        await pool.call({"deed": deed})
    assert raised.value.failure is failure
    assert await pid_of(pool) != before
    assert gone(before)


async def test_a_hanging_child_is_killed(make_pool: MakePool) -> None:
    pool = make_pool(limits=Limits(wall=1.0))
    before = await pid_of(pool)
    with pytest.raises(ChildFailed) as raised:
        await pool.call({"deed": "hang"})
    assert raised.value.failure is Failure.TIME
    assert gone(before)


async def test_a_cancelled_call_kills_its_child(make_pool: MakePool) -> None:
    pool = make_pool()
    before = await pid_of(pool)
    task = asyncio.create_task(pool.call({"deed": "hang"}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pid_of(pool) != before
    assert gone(before)


async def test_cpu_time_is_counted_by_call(make_pool: MakePool) -> None:
    """Many small calls do not add up to the limit of one."""
    pool = make_pool()
    before = await pid_of(pool)
    for _ in range(300):
        await pool.call({"deed": "open"})
    assert await pid_of(pool) == before


async def test_a_child_is_replaced_after_its_calls(make_pool: MakePool) -> None:
    pool = make_pool(limits=Limits(calls=3))
    pids = [await pid_of(pool) for _ in range(7)]
    assert pids == [pids[0]] * 3 + [pids[3]] * 3 + [pids[6]]
    assert len(set(pids)) == 3


async def test_a_child_killed_while_idle_is_replaced(make_pool: MakePool) -> None:
    pool = make_pool()
    before = await pid_of(pool)
    os.kill(before, signal.SIGKILL)
    assert gone(before)
    assert await pid_of(pool) != before


async def test_no_more_children_than_asked_for(make_pool: MakePool) -> None:
    pool = make_pool(size=2)
    answers = await asyncio.gather(*(pool.call({"deed": "pid"}) for _ in range(20)))
    assert len({answer["pid"] for answer in answers}) == 2


async def test_chatter_does_not_reach_the_answers(make_pool: MakePool) -> None:
    assert await make_pool().call({"deed": "chatter"}) == {"read": ""}


async def test_files_are_limited(make_pool: MakePool) -> None:
    pool = make_pool()
    assert await pool.call({"deed": "write"}) == {"errno": errno.EFBIG}
    assert await pool.call({"deed": "open"}) == {"errno": errno.EMFILE}


async def test_limits_cannot_be_raised_again(make_pool: MakePool) -> None:
    assert await make_pool().call({"deed": "limits"}) == {
        "core": [0, 0],
        "data": [128 << 20, 128 << 20],
        "file_size": [1 << 20, 1 << 20],
    }


@pytest.mark.security(26)
async def test_secrets_stay_with_the_parent(make_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LOADINGDOCK_DATABASE_URL", "postgresql://user:secret@host/db")
    environment = await make_pool().call({"deed": "environment"})
    assert "secret" not in str(environment)
    assert "PATH" in environment


async def test_what_it_says_when_it_cannot_start(make_pool: MakePool) -> None:
    with pytest.raises(ChildUnavailable, match="ValueError: a rule is wrong"):
        await make_pool("refuse").call({"deed": "pid"})
    with pytest.raises(ChildUnavailable, match="ended while it started"):
        await make_pool("die").hello()


async def test_hello(make_pool: MakePool) -> None:
    assert await make_pool().hello() == {"hello": "here"}


async def test_closing_ends_what_runs(make_pool: MakePool) -> None:
    pool = make_pool()
    before = await pid_of(pool)
    task = asyncio.create_task(pool.call({"deed": "hang"}))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(ChildFailed):
        await task
    assert gone(before)
    with pytest.raises(ChildUnavailable):
        await pool.call({"deed": "pid"})


_PARENT = """
import asyncio, os
from loadingdock.adapters.confined.pool import Limits, Pool

async def main():
    pool = Pool("tests.unit.hostile_child", limits=Limits())
    print((await pool.call({"deed": "pid"}))["pid"], flush=True)
    await pool.call({"deed": "hang"})

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_child_dies_with_its_parent() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    with parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
    try:
        parent.kill()
        parent.wait()
        assert select.select([child], [], [], 10)[0], "the child lives on"
    finally:
        os.close(child)


def gone(pid: int) -> bool:
    """Whether the process ends within ten seconds, or has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], 10)[0])
    finally:
        os.close(process)
