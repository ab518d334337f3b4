"""What every test may ask for: running services, and those who use them."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.engines.backing import BACKING

if TYPE_CHECKING:  # most tests need no server, and none of them shall wait for its imports
    from tests.service import Desk, Service

# While one writes, few examples of everything; `--hypothesis-profile thorough -m hypothesis` looks for the rest.
hypothesis.settings.register_profile("fast", max_examples=20)
hypothesis.settings.register_profile("thorough", max_examples=500, deadline=None)
hypothesis.settings.load_profile("fast")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--security",
        type=int,
        action="append",
        metavar="N",
        help="only the tests of line N of the list in SECURITY.md; may be given more than once",
    )

    parser.addoption(
        "--on",
        default="",
        metavar="ENGINES",
        help="what services stand on instead of their folder, such as postgres; several are divided by commas",
    )
    parser.addoption(
        "--all-cycles",
        action="store_true",
        help="repeat what is at random as often as it is promised to have been tried, not just as CI has time for",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        BACKING.choose(config.getoption("--on"))
    except ValueError as error:
        raise pytest.UsageError(f"--on: {error}") from None


def pytest_unconfigure() -> None:
    BACKING.close()


def pytest_collection() -> None:
    """What is collected stays to the end: nobody need look for garbage among it, now or in any later search."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if BACKING:
        for item in items:
            if item.get_closest_marker("embedded"):
                item.add_marker(pytest.mark.skip(reason="about the embedded database and folder"))
    wanted: list[int] | None = config.getoption("--security")
    if wanted is None:
        return
    chosen: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        lines = {mark.args[0] for mark in item.iter_markers("security")}
        (chosen if lines & set(wanted) else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = chosen


@pytest.fixture
def cycles(request: pytest.FixtureRequest) -> int:
    """How often a test marked `cycles(few, all=many)` does what it does at random."""
    mark = request.node.get_closest_marker("cycles")
    if mark is None:
        raise pytest.UsageError(f"{request.node.name} asks for cycles and has no mark that says how many")
    (few,) = mark.args
    number: int = mark.kwargs["all"] if request.config.getoption("--all-cycles") else few
    if not number:
        pytest.skip("takes too long for every run; --all-cycles runs it")
    return number


@pytest.fixture
def chance() -> random.Random:
    """By chance, with a seed that is shown with a failure."""
    seed = random.randrange(2**32)
    print("seed", seed)
    return random.Random(seed)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One server for all quick tests of a process. Companies keep them apart; nobody stops or kills it."""
    from tests.service import Service

    shared = Service(tmp_path_factory.mktemp("service") / "data")
    try:
        yield shared.start()
    finally:
        shared.close()


@pytest.fixture
def desk(service: Service) -> Desk:
    """Where the shared service's companies, users, keys and clients are made."""
    return service.desk


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Servers of one's own, to be killed, starved and restarted: `make_service(max_body=1000).start()`."""
    from tests.service import PROGRAM, Service

    made: list[Service] = []

    def make(*, wrapper: Sequence[str] = (), program: Sequence[str] | None = None, **settings: object) -> Service:
        data = tmp_path / f"service{len(made)}" / "data"
        made.append(Service(data, settings, wrapper=wrapper, program=program or PROGRAM))
        return made[-1]

    yield make
    for service in made:
        service.close()


@pytest.fixture
def own_service(make_service: Callable[..., Service]) -> Service:
    """One server of one's own, started."""
    return make_service().start()
