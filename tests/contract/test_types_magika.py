"""The model behind the extra `magika` passes the contract of type detectors too, where it is installed."""

from __future__ import annotations

import pytest

from loadingdock.adapters.types import MagikaDetector
from loadingdock.testing import types as contract

pytest.importorskip("magika")


@pytest.fixture(scope="module")
def detector() -> MagikaDetector:
    return MagikaDetector()


class TestMagikaDetector(contract.TypeDetectorContract):
    pass
