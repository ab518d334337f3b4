"""Which addresses are public, by a table of our own.

The standard library's `is_global` says yes to several that lead inside: 64:ff9b::/96 and 2002::/16 carry an IPv4
address, multicast reaches the neighbours. So of IPv6 only 2000::/3 is taken, the one block that IANA hands out (RFC
4291, 2.5.4), and of both families nothing that the IANA special-purpose registries list:
https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")

REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network (RFC 1122)"),
        ("10.0.0.0/8", "a private network (RFC 1918)"),
        ("100.64.0.0/10", "a provider's inner network (RFC 6598)"),
        ("127.0.0.0/8", "this machine (RFC 1122)"),
        ("168.63.129.16/32", "the host of an Azure machine"),  # public by number, answers every virtual machine there
        ("169.254.0.0/16", "the local link (RFC 3927), where clouds answer for a machine"),
        ("172.16.0.0/12", "a private network (RFC 1918)"),
        ("192.0.0.0/24", "IETF protocol assignments (RFC 6890)"),
        ("192.0.2.0/24", "documentation (RFC 5737)"),
        ("192.31.196.0/24", "AS112 (RFC 7535)"),
        ("192.52.193.0/24", "multicast tunnels (RFC 7450)"),
        ("192.88.99.0/24", "6to4 relays (RFC 7526)"),
        ("192.168.0.0/16", "a private network (RFC 1918)"),
        ("192.175.48.0/24", "AS112 (RFC 7534)"),
        ("198.18.0.0/15", "benchmarks (RFC 2544)"),
        ("198.51.100.0/24", "documentation (RFC 5737)"),
        ("203.0.113.0/24", "documentation (RFC 5737)"),
        ("224.0.0.0/4", "multicast (RFC 5771)"),
        ("240.0.0.0/4", "reserved, and broadcast (RFC 1112)"),
    )
)
# Within 2000::/3.
REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("2001::/23", "IETF protocol assignments (RFC 2928): Teredo, ORCHID and others"),
        ("2001:db8::/32", "documentation (RFC 3849)"),
        ("2002::/16", "6to4, which carries an IPv4 address (RFC 3056)"),
        ("2620:4f:8000::/48", "AS112 (RFC 7534)"),
        ("3ffe::/16", "the 6bone, given back (RFC 3701)"),
        ("3fff::/20", "documentation (RFC 9637)"),
    )
)
# ISATAP (RFC 5214, 6.1) carries an IPv4 address behind these, whatever the prefix.
_ISATAP = (0x00005EFE, 0x02005EFE)


def refusal(address: Address) -> str | None:
    """What the address is for, if it is not public."""
    if isinstance(address, IPv4Address):
        return next((what for network, what in REFUSED_V4 if address in network), None)
    if address.scope_id is not None or address not in _GLOBAL_UNICAST:
        return "no global unicast address (RFC 4291)"
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "ISATAP, which carries an IPv4 address (RFC 5214)"
    return next((what for network, what in REFUSED_V6 if address in network), None)
