"""Text of DOCX, streamed from its XML (ECMA-376 part 1, chapter 17): body first, then notes, headers and footers.

No tree is built, so memory does not grow with the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from loadingdock.adapters.readers import Unreadable
from loadingdock.adapters.readers.package import new_parser, open_package, parse
from loadingdock.adapters.zips import Archive, Entry

# Transitional and strict documents have different namespaces for the same elements.
_WORD = frozenset(
    {
        "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "http://purl.oclc.org/ooxml/wordprocessingml/main",
    }
)
_FALLBACK = "http://schemas.openxmlformats.org/markup-compatibility/2006 Fallback"  # says the same once more
_MAIN = "wordprocessingml.document.main+xml"
_MAIN_MACRO = "ms-word.document.macroEnabled.main+xml"
_BESIDE = re.compile(r"(footnotes|endnotes|header\d*|footer\d*)\.xml")
_CONTENT_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types Override"


def read(file: BinaryIO, limit: int) -> Iterator[str]:
    archive = open_package(file)
    entries = {entry.name: entry for entry in archive.entries}
    main = _main_part(archive, entries)
    folder = main.name.rpartition("/")[0]
    beside = sorted(
        name for name in entries if name.rpartition("/")[0] == folder and _BESIDE.fullmatch(name.rpartition("/")[2])
    )
    for entry in (main, *(entries[name] for name in beside)):
        yield from _text(archive, entry)


def _main_part(archive: Archive, entries: dict[str, Entry]) -> Entry:
    listed = entries.get("[Content_Types].xml")
    if listed is None:
        raise Unreadable("it is no package")
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == _CONTENT_TYPES and attributes.get("ContentType", "").endswith((_MAIN, _MAIN_MACRO)):
            found.append(attributes.get("PartName", "").lstrip("/"))

    parser = new_parser()
    parser.StartElementHandler = start
    for _ in parse(archive, listed, parser):
        pass
    for name in found:
        if name in entries:
            return entries[name]
    raise Unreadable("it has no main part")


def _text(archive: Archive, entry: Entry) -> Iterator[str]:
    out: list[str] = []
    words = _Words(out)
    parser = new_parser()
    parser.StartElementHandler = words.start
    parser.EndElementHandler = words.end
    parser.CharacterDataHandler = words.data
    for _ in parse(archive, entry, parser):
        yield "".join(out)
        out.clear()


class _Words:
    """Paragraphs end with a line; of a table each row is a line with tabs between its cells."""

    def __init__(self, out: list[str]) -> None:
        self._out = out
        self._cells: list[int] = []  # for every table that is open, how many cells of the row have begun
        self._gap = False  # between the paragraphs of a cell, once another one has text
        self._skipped = 0
        self._in_text = False

    def start(self, name: str, _: dict[str, str]) -> None:
        if name == _FALLBACK:
            self._skipped += 1
        if self._skipped:
            return
        match _local(name):
            case "t":
                self._in_text = True
            case "tab":
                self._out.append("\t")
            case "br" | "cr":
                self._out.append("\n")
            case "noBreakHyphen":
                self._out.append("-")
            case "tr":
                self._cells.append(0)
            case "tc" if self._cells:
                self._out.append("\t" if self._cells[-1] else "")
                self._cells[-1] += 1
                self._gap = False

    def end(self, name: str) -> None:
        if name == _FALLBACK:
            self._skipped -= 1
        if self._skipped:
            return
        match _local(name):
            case "t":
                self._in_text = False
            case "p" if self._cells:
                self._gap = True
            case "p":
                self._out.append("\n")
            case "tr" if self._cells:
                self._cells.pop()
                self._out.append("\n")

    def data(self, text: str) -> None:
        if self._in_text and not self._skipped:
            self._out.append(" " + text if self._gap else text)
            self._gap = False


def _local(name: str) -> str | None:
    """The element's own name if it is WordprocessingML's."""
    namespace, _, local = name.rpartition(" ")
    return local if namespace in _WORD else None
