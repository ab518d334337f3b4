"""Multipart forms: fields in memory, files as streams, all within limits.

Names of fields and files are read as the WHATWG HTML standard has browsers write them: UTF-8, with `%22`, `%0D` and
`%0A` for what cannot stand between quotes; the backslashes of older clients are understood, MIME's encoded words
(RFC 2047) are left as they are. Where a part has `filename`, that is its name and `filename*` is ignored;
`filename*` alone, which RFC 7578 4.2 forbids to senders, is decoded rather than the file be taken for a field.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    content_disposition_unquote,
)

from loadingdock.core.errors import InvalidInput, TooLarge, TooMany
from loadingdock.web.body import Body
from loadingdock.web.parameters import extended, parameters, unquote

_BOUNDARY = re.compile(r"[\x20-\x7e]{0,69}[\x21-\x7e]")  # RFC 2046 5.1.1, with more characters than it names
_CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"})  # by the names of Python's codecs
_PLAIN = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class FormLimits:
    """`field` and `fields`: bytes of one field and of all together. `header` and `headers`: bytes of one part's
    header line, and how many it may have. `room`: what a body may be longer than its file."""

    files: int = 1
    parts: int = 1000
    field: int = 64 << 10
    fields: int = 1 << 20
    header: int = 4 << 10
    headers: int = 8

    @property
    def room(self) -> int:
        return self.fields + (256 << 10)


DEFAULT_LIMITS = FormLimits()


@dataclass(slots=True)
class Form:
    """The fields in the order in which they came."""

    fields: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for one, value in self.fields if one == name]

    def get(self, name: str) -> str | None:
        """The field's value, None if it is missing. Raises InvalidInput if it came twice."""
        found = self.all(name)
        if len(found) > 1:
            raise InvalidInput(f"The field {name} came {len(found)} times; send it once.", field=name)
        return found[0] if found else None


class FilePart:
    """A part with a file name, which may be empty. `field` is the form field's name, `content_type` the part's media
    type in lower case without parameters, `form` has the fields that came so far."""

    def __init__(self, parts: _Parts, field: str, name: str, content_type: str | None) -> None:
        self.field = field
        self.name = name
        self.content_type = content_type
        self.form = parts.form
        self._events = parts.events
        self._next: FilePart | None = None

    async def batches(self) -> AsyncGenerator[list[bytes], None]:
        """The file's bytes, as lists of pieces, about 1 MiB together.

        The end comes only when all fields behind the file have been read, and the form's end or its next file has
        been reached. So what is wrong with the rest of the form is raised from here, while the file can still be
        given up."""
        async for event in self._events:
            if isinstance(event, FilePart):
                self._next = event
                return
            yield event

    async def rest(self) -> FilePart | None:
        """Passes over what was not read; the next file."""
        if self._next is None:
            async for _ in self.batches():
                pass
        return self._next


OnFile = Callable[[FilePart], Awaitable[None]]


async def receive_form(
    body: Body, content_type: str | None, on_file: OnFile, limits: FormLimits = DEFAULT_LIMITS
) -> Form:
    """Reads a multipart/form-data body. `on_file` is awaited for each file and reads its `batches()`, or does not.

    Raises InvalidInput for what is no such form or a malformed one, TooMany and TooLarge for the limits, and
    whatever `on_file` and the body raise. Memory does not grow with the request.
    """
    parts = _Parts(body, _boundary(content_type), limits)
    async with aclosing(parts.events):
        part = await anext(parts.events, None)
        while part is not None:
            assert isinstance(part, FilePart)  # bytes come behind a file part only
            await on_file(part)
            part = await part.rest()
    if not parts.complete:
        raise InvalidInput("The multipart body was not read to its end.")
    return parts.form


