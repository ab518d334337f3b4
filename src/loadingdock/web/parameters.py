"""Header values of the form `value; name=value; name="quoted value"`."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from loadingdock.core.errors import InvalidInput

# Unquoted values may hold more than a token's characters, because clients send such boundaries. No part of the
# pattern can match the same characters in two ways, so a hostile value costs linear time.
_PARAMETER = re.compile(r';[ \t]*(?:([!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s";]*)[ \t]*)?')
_NOT_PLAIN = re.compile(r'[^\x20-\x7e]|["\\%]')
_ATTR = "!#$&+-.^_`|~"  # RFC 8187's attr-char besides letters and digits
_EXTENDED = re.compile(r"(utf-8|iso-8859-1)'[^']*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*)", re.IGNORECASE)


def parameters(header: str, value: str) -> tuple[str, dict[str, str]]:
    """(what stands before the first semicolon, in lower case; the parameters by lower-case name, quotes and escapes
    still in place). Raises InvalidInput, naming `header`, for what cannot be read or comes twice."""
    end = value.find(";")
    if end < 0:
        return value.strip().lower(), {}
    found: dict[str, str] = {}
    at = end
    while at < len(value):
        match = _PARAMETER.match(value, at)
        if match is None:
            raise InvalidInput(f"{header} cannot be read: {value[at : at + 80]!r}.", field=header)
        at = match.end()
        if match[1] is None:
            continue
        name = match[1].lower()
        if name in found:
            raise InvalidInput(f"{header} has the parameter {name} twice.", field=header)
        found[name] = match[2]
    return value[:end].strip().lower(), found


def unquote(value: str) -> str:
    """A token as it is, a quoted string without its quotes and backslashes (RFC 9110 5.6.4)."""
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def extended(header: str, value: str) -> str:
    """The value of a parameter whose name ends in `*` (RFC 8187)."""
    match = _EXTENDED.fullmatch(value)
    try:
        if match is not None:
            return unquote_to_bytes(match[2]).decode(match[1])
    except UnicodeDecodeError:
        pass
    raise InvalidInput(f"{header} has an extended parameter that cannot be read: {value[:80]!r}.", field=header)


def content_disposition(name: str, *, inline: bool) -> str:
    """The field's value for a file of any name (RFC 6266, RFC 8187): `filename` with what is not plain ASCII replaced,
    and `filename*` where something had to be. Percent signs are replaced too, since some clients decode them."""
    plain = _NOT_PLAIN.sub("_", name)
    value = f'{"inline" if inline else "attachment"}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name.encode(errors='replace'), safe=_ATTR)}"
