"""The child process that reads text out of files: `python -m loadingdock.adapters.text_child`, started by
`text.TextExtraction`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from loadingdock.adapters.confined.child import Answer, serve
from loadingdock.adapters.readers import Unreadable, docx, pdf, plain, xlsx
from loadingdock.core import types

_READERS: Mapping[str, Callable[[BinaryIO, int], Iterator[str]]] = {
    "application/pdf": pdf.read,
    types.DOCX: docx.read,
    types.XLSX: xlsx.read,
    "text/csv": plain.read,
    "text/plain": plain.read,
}


def _prepare() -> tuple[Answer, Callable[[Mapping[str, Any]], Answer]]:
    return {"types": sorted(_READERS)}, _extract


def _extract(request: Mapping[str, Any]) -> Answer:
    """{"text", "cut", "problem"}; the text is at most `limit` characters."""
    limit: int = request["limit"]
    pieces: list[str] = []
    length = 0
    try:
        with open(request["path"], "rb") as file:
            for piece in _READERS[request["type"]](file, limit):
                pieces.append(piece)
                length += len(piece)
                if length > limit:
                    break
    except Unreadable as error:
        return {"text": None, "cut": False, "problem": f"The text cannot be read: {error}."}
    except OSError as error:
        return {"text": None, "cut": False, "problem": f"The file cannot be read: {error.strerror}."}
    return {"text": "".join(pieces)[:limit], "cut": length > limit, "problem": None}


if __name__ == "__main__":
    serve(_prepare)
