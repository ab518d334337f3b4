"""Office Open XML packages (ECMA-376 part 2), held to limits before anything in them is parsed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from xml.parsers import expat

from loadingdock.adapters.readers import Unreadable
from loadingdock.adapters.zips import Archive, BadZip, Entry, TooManyEntries, UnknownMethod, open_zip

_MAX_PARTS = 5_000
_MAX_PART = 128 << 20  # bytes unpacked
_MAX_TOTAL = 512 << 20


class _Begun(Exception):
    """The root element was reached; a document type would have come before it."""


def open_package(file: BinaryIO) -> Archive:
    """Raises Unreadable for a bomb by size or count, an encrypted or damaged package, and XML with a document type:
    entities are how a few bytes become many, and no office program writes one."""
    try:
        archive = open_zip(file, _MAX_PARTS)
        if archive is None:
            raise Unreadable("it is no package")
        archive.check_layout()
        if any(entry.encrypted for entry in archive.entries):
            raise Unreadable("it is encrypted")
        if sum(entry.size for entry in archive.entries) > _MAX_TOTAL:
            raise Unreadable(f"it unpacks to more than {_MAX_TOTAL} bytes")
        for entry in archive.entries:
            if entry.name.lower().endswith((".xml", ".rels")):
                if entry.size > _MAX_PART:
                    raise Unreadable(f"the part {entry.name!r} unpacks to more than {_MAX_PART} bytes")
                _refuse_document_type(archive, entry)
    except BadZip as error:
        raise Unreadable(f"it is damaged: {error}") from error
    except (TooManyEntries, UnknownMethod) as error:
        raise Unreadable(str(error)) from error
    return archive


def parse(archive: Archive, entry: Entry, parser: expat.XMLParserType) -> Iterator[None]:
    """Feeds the part to the parser; yields after every piece, when its handlers have seen it. Raises Unreadable."""
    try:
        for piece in archive.read(entry):
            for at in range(0, len(piece), 65536):
                parser.Parse(piece[at : at + 65536], False)
                yield
        parser.Parse(b"", True)
        yield
    except (expat.ExpatError, BadZip) as error:
        raise Unreadable(f"the part {entry.name!r} is damaged") from error


def new_parser() -> expat.XMLParserType:
    """Names come as "namespace local". Document types are refused, wherever they come from."""

    def refuse(*_: object) -> None:
        raise Unreadable("its XML has a document type")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    return parser


def _refuse_document_type(archive: Archive, entry: Entry) -> None:
    def begun(*_: object) -> None:
        raise _Begun

    parser = new_parser()
    parser.StartElementHandler = begun
    try:
        for _ in parse(archive, entry, parser):
            pass
    except _Begun:
        return
