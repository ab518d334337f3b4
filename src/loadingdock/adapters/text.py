"""Text extraction in limited child processes: a hostile file costs a child, and the file's text."""

from __future__ import annotations

from pathlib import Path

from loadingdock.adapters.confined.pool import ChildFailed, ChildUnavailable, Limits, Pool
from loadingdock.core import types
from loadingdock.core.errors import Unavailable
from loadingdock.core.model.processing import ExtractedText

EXTRACTABLE = frozenset({"application/pdf", types.DOCX, types.XLSX, "text/csv", "text/plain"})
_WIDEST = 6  # bytes of a character in an answer: "\u0000"


class TextExtraction:
    """`timeout` in seconds on the clock, `cpu` in CPU seconds and `memory` in bytes are for one file. Other types
    than EXTRACTABLE have no text."""

    def __init__(
        self,
        *,
        max_characters: int = 1_000_000,
        timeout: float = 60.0,
        cpu: int = 30,
        memory: int = 512 << 20,
        children: int = 1,
        files_per_child: int = 100,
    ) -> None:
        limits = Limits(
            memory=memory,
            cpu=cpu,
            wall=timeout,
            open_files=32,
            reply=max_characters * _WIDEST + 4096,
            calls=files_per_child,
        )
        self._max_characters = max_characters
        self._pool = Pool("loadingdock.adapters.text_child", limits=limits, size=children)

    async def extract(self, path: Path, content_type: str) -> ExtractedText:
        type = types.canonical(content_type)
        if type not in EXTRACTABLE:
            return ExtractedText(None)
        request = {"path": str(path), "type": type, "limit": self._max_characters}
        try:
            answer = await self._pool.call(request)
        except ChildFailed as error:
            return ExtractedText(None, problem=f"The text cannot be read: {error}.")
        except ChildUnavailable as error:
            raise Unavailable("text extractor") from error
        text, problem = answer.get("text"), answer.get("problem")
        if not isinstance(text, str):
            return ExtractedText(None, problem=str(problem))
        return ExtractedText(text, bool(answer.get("cut")))

    async def close(self) -> None:
        await self._pool.close()
