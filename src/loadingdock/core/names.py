"""Which file names are kept and in which form, and which form ids have.

A name is for people and for answers; it never becomes a path of the store. It is kept in Unicode NFC, so that the
same name typed on two systems is one name.
"""

from __future__ import annotations

import re
import unicodedata

from loadingdock.core.errors import NameRefused

MAX_NAME_BYTES = 255

# Unicode's bidirectional controls: they make `exe.fdp` read `pdf.exe` (UAX #9, and Trojan Source, CVE-2021-42574).
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def is_id(text: str) -> bool:
    """Whether it has the form of our ids, a UUID in lower case; what has not need not be looked for."""
    return _ID.fullmatch(text) is not None


def safe_name(name: str) -> str:
    """The name as it is kept. Raises NameRefused for one that is empty, hides something or looks like a path."""
    kept = unicodedata.normalize("NFC", name)
    if not kept.strip() or kept in {".", ".."}:
        raise NameRefused("The file name is empty; give the name that the file shall have.")
    size = len(kept.encode("utf-8", "surrogatepass"))
    if size > MAX_NAME_BYTES:
        raise NameRefused(f"The file name is {size} bytes long; at most {MAX_NAME_BYTES} bytes of UTF-8 are kept.")
    for character in kept:
        if character in "/\\":
            raise NameRefused("The file name contains a path separator; send the name alone, without folders.")
        if character in BIDI or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise NameRefused(
                f"The file name contains the invisible character U+{ord(character):04X}; send it without."
            )
    return kept
