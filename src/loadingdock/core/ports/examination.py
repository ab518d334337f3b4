"""What an engine says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Examination:
    """What an engine says of itself. `engine` is its name, and its version, mode or place; `problems` are sentences
    that say what to change, none if it is sound. `remarks` are about what works, but
    could be better."""

    engine: str
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
