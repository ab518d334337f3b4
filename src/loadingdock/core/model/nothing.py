"""What a mapping holds that was not given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    return NOTHING  # not hashable before Python 3.12, so a dataclass takes it from a factory only
