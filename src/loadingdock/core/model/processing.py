"""What looking into a file comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNABLE = "unscannable"
    SCANNER_DOWN = "scanner_down"


@dataclass(frozen=True, slots=True)
class ScanResult:
    """`detail`: the signature's name, or why it could not be scanned. Never shown to a client as it is."""

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """`text` is None where the type has no text to extract. `cut`: the limit on output was reached."""

    text: str | None
    cut: bool = False
    problem: str | None = None
