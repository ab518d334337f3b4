"""What may be reached: public addresses on a few ports, and what an operator allows besides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from loadingdock.adapters.outbound.addresses import Address, Network, refusal
from loadingdock.adapters.outbound.urls import Target, UrlRefused, host_name

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rules:
    """`hosts` may be reached whatever their addresses, `networks` whatever they are for, both on any port."""

    hosts: frozenset[str]
    networks: tuple[Network, ...]
    ports: tuple[range, ...]

    @classmethod
    def of(cls, allow: Iterable[str], ports: Iterable[str]) -> Rules:
        """From an operator's words. Raises ValueError with a sentence."""
        hosts, networks = set(), []
        for word in allow:
            try:
                networks.append(ip_network(word))
            except ValueError:
                hosts.add(_host(word))
        return cls(frozenset(hosts), tuple(networks), tuple(map(_range, ports)))

    def refuse(self, target: Target, addresses: Sequence[Address]) -> str | None:
        """Why the target, which has these addresses, may not be reached; None if it may. One address that may not is
        enough: which of them a client takes is not for us to guess. A name's addresses are not told: whoever sees the
        sentence may not know what our resolver knows."""
        if target.host in self.hosts:
            return None
        strangers = [address for address in addresses if not any(address in network for network in self.networks)]
        for address in strangers:
            if what := refusal(address):
                if target.address is not None:
                    return f"{address} is not public: it is {what}"
                return "its host has an address that is not public"
        if (strangers or not addresses) and not any(target.port in ports for ports in self.ports):
            return f"port {target.port} is not one that callbacks may reach; {self._spelled() or 'none'} are"
        return None

    def _spelled(self) -> str:
        return ", ".join(str(one.start) if len(one) == 1 else f"{one.start}-{one.stop - 1}" for one in self.ports)


def _host(word: str) -> str:
    try:
        host = host_name(word)
    except UrlRefused:
        host = ""
    if not host or "/" in word or not re.search("[a-z]", host):
        raise ValueError(f"{word!r} is neither a network such as 10.1.0.0/16 nor a host name such as hooks.internal")
    return host


def _range(word: str) -> range:
    match = _PORTS.fullmatch(word)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < first <= last < 65536:
        raise ValueError(f"{word!r} is no port such as 443, nor ports such as 8000-8999")
    return range(first, last + 1)
