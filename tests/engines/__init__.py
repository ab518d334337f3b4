"""Real engines for tests that ask for them. One that is absent skips on a person's machine and fails where
LOADINGDOCK_REQUIRE names it (`LOADINGDOCK_REQUIRE=clamd`)."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(engine: str, remedy: str) -> NoReturn:
    message = f"{engine} is not here: {remedy}"
    if engine in os.environ.get("LOADINGDOCK_REQUIRE", "").split(","):
        pytest.fail(message)
    pytest.skip(message)
