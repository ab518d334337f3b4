"""The child process that reads text out of files: `python -m loadingdock.adapters.text_child`, started by
`text.TextExtraction`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, BinaryIO

from loadingdock.adapters.confined.child import Answer, serve
from loadingdock.adapters.readers import Unreadable
from loadingdock.core import types

# Modules of `adapters.readers`. Each is loaded for its first file: what reads a spreadsheet takes most of a second.
_READERS: Mapping[str, str] = {
    "application/pdf": "pdf",
    types.DOCX: "docx",
    types.XLSX: "xlsx",
    "text/csv": "plain",
    "text/plain": "plain",
}


def _prepare() -> tuple[Answer, Callable[[Mapping[str, Any]], Answer]]:
    return {"types": sorted(_READERS)}, _extract


def _reader(type: str) -> Callable[[BinaryIO, int], Iterator[str]]:
    module = import_module(f"loadingdock.adapters.readers.{_READERS[type]}")
    read: Callable[[BinaryIO, int], Iterator[str]] = module.read
    return read


def _extract(request: Mapping[str, Any]) -> Answer:
    """{"text", "cut", "problem"}; the text is at most `limit` characters."""
    limit: int = request["limit"]
    pieces: list[str] = []
    length = 0
    try:
        with open(request["path"], "rb") as file:
            for piece in _reader(request["type"])(file, limit):
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
