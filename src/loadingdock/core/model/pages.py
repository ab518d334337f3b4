"""Lists, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list. `cursor` continues behind the last item; None at the end."""

    items: tuple[T, ...]
    cursor: str | None = None
    total: int | None = None
