"""What a callback URL may be: read strictly, judged by its addresses."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadingdock.adapters.outbound.addresses import REFUSED_V4, REFUSED_V6, refusal
from loadingdock.adapters.outbound.rules import Rules
from loadingdock.adapters.outbound.urls import UrlRefused, parse

pytestmark = pytest.mark.security(29)

RULES = Rules.of([], ["80", "443", "8000-8999"])
v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address)
inner_v4 = st.sampled_from([network for network, _ in REFUSED_V4]).flatmap(
    lambda network: st.integers(int(network.network_address), int(network.broadcast_address)).map(IPv4Address)
)
public_v4 = v4.filter(lambda address: refusal(address) is None)

# Networks that no callback may reach, as IANA's registries and the list of hostile URLs name them.
INSIDE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4"),
    *("240.0.0.0/4", "255.255.255.255/32", "192.88.99.0/24", "169.254.169.254/32", "168.63.129.16/32"),
    *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("100:0:0:1::/64", "2001::/23", "2001::/32", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32"),
    *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8"),
)


@pytest.mark.parametrize("network", INSIDE)
def test_no_inner_network_is_public(network: str) -> None:
    net = ip_network(network)
    middle = net[net.num_addresses // 2]
    for address in (net[0], middle, net[-1]):
        assert refusal(address), address


@given(v4 | v6)
def test_what_is_public_is_global_for_the_standard_library_too(address: IPv4Address | IPv6Address) -> None:
    if refusal(address) is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_private


@given(inner_v4, st.sampled_from(["::ffff:0:0", "64:ff9b::", "::", "64:ff9b:1::", "::ffff:0:0:0"]))
def test_an_inner_address_in_another_is_refused(inner: IPv4Address, prefix: str) -> None:
    assert refusal(IPv6Address(int(IPv6Address(prefix)) | int(inner)))
    assert refusal(IPv6Address(int(IPv6Address("2002::")) | int(inner) << 80))  # 6to4
    assert refusal(IPv6Address(int(IPv6Address("2001::")) | int(inner) ^ 0xFFFFFFFF))  # Teredo
    assert refusal(IPv6Address(int(IPv6Address("2a00:1450::5efe:0:0")) | int(inner)))  # ISATAP


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "192.0.1.1", "172.32.0.1", "100.128.0.1", "223.255.255.255"])
def test_public_addresses_are_taken(address: str) -> None:
    assert refusal(IPv4Address(address)) is None
    assert refusal(IPv6Address("2606:4700:4700::1111")) is None
    assert refusal(IPv6Address("2001:200::1")) is None


@pytest.mark.parametrize("table", [REFUSED_V4, REFUSED_V6])
def test_every_refused_network_says_what_it_is(table: tuple[tuple[ipaddress.IPv4Network, str], ...]) -> None:
    for network, what in table:
        assert refusal(network[1] if network.num_addresses > 1 else network[0]) == what


# --- forms ---

HOSTILE = (
    *("http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/"),
    *("http://127.0.1/", "http://0/", "http://0x/", "http://127.0.0.1./", "http://127.0.0.01/", "http://1.2.3.4.5/"),
    *("http://00000177.0.0.1/", "http://127.0.0.0x1/", "http://256.1.1.1/", "http://999999999999/", "http://a.0x7f/"),
    *("http://[localhost]/", "http://[127.0.0.1]/", "http://[example.com]/", "http://[v1.a]/", "http://[]/"),
    *("http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1]x/", "http://[::1", "http://::1/"),
    *("http://[::1]:/", "http://[[::1]]/", "http://example.com]/", "http://[0:0:0:0:0:0:0:0:1]/"),
    *("http://user@example.com/", "http://user:pw@example.com/", "http://example.com@127.0.0.1/", "http://@a.example/"),
    *("http://example.com:80@10.0.0.1/", "http://a.example:/", "http://a.example:0/", "http://a.example:65536/"),
    *("http://a.example:80:80/", "http://a.example:0x50/", "http://a.example:+80/", "http://a.example:８０/"),
    *("http://example.com\\@10.0.0.1/", "http:\\\\example.com/", "http:/example.com", "http:a.example", "//a.example/"),
    *("http://a.example/\r\nX: y", "http://a.example\t/", "\thttp://a.example/", " http://a.example/", "http://a .b/"),
    *("http://a.example\x00.internal/", "http://a\u200b.example/", "http://a.example/\x7f", "http://a.example/ b"),
    *("http:///path", "http://", "http://?q", "http://.example/", "http://a..example/", "http://a.example./"),
    *("http://-a.example/", "http://a-.example/", f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/"),
    *("http://%6cocalhost/", "http://127.0.0.1%2f.example/", "http://a%00.example/", "http://exa%6dple.com/"),
    *("ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "javascript:alert(1)", "data:,x", "ws://a.example/"),
    *("unix:///run/x.sock", "http+unix://x/", "", "a.example/hook", f"http://a.example/{'x' * 2048}"),
    *("http://①②⑦.⓪.⓪.①/", "http://１２７.0.0.1/", "http://127。0。0。1/", "http://0ｘ7f.1/", "http://⑯⑨。254。169｡254/"),
    *("http://xn--/", "http://\udcff.example/", "http://ex\u202eample.com/", "http://☃.example/", "http://a\u00ad@b/"),
)  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_forms_are_refused(url: str) -> None:
    """By their form, or, where a reader may well take them for an address, by that address."""
    try:
        target = parse(url)
    except UrlRefused:
        return
    assert target.address is not None
    assert RULES.refuse(target, [target.address])


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("HTTPS://Receiver.Example", "https://receiver.example/"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("http://a.example:8080?q=1", "http://a.example:8080/?q=1"),
        ("https://a.example/a/../b?x=%2F&y=[z]|'#fragment", "https://a.example/a/../b?x=%2F&y=[z]|'"),
        ("https://bücher.example/ü?ß", "https://xn--bcher-kva.example/%C3%BC?%C3%9F"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("http://1.1.1.1/", "http://1.1.1.1/"),
        ("http://[2606:4700:4700:0::1111]:80/", "http://[2606:4700:4700::1111]/"),
        ("https://my_receiver.a-b.example/", "https://my_receiver.a-b.example/"),
        ("https://a.example/@b:c", "https://a.example/@b:c"),
    ],
)
def test_plain_urls_are_taken(url: str, plain: str) -> None:
    assert parse(url).url == plain
    assert parse(plain).url == plain


@given(
    st.text(max_size=60)
    | st.from_regex(r"https?://[0-9a-fx.:\[\]@%\\/?#-]{1,40}")
    | st.from_regex(r"http://[0-9０-９①-⑳.。｡ｘx]{1,12}/")
)
@example("http://１.1")
def test_whatever_is_read_is_read_alike_by_others(url: str) -> None:
    """A host that we take for a name is no address for the resolver, and one that we take for an address is that."""
    try:
        target = parse(url)
    except UrlRefused:
        return
    assert target.scheme in {"http", "https"}
    assert 0 < target.port < 65536
    assert target.host.isascii()
    assert target.path.isascii()
    assert target.path.startswith("/")
    assert not set(target.host) & set("@/\\?#%[] \t\r\n")
    try:
        socket.inet_aton(target.host)  # knows octal, hexadecimal, short and plain numbers
    except OSError:
        assert not isinstance(target.address, IPv4Address)
    else:
        assert str(target.address) == target.host
    assert parse(target.url).url == target.url


@given(inner_v4)
def test_inner_addresses_are_refused_in_every_spelling(address: IPv4Address) -> None:
    a, b, c, d = address.packed
    number = int(address)
    for host in (
        *(str(address), str(number), hex(number), oct(number).replace("o", ""), f"{a}.{number & 0xFFFFFF}"),
        *(f"{a}.{b}.{c << 8 | d}", f"0x{a:x}.{b}.{c}.{d}", f"0{a:o}.{b}.{c}.{d}", f"{a:03}.{b:03}.{c:03}.{d:03}"),
        *(f"[::ffff:{address}]", f"[::ffff:{a:x}{b:02x}:{c:x}{d:02x}]", f"[64:ff9b::{address}]", f"[::{address}]"),
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]",
    ):
        url = f"http://{host}/"
        try:
            target = parse(url)
        except UrlRefused:
            continue
        assert target.address is not None
        assert RULES.refuse(target, [target.address])


# --- rules ---


@pytest.mark.parametrize("port", [22, 25, 110, 2375, 3306, 5432, 6379, 9200, 11211, 65535])
def test_other_ports_are_refused(port: int) -> None:
    why = RULES.refuse(parse(f"http://a.example:{port}/"), [IPv4Address("1.1.1.1")])
    assert why == f"port {port} is not one that callbacks may reach; 80, 443, 8000-8999 are"


@given(st.lists(public_v4, max_size=4), inner_v4, st.integers(0, 4))
def test_one_inner_address_is_enough(public: list[IPv4Address], inner: IPv4Address, place: int) -> None:
    target = parse("https://a.example/")
    assert RULES.refuse(target, public) is None
    why = RULES.refuse(target, [*public[:place], inner, *public[place:]])
    assert why
    assert str(inner) not in why


def test_what_an_operator_allows() -> None:
    rules = Rules.of(["127.0.0.1/32", "fd12::/16", "Hooks.Internal", "10.1.2.3"], ["443"])
    loopback, other = IPv4Address("127.0.0.1"), IPv4Address("127.0.0.2")
    assert rules.refuse(parse("http://127.0.0.1:9999/"), [loopback]) is None
    assert rules.refuse(parse("http://a.example:9999/"), [loopback]) is None
    assert rules.refuse(parse("http://127.0.0.2:443/"), [other])
    assert rules.refuse(parse("http://a.example:443/"), [loopback, other])
    assert rules.refuse(parse("http://a.example:444/"), [loopback, IPv4Address("1.1.1.1")])
    assert rules.refuse(parse("http://a.example:444/"), [])
    assert rules.refuse(parse("http://hooks.internal:1/"), [other]) is None
    assert rules.refuse(parse("http://hooks.internal:1/"), []) is None
    assert rules.refuse(parse("http://x.hooks.internal:1/"), [other])
    assert rules.refuse(parse("http://[fd12::1]:1/"), [IPv6Address("fd12::1")]) is None
    assert rules.refuse(parse("http://[::ffff:127.0.0.1]/"), [IPv6Address("::ffff:127.0.0.1")])


@pytest.mark.parametrize("word", ["", "http://a.example", "a b", "10.0.0.1/8", "300.1.1.1", "*.example", "a:80", "/8"])
def test_what_is_no_host_and_no_network_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="neither a network"):
        Rules.of([word], [])


@pytest.mark.parametrize("word", ["", "0", "65536", "http", "9-8", "80-", "-80", "٤٤٣"])
def test_what_is_no_port_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no port"):
        Rules.of([], [word])
