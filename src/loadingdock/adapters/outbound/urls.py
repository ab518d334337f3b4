"""A URL read so strictly that no other reader can understand another host by it.

Resolvers, URL parsers and the standard library differ on much that looks like a URL: `urlsplit` drops line breaks,
`getaddrinfo` takes 0x7f.1 and 2130706433 for addresses, browsers take a backslash for a slash. Whatever is not plain
(RFC 3986, RFC 1123) is refused here rather than put right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote

import idna

from loadingdock.adapters.outbound.addresses import Address

_LONGEST = 2048  # characters
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?", re.ASCII)
_PLAIN = re.compile(r"([^:\[\]]+)(?::([0-9]{1,5}))?", re.ASCII)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_KEPT = "".join(map(chr, range(0x21, 0x7F)))  # of path and query nothing is encoded anew but what is not ASCII


class UrlRefused(ValueError):
    """A sentence that says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Target:
    """`host` is in lower case and ASCII, an IPv6 address without its brackets; `address` is what it is if it is one;
    `path` is what goes into the request line."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None

    @property
    def netloc(self) -> str:
        """As the Host header has it (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse(url: str) -> Target:
    """Raises UrlRefused."""
    if len(url) > _LONGEST:
        raise UrlRefused(f"it has more than {_LONGEST} characters")
    if not url.isprintable() or " " in url or "\\" in url:
        raise UrlRefused("it holds spaces, backslashes or characters that do not print")
    match = _URL.fullmatch(url)
    if match is None:
        raise UrlRefused("it is no URL; write https://host/path")
    scheme, authority, path = match[1].lower(), match[2], match[3]
    if scheme not in _PORTS:
        raise UrlRefused(f"callbacks go to https and http, not to {scheme[:20]}")
    if "@" in authority:
        raise UrlRefused("a user name or password in a URL is not taken; put a token into the path or query")
    host, port, address = _place(authority)
    if port is not None and not 0 < port < 65536:
        raise UrlRefused("a port is a number from 1 to 65535")
    path = quote(path if path.startswith("/") else f"/{path}", safe=_KEPT)
    return Target(scheme, host, _PORTS[scheme] if port is None else port, path, address)


def _place(authority: str) -> tuple[str, int | None, Address | None]:
    """(host, port, the address that the host is)"""
    if match := _BRACKETED.fullmatch(authority):
        try:
            address = IPv6Address(match[1])
        except ValueError:
            raise UrlRefused("what stands in brackets is no IPv6 address") from None
        return str(address), int(match[2]) if match[2] else None, address
    if "[" in authority or "]" in authority:
        raise UrlRefused("what stands in brackets is no IPv6 address")
    match = _PLAIN.fullmatch(authority)
    if match is None:
        raise UrlRefused("its host is empty, or its port no number" if authority else "it has no host")
    host = host_name(match[1])
    return host, int(match[2]) if match[2] else None, _literal(host)


def host_name(text: str) -> str:
    """In lower case and ASCII: names of other letters by IDNA 2008 with the mapping of UTS 46, which makes plain digits
    and dots of their wide and circled kin, so that these are seen for what they are. Raises UrlRefused."""
    if text.isascii():
        host = text.lower()
    else:
        try:
            host = idna.encode(text, uts46=True, std3_rules=True).decode()
        except idna.IDNAError:
            raise UrlRefused("its host is no name that can be written in ASCII (IDNA)") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise UrlRefused("its host is no host name")
    return host


def _literal(host: str) -> Address | None:
    """The address that a host is; None for a name. What ends in a number is no name (WHATWG URL, 3.5): it must be an
    address in its one usual form, not octal, hexadecimal, short or one large number."""
    if not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if not isinstance(address, IPv4Address) or str(address) != host:
        raise UrlRefused(
            "its host is a number; write an IPv4 address as four decimal numbers, without zeros before them"
        )
    return address
