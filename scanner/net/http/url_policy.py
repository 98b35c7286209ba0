"""Policy against server-side request forgery: which URLs of certificates are followed, and which addresses they may lead to.

Certificates come from strangers, so their URLs must not make this machine speak to what only it can reach: itself, its
network, the metadata service of its cloud. URLs are checked before anything is resolved, addresses after it, and the
connection goes to the very address that was checked; each redirect is a new URL.

IPv4 addresses that hide in IPv6 ones are judged as what they lead to (RFC 4291 IPv4-mapped, RFC 6052 NAT64, RFC 3056
6to4, RFC 4380 Teredo, RFC 5214 ISATAP, RFC 7915 IPv4-translated).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

# URLs in certificates of the public web have up to some 200 characters (LDAP ones apart).
MAX_URL: Final = 2048
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# The ports that browsers do not connect to (Fetch standard, "port blocking"): a request line there could mean something
# to another protocol. Private CAs do publish on odd ports, so all others are left open.
# fmt: off
BAD_PORTS: Final = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
    115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
    563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
})
# fmt: on
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)
# A name that ends in a number is an IPv4 address to some programs (0x7f.1, 017700000001, 2130706433) and a name to others.
_NUMBER_LAST: Final = re.compile(r"(?:\d+|0x[0-9a-f]*)\Z")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class UrlRefused(Exception):
    """A URL is not followed; the message says why, for a person."""


class Url(Struct, frozen=True):
    """One URL that may be followed, as far as its text says. ``host`` is a lower-case name or an IP literal without brackets."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port as the text has them, which is how Host has them too: the port only where it is not the scheme's."""
        return self.text.split("/", 3)[2]

    @property
    def target(self) -> str:
        """Path and query, as they are requested."""
        return "/" + self.text.split("/", 3)[3]


def read_url_untrusted(text: str) -> Url:
    """Read a URL of a certificate or of a redirect. Raises only ``UrlRefused``."""
    if len(text) > MAX_URL:
        raise UrlRefused(f"the URL is longer than {MAX_URL} characters")
    if not text.isascii() or any(character <= " " or character in '"<>\\^`{|}\x7f' for character in text):
        raise UrlRefused("the URL has characters that no URL has")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UrlRefused("the URL cannot be read") from None
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise UrlRefused(
            f"{scheme or 'no'} scheme: only http and https are followed" if scheme else "the URL has no scheme"
        )
    if "@" in parts.netloc:
        raise UrlRefused("the URL has a user name in it")
    if port is None:
        port = DEFAULT_PORTS[scheme]
    if port in BAD_PORTS:
        raise UrlRefused(f"port {port} belongs to another protocol")
    host = _host(host.removesuffix("."), bracketed="[" in parts.netloc)
    shown = f"[{host}]" if ":" in host else host
    authority = shown if port == DEFAULT_PORTS[scheme] else f"{shown}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return Url(f"{scheme}://{authority}{parts.path or '/'}{query}", scheme, host, port)


def _host(host: str, *, bracketed: bool) -> str:
    if not host:
        raise UrlRefused("the URL names no host")
    if "%" in host:
        raise UrlRefused("the URL's host has a zone or an escape in it")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if bracketed or _NAME.fullmatch(host) is None or _NUMBER_LAST.fullmatch(host.rpartition(".")[2]):
        raise UrlRefused("the URL's host is neither a name nor an address")
    return host


# --- addresses -----------------------------------------------------------------------------------

