"""The sample files that transcripts name with an `@`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from tests import samples
from tests.wire.transcripts import TranscriptError

BODIES: Mapping[str, Callable[[], bytes]] = {
    "statement.pdf": samples.pdf,
    "letter.docx": samples.docx_file,
    "table.xlsx": samples.xlsx_file,
    "contacts.csv": samples.csv_file,
    "note.txt": samples.text_file,
    "photo.png": samples.png,
    "photo.jpg": samples.jpeg,
    "photo.gif": samples.gif,
    "photo.webp": samples.webp,
    "photo.heic": samples.heic,
    "logo.svg": samples.svg,
    "files.zip": lambda: samples.zip_file({"a.txt": b"hello"}),
    "locked.zip": lambda: samples.encrypted_zip({"secret": b"secret"}),
    "page.html": lambda: b"<!DOCTYPE html><script>alert(1)</script>\n",
    "eicar.com": samples.eicar,
    "infected.docx": samples.infected_docx,
    "empty": bytes,
}


@cache
def body(name: str) -> bytes:
    if name not in BODIES:
        raise TranscriptError(f"there is no sample {name!r}; there are {', '.join(BODIES)}")
    return BODIES[name]()
