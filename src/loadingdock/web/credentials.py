"""What a request says about who sent it: credentials, network address, trace.

Everything is read from the headers as they came (`Sequence[tuple[bytes, bytes]]`, names of any case). A header that
is not what its RFC says raises Unauthenticated, as a wrong password would.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from loadingdock.core.errors import Unauthenticated

Headers = Sequence[tuple[bytes, bytes]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*) +(\S.*)", re.ASCII)
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Basic:
    """`login` and `password` of RFC 7617."""

    login: str
    password: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token of RFC 6750."""

    token: str


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, which comes in a header of its own."""

    key: str


Credentials = Basic | Bearer | Key


def authorization(headers: Headers, *, bare: bool = False) -> Basic | Bearer | None:
    """What the Authorization header holds; None without one. With `bare`, a token without the word Bearer is one
    too. Raises Unauthenticated for another scheme, for what cannot be read, and for two such headers."""
    value = _only(headers, b"authorization")
    if value is None:
        return None
    match = _SCHEME.fullmatch(value)
    if match is None:
        if bare and _TOKEN68.fullmatch(value):
            return Bearer(value)
        raise Unauthenticated
    scheme, credentials = match[1].lower(), match[2].rstrip(" ")
    if scheme == "basic":
        return _basic(credentials)
    if scheme == "bearer" and _TOKEN68.fullmatch(credentials):
        return Bearer(credentials)
    raise Unauthenticated


def login(headers: Headers) -> Basic | None:
    """The same where nothing but a login with its password counts."""
    found = authorization(headers)
    return found if isinstance(found, Basic) else None


def bearer(headers: Headers, *, bare: bool = False) -> Bearer | None:
    """The same where nothing but a token counts."""
    found = authorization(headers, bare=bare)
    return found if isinstance(found, Bearer) else None


def _basic(credentials: str) -> Basic:
    try:
        text = base64.b64decode(credentials, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Unauthenticated from None
    login, colon, password = text.partition(":")
    # RFC 7617 2: neither part holds control characters.
    if not colon or any(character < " " or character == "\x7f" for character in text):
        raise Unauthenticated
    return Basic(login, password)


def header_token(headers: Headers, name: bytes) -> str | None:
    """The token in a header of its own (`api-key`, `X-CAP-API-OAUTH-TOKEN`); None without one."""
    value = _only(headers, name)
    if value is None:
        return None
    if not _TOKEN68.fullmatch(value):
        raise Unauthenticated
    return value


def api_key(headers: Headers) -> Key | None:
    token = header_token(headers, b"api-key")
    return None if token is None else Key(token)


def _only(headers: Headers, name: bytes) -> str | None:
    values = [value for key, value in headers if key.lower() == name.lower()]
    if len(values) > 1:
        raise Unauthenticated
    return values[0].decode("latin-1").strip(" \t") if values else None


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The proxies that are trusted, from addresses and networks (`10.0.0.0/8`, `::1`). Raises ValueError with a
    sentence."""
    try:
        return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts)
    except ValueError as error:
        raise ValueError(f"{error}; write networks such as 10.0.0.0/8 or ::1.") from None


def client_address(peer: str | None, headers: Headers, trusted: Sequence[Network]) -> str | None:
    """The client's address. X-Forwarded-For counts only as far as trusted proxies wrote it: read from its end, the
    first address that is not one of theirs is the client. `peer` is the connection's other end, None for a socket
    without addresses."""
    if peer is None:
        return None
    address = _address(peer)
    if address is None or not trusted:
        return peer if address is None else str(address)
    hops = b",".join(value for key, value in headers if key.lower() == b"x-forwarded-for").decode("latin-1")
    for hop in reversed(hops.split(",") if hops else []):
        if not any(address in network for network in trusted):
            break
        previous = _address(_without_port(hop.strip()))
        if previous is None:
            break  # what a proxy could not name is as far as we can see
        address = previous
    return str(address)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _without_port(hop: str) -> str:
    """Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def trace_id(headers: Headers) -> str:
    """The trace id (32 hex) of the traceparent that the client sent (W3C Trace Context 3.2), else a fresh one."""
    values = [value for key, value in headers if key.lower() == b"traceparent"]
    match = _TRACEPARENT.fullmatch(values[0].decode("latin-1").strip(" \t")) if len(values) == 1 else None
    if match is not None:
        version, trace, parent, _, rest = match.groups()
        # Version 00 ends here; a later one may go on behind a dash. ff is no version, and all zeros is no id.
        if version != "ff" and not (version == "00" and rest) and trace.strip("0") and parent.strip("0"):
            return trace
    return secrets.token_hex(16)


def traceparent(trace: str) -> str:
    """The header for requests that we send on as part of a trace: a fresh parent id, sampled."""
    return f"00-{trace}-{secrets.token_hex(8)}-01"
