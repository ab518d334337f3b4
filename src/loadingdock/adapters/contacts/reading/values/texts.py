"""Text, booleans, addresses of mail."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadingdock.adapters.contacts.reading.rules import Boolean, Text
from loadingdock.adapters.contacts.reading.values.converting import Rows, Wrong, by_distinct, flat, shown, words

# First bytes of characters that NFC may change, or join to the one before. Not among them: Latin,
# Cyrillic, most of Chinese and Korean.
_UNSETTLED = np.isin(
    np.arange(256),
    [0xCC, 0xCD, 0xCE, 0xCF, *range(0xD2, 0xE4), 0xEA, *range(0xED, 0xF5)],
)


class Texts:
    arrow = pa.string()

    def __init__(self, rule: Text) -> None:
        self._max = rule.max

    def parse(self, text: str) -> str | Wrong:
        text = unicodedata.normalize("NFC", text)
        if self._max is not None and len(text) > self._max:
            return Wrong(
                "too_long", f"The text has {len(text)} characters, but the column has room for {self._max}: shorten it."
            )
        return text

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        column = flat(texts)
        doubtful = np.zeros(len(texts), np.bool_)
        high = np.flatnonzero(column.data >= 0xCC)
        doubtful[column.rows_of(high[_UNSETTLED[column.data[high]]])] = True
        # No text has more characters than bytes.
        if self._max is not None and (column.sizes > self._max).any():
            doubtful |= pc.utf8_length(texts).fill_null(0).to_numpy() > self._max
        return texts, np.flatnonzero(doubtful)


class Booleans:
    arrow = pa.bool_()

    def __init__(self, rule: Boolean) -> None:
        self._values = {word.lower(): value for value in (True, False) for word in (rule.true if value else rule.false)}
        self._accepted = f"{words(rule.true)} for true, {words(rule.false)} for false"

    def parse(self, text: str) -> bool | Wrong:
        value = self._values.get(text.lower())
        if value is None:
            return Wrong("not_a_boolean", f"{shown(text)} is neither true nor false; write {self._accepted}.")
        return value

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        return by_distinct(self, texts)


# RFC 5321's Dot-string and Domain, with its limits of 64, 63 and 254 octets; a top-level domain begins with a letter.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ONE_ADDRESS = re.compile(_ADDRESS)


class Emails:
    arrow = pa.string()

    def parse(self, text: str) -> str | Wrong:
        if _ONE_ADDRESS.fullmatch(text) is None:
            return Wrong("not_an_email", f"{shown(text)} is no e-mail address; {_why(text)}.")
        local, _, domain = text.rpartition("@")
        if len(text) > 254 or len(local) > 64 or max(map(len, domain.split("."))) > 63:
            return Wrong(
                "not_an_email",
                f"The e-mail address {shown(text)} is too long: at most 254 characters, 64 of them before the @, and 63"
                " between two dots behind it.",
            )
        return text

    def fast(self, texts: pa.StringArray) -> tuple[pa.Array, Rows]:
        # In 64 characters no part can be too long.
        sure = pc.match_substring_regex(texts, rf"^{_ADDRESS}$").fill_null(True)
        return texts, np.flatnonzero(~sure.to_numpy(False) | (flat(texts).sizes > 64))


def _why(text: str) -> str:
    if not text.isascii():
        return "it may have ASCII characters only, and a domain of others in its form with xn--"
    if text.strip() != text:
        return "it has blanks around it"
    if text.count("@") != 1:
        return f"it has {text.count('@')} @ instead of one"
    return "it must be such as name@example.com"
