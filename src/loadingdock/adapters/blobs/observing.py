"""Who is told how long a store takes."""

from __future__ import annotations

from collections.abc import Callable

Observe = Callable[[str, float], None]  # what was done, and the seconds that it took; called from any thread


def unobserved(doing: str, seconds: float) -> None:
    """Where nobody counts."""
