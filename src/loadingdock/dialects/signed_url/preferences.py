"""The preference `wait` (RFC 7240 4.3): how long a client would rather wait for a change than ask again."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 60  # seconds

# `wait=20`, `wait = "20"`, with parameters behind it that mean nothing here.
_WAIT = re.compile(r'wait[ \t]*=[ \t]*(?:(\d{1,9})|"(\d{1,9})")[ \t]*(?:;.*)?', re.ASCII | re.IGNORECASE)


def wait(values: Iterable[str]) -> int | None:
    """The seconds to wait, at most 60, from the values of all Prefer headers; None without such a preference. Of
    several the first counts (RFC 7240 2), and what cannot be read is ignored, as the RFC asks."""
    for preference in ",".join(values).split(","):
        name = preference.partition("=")[0].partition(";")[0].strip().lower()
        if name == "wait":
            match = _WAIT.fullmatch(preference.strip())
            return None if match is None else min(int(match[1] or match[2]), LONGEST)
    return None
