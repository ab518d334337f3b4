"""Compressed files."""

from __future__ import annotations

import gzip

import pytest

from loadingdock.adapters.streams import zstd


@pytest.fixture(scope="session")
def packed() -> dict[str, bytes]:
    numbers = "".join(f"{n}\n" for n in range(50_000)).encode()
    return {".gz": gzip.compress(numbers), ".zst": zstd.compress(numbers)}
