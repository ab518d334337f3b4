"""Every dialect's golden transcripts, found in the dialects' folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service import Service
from tests.wire.replay import Replay, transcripts
from tests.wire.transcripts import read


@pytest.fixture(scope="module")
def service_with(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """The shared server, or one for each set of settings that a transcript asks for."""
    started: dict[frozenset[tuple[str, str]], Service] = {frozenset(): service}

    def find(settings: dict[str, str]) -> Service:
        wanted = frozenset(settings.items())
        if wanted not in started:
            started[wanted] = Service(tmp_path_factory.mktemp("golden") / "data", settings=settings)
            started[wanted].start()
        return started[wanted]

    yield find
    for settings, own in started.items():
        if settings:
            own.close()


@pytest.mark.parametrize("path", transcripts(), ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_golden(path: Path, service_with: Callable[..., Service]) -> None:
    Replay(read(path), service_with).run()
