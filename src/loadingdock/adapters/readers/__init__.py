"""Readers of text, one format a file. Each is a function (open file, limit) -> pieces of text, which its caller stops
consuming at the limit; all of them run in a limited child process and raise Unreadable for what they cannot read."""

from __future__ import annotations


class Unreadable(Exception):
    """Says why there is no text, as the end of a sentence: "it needs a password"."""