# (network, what it is, whether --private-urls opens it): the special-purpose registries of IANA (RFC 6890), and addresses
# of clouds' metadata services that lie outside of them.
_V4: Final = tuple(
    (ipaddress.IPv4Network(network), what, opened)
    for network, what, opened in (
        ("168.63.129.16/32", "a cloud's metadata address", False),
        ("169.254.169.254/32", "a cloud's metadata address", False),
        ("169.254.170.2/32", "a cloud's metadata address", False),
        ("100.100.100.200/32", "a cloud's metadata address", False),
        ("192.0.0.192/32", "a cloud's metadata address", False),
        ("0.0.0.0/8", "an address of this host (RFC 1122)", False),
        ("10.0.0.0/8", "a private address (RFC 1918)", True),
        ("100.64.0.0/10", "a shared address of carriers (RFC 6598)", True),
        ("127.0.0.0/8", "a loopback address", True),
        ("169.254.0.0/16", "a link-local address", False),
        ("172.16.0.0/12", "a private address (RFC 1918)", True),
        ("192.0.0.0/24", "a special address (RFC 6890)", False),
        ("192.0.2.0/24", "a documentation address", False),
        ("192.88.99.0/24", "a special address (RFC 7526)", False),
        ("192.168.0.0/16", "a private address (RFC 1918)", True),
        ("198.18.0.0/15", "a benchmarking address (RFC 2544)", True),
        ("198.51.100.0/24", "a documentation address", False),
        ("203.0.113.0/24", "a documentation address", False),
        ("224.0.0.0/4", "a multicast address", False),
        ("240.0.0.0/4", "a reserved address", False),
    )
)
_V6: Final = tuple(
    (ipaddress.IPv6Network(network), what, opened)
    for network, what, opened in (
        ("fd00:ec2::254/128", "a cloud's metadata address", False),
        ("fd20:ce::254/128", "a cloud's metadata address", False),
        ("::/128", "the unspecified address", False),
        ("::1/128", "a loopback address", True),
        ("fc00::/7", "a private address (RFC 4193)", True),
        ("fe80::/10", "a link-local address", False),
        ("fec0::/10", "a site-local address", True),
        ("ff00::/8", "a multicast address", False),
        ("64:ff9b:1::/48", "an address of local translation (RFC 8215)", False),
        ("2001:db8::/32", "a documentation address", False),
        ("3fff::/20", "a documentation address", False),
        ("2001::/23", "a special address (RFC 6890)", False),
    )
)
# All that is given out as global unicast today; the rest is reserved, deprecated, or for one site.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")

_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = ipaddress.IPv6Network("::ffff:0:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")
_6TO4: Final = ipaddress.IPv6Network("2002::/16")
_LOW_32: Final = 0xFFFFFFFF
# Interface identifiers of ISATAP, without and with the "universal" bit
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def refusal_reason(text: str, *, private: bool) -> str | None:
    """Return why the address (IP text) must not be connected to, or ``None`` if it may be.

    ``private`` (``--private-urls``) allows loopback and private addresses, never metadata services, link-local, multicast and
    reserved ones.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "not an IP address"
    if isinstance(address, ipaddress.IPv4Address):
        return _refusal_reason_v4(address, private=private)
    if address.scope_id is not None:
        return "an address with a zone"
    inner, whole = _inside(address)
    for hidden in inner:
        reason = _refusal_reason_v4(hidden, private=private)
        if reason is not None:
            return f"{hidden} in another form, {reason}"
    if whole:
        return None
    for network, what, opened in _V6:
        if address in network:
            return None if private and opened else what
    return None if address in _GLOBAL_V6 else "an address that is not global unicast"


def _refusal_reason_v4(address: ipaddress.IPv4Address, *, private: bool) -> str | None:
    for network, what, opened in _V4:
        if address in network:
            return None if private and opened else what
    return None


def _inside(address: ipaddress.IPv6Address) -> tuple[list[ipaddress.IPv4Address], bool]:
    """Return the IPv4 addresses inside ``address``, and whether a packet to it reaches only them."""
    value = int(address)
    low = ipaddress.IPv4Address(value & _LOW_32)
    if address in _MAPPED or address in _TRANSLATED or address in _NAT64:
        return [low], True
    if address in _6TO4:
        return [ipaddress.IPv4Address(value >> 80 & _LOW_32)], True
    if address in _TEREDO:
        server, client = value >> 64 & _LOW_32, (value & _LOW_32) ^ _LOW_32
        return [ipaddress.IPv4Address(server), ipaddress.IPv4Address(client)], True
    if value >> 32 & _LOW_32 in _ISATAP:
        return [low], False
    return [], False
