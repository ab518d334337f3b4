"""What looks into files: for harm, for their types, for their text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loadingdock.core.model.processing import ExtractedText, ScanResult
from loadingdock.core.ports.examination import Examination


@dataclass(frozen=True, slots=True)
class Engine:
    """One of several behind a port. `why` it gets no work, in words that anybody may read; empty if it gets its
    share. `version` is empty if it did not say it."""

    address: str
    version: str
    why: str


class Scanner(Protocol):
    """Four verdicts, never an exception: what it cannot reach is `scanner_down`, what it cannot look into whole is
    `unscannable`. `name` says what scanned, for people; `antivirus` whether it deserves that name."""

    name: str
    antivirus: bool

    async def scan(self, body: AsyncIterator[bytes], size: int, path: Path | None = None) -> ScanResult:
        """`path` is the same bytes as a plain file, where the store has one. `body` is read at most once."""
        ...

    async def ping(self) -> str:
        """Its version; raises Unavailable("scanner"). Where there are several engines, one that answers is enough."""
        ...

    def engines(self) -> tuple[Engine, ...]:
        """Those that share the work, as they answered the last ping; none if it is done here. Idle ones are given
        scans in turn."""
        ...

    async def examine(self) -> Examination:
        """Whether those that answer keep what the settings promise of them. Takes as long as the largest file does."""
        ...

    async def close(self) -> None: ...


class TypeDetector(Protocol):
    """MIME types from bytes. Never an exception: unknown bytes are application/octet-stream, none at all
    application/x-empty."""

    async def detect(self, head: bytes, name: str) -> str:
        """From the first bytes (8 KiB are enough to be asked with) and, where bytes alone cannot tell (CSV from
        plain text), the name."""
        ...

    async def detect_file(self, path: Path, name: str) -> str:
        """From the whole file: containers (DOCX, XLSX) are looked into."""
        ...

    def of_name(self, name: str) -> str | None:
        """By the extension alone; None if it says nothing."""
        ...

    async def pixels(self, path: Path, content_type: str) -> int | None:
        """Width times height of an image of that type, by its headers and without decoding it; the largest of several
        pictures in one file. None for what is no raster image or whose headers cannot be read."""
        ...


class TextExtractor(Protocol):
    """Text from PDF, DOCX, XLSX, CSV and TXT, in a child process with limits on memory, time and output. A hostile
    file costs that child, nothing else: the result then names the problem."""

    async def extract(self, path: Path, content_type: str) -> ExtractedText: ...
    async def close(self) -> None: ...