class _Parts:
    """Turns the body into events: a file part, and the batches of its bytes. Fields are taken up on the way."""

    def __init__(self, body: Body, boundary: str, limits: FormLimits) -> None:
        self.form = Form()
        self.complete = False
        self.events = self._read()
        self._body = body
        self._limits = limits
        self._parts = 0
        self._files = 0
        self._fields_size = 0
        # Not the parser's strict mode: it refuses the line break behind the last boundary when that comes alone.
        self._parser = PushMultipartParser(boundary, max_header_size=limits.header, max_header_count=limits.headers)

    async def _read(self) -> AsyncGenerator[FilePart | list[bytes], None]:
        parser = self._parser
        in_file = False
        name = charset = ""
        value = bytearray()
        try:
            async with aclosing(self._body.batches()) as batches:
                async for batch in batches:
                    pieces: list[bytes] = []
                    for piece in batch:
                        for event in parser.parse(piece):
                            if isinstance(event, MultipartSegment):
                                name, filename, media_type, charset = self._part(event)
                                in_file = filename is not None
                                if filename is not None:
                                    yield FilePart(self, name, filename, media_type)
                            elif event is None:
                                if not in_file:
                                    self.form.fields.append((name, _text(name, value, charset)))
                                    value = bytearray()
                                elif pieces:
                                    yield pieces
                                    pieces = []
                            elif in_file:
                                pieces.append(event)
                            else:
                                self._count(name, len(value), len(event))
                                value += event
                    if pieces:
                        yield pieces
            parser.close()
            self.complete = True
        except ParserLimitReached as error:
            raise InvalidInput(
                f"A part of the form has more than {self._limits.headers} header lines"
                f" or one longer than {self._limits.header} bytes."
            ) from error
        except MultipartError as error:
            raise InvalidInput(f"The multipart body cannot be read: {error}.") from error

    def _part(self, segment: MultipartSegment) -> tuple[str, str | None, str | None, str]:
        """(field name, file name, media type, charset) of a part that begins."""
        self._parts += 1
        if self._parts > self._limits.parts:
            raise TooMany("Multipart parts", limit=self._limits.parts)
        name: str | None = None
        filename: str | None = None
        media_type: str | None = None
        charset = "utf-8"
        for header, value in segment.headerlist:
            if header == "Content-Disposition":
                if name is not None:
                    raise InvalidInput("A part of the form has two Content-Disposition headers.")
                name, filename = _disposition(value)
            elif header == "Content-Type":
                media_type, options = parameters("Content-Type", value)
                if "charset" in options:
                    charset = unquote(options["charset"])
            elif header == "Content-Transfer-Encoding" and value.strip().lower() not in _PLAIN:
                raise InvalidInput(
                    f"A part of the form is encoded as {value[:40]!r}; send its bytes as they are.",
                    field="Content-Transfer-Encoding",
                )
        if name is None:
            raise InvalidInput("A part of the form has no name.", field="Content-Disposition")
        if charset != "utf-8":
            charset = _codec(charset, text=filename is None)
        if filename is not None:
            self._files += 1
            if self._files > self._limits.files:
                raise TooMany("Files in one form", limit=self._limits.files)
        return name, filename, media_type, charset

    def _count(self, name: str, before: int, more: int) -> None:
        if before + more > self._limits.field:
            raise TooLarge(f"The field {name[:80]!r}", limit=self._limits.field)
        self._fields_size += more
        if self._fields_size > self._limits.fields:
            raise TooLarge("The form's fields together", limit=self._limits.fields)


def _boundary(content_type: str | None) -> str:
    media_type, options = parameters("Content-Type", content_type or "")
    if media_type != "multipart/form-data":
        raise InvalidInput(
            f"The body must be multipart/form-data, but Content-Type says {media_type[:80] or 'nothing'}.",
            field="Content-Type",
        )
    if "charset" in options:
        _codec(unquote(options["charset"]), text=True)
    boundary = unquote(options.get("boundary", ""))
    if _BOUNDARY.fullmatch(boundary) is None:
        raise InvalidInput("Content-Type must have a boundary of 1 to 70 characters.", field="Content-Type")
    return boundary


def _disposition(value: str) -> tuple[str | None, str | None]:
    """(name, filename); the parser has made sure of `form-data`."""
    _, options = parameters("Content-Disposition", value)
    name = options.get("name")
    filename = options.get("filename")
    if filename is not None:
        filename = content_disposition_unquote(filename, True)
    elif "filename*" in options:
        filename = extended("Content-Disposition", options["filename*"])
    return None if name is None else content_disposition_unquote(name), filename


def _codec(charset: str, *, text: bool) -> str:
    """The codec of a charset. A field's text must be in one of few; a file's is only looked up."""
    try:
        found = codecs.lookup(charset).name
    except (LookupError, ValueError):  # ValueError: a NUL in it
        found = ""
    if not found or (text and found not in _CHARSETS):
        raise InvalidInput(f"The charset {charset[:40]!r} is not known; use UTF-8.", field="Content-Type")
    return found


def _text(name: str, value: bytearray, charset: str) -> str:
    try:
        return value.decode(charset)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The field {name[:80]!r} is not {charset}.", field=name) from error
