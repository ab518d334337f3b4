"""The grammar of docs/reference/csv.md, one character after the other: slow, and easily seen to be right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

MARK = b"#loadingdock rejected "


@dataclass(frozen=True, slots=True)
class Record:
    """`begin` is where in the text. `fields` without their quotes, and `written`, how many bytes each has in the file;
    or none, and `broken`."""

    begin: int
    line: int
    raw: bytes
    fields: list[bytes]
    written: list[int]
    broken: str = ""


class State(Enum):
    START = auto()  # of a value
    PLAIN = auto()  # in a value that did not begin with a quote
    QUOTED = auto()
    CLOSED = auto()  # behind the closing quote


def records(text: bytes, separator: bytes, quote: bytes, limit: int) -> Iterator[Record]:
    mark = bytes(byte for byte in MARK if bytes([byte]) not in (separator, quote))
    for record in _all(text, separator, quote, limit, mark):
        if not (record.raw.startswith((mark, quote + mark)) and record.raw.splitlines() == [record.raw]):
            yield record


def _all(text: bytes, separator: bytes, quote: bytes, limit: int, mark: bytes) -> Iterator[Record]:
    """Remarks too."""
    at, line = 0, 1
    while at < len(text):
        first_end = next((i for i in range(at, len(text)) if text[i] in b"\r\n"), len(text))
        if first_end == at:  # a blank line
            at, line = _behind(text, at), line + 1
            continue
        record = None
        if first_end - at > limit:
            broken = "record_too_long"
        else:
            record, end, broken = _scan(text, at, line, separator, quote, limit, mark)
        if record is None:
            yield Record(at, line, text[at:first_end], [], [], broken)
            at, line = _behind(text, first_end), line + 1
        else:
            yield record
            line += len(record.raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
            at = _behind(text, end)


def _behind(text: bytes, end: int) -> int:
    """Where the line after a line end begins."""
    return end + (2 if text[end : end + 2] == b"\r\n" else 1)


def _scan(
    text: bytes, begin: int, line: int, separator: bytes, quote: bytes, limit: int, mark: bytes
) -> tuple[Record | None, int, str]:
    """The record, where it ends, and why there is none."""
    fields: list[bytes] = []
    written: list[int] = []
    value = bytearray()
    state, at, start = State.START, begin, begin
    while True:
        if at - begin > limit:
            return None, 0, "unclosed_quote"  # since the first line is not that long
        ended = at >= len(text) or text[at] in b"\r\n"
        if state is State.QUOTED:
            if at >= len(text):
                return None, 0, "unclosed_quote"
            if text.startswith(quote * 2, at):
                value += quote
                at += 2 * len(quote)
            elif text[at - 1] in b"\r\n" and text.startswith(quote + mark, at):
                return None, 0, "unclosed_quote"
            elif text.startswith(quote, at):
                state = State.CLOSED
                at += len(quote)
            else:
                value.append(text[at])
                at += 1
        elif ended or text.startswith(separator, at):
            fields.append(bytes(value))
            written.append(at - start - (2 * len(quote) if state is State.CLOSED else 0))
            if ended:
                return Record(begin, line, text[begin:at], fields, written), at, ""
            value.clear()
            at += len(separator)
            state, start = State.START, at
        elif state is State.CLOSED:
            return None, 0, "text_after_quote"
        elif quote and text.startswith(quote, at):
            if state is State.START:
                state = State.QUOTED
            elif at + len(quote) - begin > limit:
                return None, 0, "unclosed_quote"
            else:
                return None, 0, "quote_in_value"
            at += len(quote)
        else:
            value.append(text[at])
            state = State.PLAIN
            at += 1
