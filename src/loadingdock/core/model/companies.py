"""Companies, what an operator may set for them, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from loadingdock.core.model.nothing import nothing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CompanySetting(Generic[T]):
    """One thing an operator may set for a company: `loadingdock company set CODE KEY=VALUE`.

    `core` and every dialect declare their own; `bootstrap` gathers them. `parse` turns the operator's text into
    the value and raises ValueError with a sentence when it cannot; `spell` turns a value into a text that it reads.
    """

    key: str
    default: T
    meaning: str
    parse: Any  # Callable[[str], T]; a dataclass field of Callable type would be taken for a method
    spell: Any = str  # Callable[[T], str]


@dataclass(frozen=True, slots=True)
class Company:
    """A tenant. `number` is its public decimal number; `code` is what its people type."""

    id: int
    code: str
    number: int
    name: str
    created_at: datetime
    disabled_at: datetime | None = None
    settings: Mapping[str, Any] = field(default_factory=nothing)

    def get(self, setting: CompanySetting[T]) -> T:
        value: T = self.settings.get(setting.key, setting.default)
        return value


@dataclass(frozen=True, slots=True)
class Usage:
    bytes: int
    files: int
