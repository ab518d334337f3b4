"""How much of an upload is unpacked to look into it. Apart from the walk, so that only the children that walk load the
libraries of the formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """For one upload with everything in it. Sizes are bytes of unpacked content."""

    unpacked: int = 1 << 30
    entry: int = 1 << 30
    entries: int = 10_000
    depth: int = 8
    ratio: int = 250  # unpacked to packed; counts from `ratio_from` on, since small files of one letter pack well
    ratio_from: int = 64 << 20
