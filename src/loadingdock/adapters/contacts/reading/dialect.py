"""How a file is written, and how much of it is taken."""

from __future__ import annotations

from dataclasses import dataclass

from loadingdock.adapters.contacts.reading.outcome import FileRefused

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """`separator` and `quote` are one character each, of any script; an empty `quote` means that nothing is quoted and
    quotation marks are data. `encoding` is any name that Python knows. Raises FileRefused."""

    separator: str = ","
    quote: str = ""
    header: bool = False
    encoding: str = "UTF-8"

    def __post_init__(self) -> None:
        for field, value, least in (("separator", self.separator, 1), ("quote", self.quote, 0)):
            if not least <= len(value) <= 1:
                raise FileRefused("bad_dialect", f"The {field} is {value!r}, but must be one character.", field)
            if value and (value in "\r\n\0" or "\ud800" <= value <= "\udfff"):
                raise FileRefused("bad_dialect", f"The {field} is {value!r}, which ends lines or is no text.", field)
        if self.separator == self.quote:
            raise FileRefused("bad_dialect", f"The separator and the quote are both {self.quote!r}.", "quote")


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes of UTF-8, whatever the file's encoding. They bound memory, so that no file can exhaust it."""

    record: int = 10 * MIB
    field: int = MIB
    fields: int = 2_000
    """Names that a header or a caller may give: SQLite's tables have no more columns, PostgreSQL's even fewer."""
    errors: int = 100
    """Errors reported of one record; the rest of them is not looked at."""
    expanded: int = 1 << 40
    """What a compressed file may hold."""
    ratio: int = 200
    """How many times its size a compressed file may hold, once that is more than 32 MiB."""
    rows: int = 32_768
    """Good rows in a batch, at most."""
    block: int = 2 * MIB
    """Bytes that are worked on at once, unless one record is longer."""
    broken: int = 4_096
    """Records with broken quotes that are worked on at once; each takes a kilobyte or so."""
