"""URLs that are not followed, and addresses that are not connected to, in every form that they can be written in."""

from __future__ import annotations

import ipaddress

import pytest

from scanner.net.http.url_policy import Url, UrlRefused, read_url_untrusted, refusal_reason

# A first, a last and a middle address of every special network, and whether --private-urls opens it.
SPECIAL_V4 = {
    "this host": (("0.0.0.0", "0.0.0.1", "0.255.255.255"), False),
    "private": (
        ("10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"),
        True,
    ),
    "shared": (("100.64.0.0", "100.127.255.255"), True),
    "loopback": (("127.0.0.0", "127.0.0.1", "127.255.255.255"), True),
    "link-local": (("169.254.0.0", "169.254.1.1", "169.254.255.255"), False),
    "metadata": (("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"), False),
    "documentation": (("192.0.2.0", "192.0.2.255", "198.51.100.7", "203.0.113.255"), False),
    "protocol assignments": (("192.0.0.0", "192.0.0.255", "192.88.99.1"), False),
    "benchmarking": (("198.18.0.0", "198.19.255.255"), True),
    "multicast": (("224.0.0.0", "239.255.255.255"), False),
    "reserved": (("240.0.0.0", "255.255.255.254", "255.255.255.255"), False),
}
ORDINARY_V4 = (
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "198.51.99.255", "203.0.114.0", "223.255.255.255",
)  # fmt: skip
SPECIAL_V6 = {
    "unspecified": (("::",), False),
    "loopback": (("::1",), True),
    "IPv4-compatible": (("::2", "::127.0.0.1", "::8.8.8.8"), False),
    "unique local": (("fc00::", "fd12:3456::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), True),
    "metadata": (("fd00:ec2::254", "fd20:ce::254"), False),
    "link-local": (("fe80::", "fe80::1", "febf::1", "fe80::1%1"), False),
    "site-local": (("fec0::1", "feff::1"), True),
    "multicast": (("ff00::", "ff02::1", "ffff::"), False),
    "documentation": (("2001:db8::", "2001:db8:ffff::1", "3fff::1", "3fff:fff::1"), False),
    "protocol assignments": (("2001:2::1", "2001:10::1", "2001:20::1", "2001:1::1"), False),
    "local translation": (("64:ff9b:1::8.8.8.8",), False),
    "discard": (("100::1", "100:0:0:1::1"), False),
    "not given out": (("4000::1", "5f00::1", "8000::1", "1::1"), False),
}
ORDINARY_V6 = ("2001:4860::8888", "2600::1", "2a00:1450::1", "2001:200::1", "2003::1", "3ffe::1")


def hidden(inner: str) -> dict[str, str]:
    """IPv6 addresses that lead to an IPv4 one."""
    value = int(ipaddress.IPv4Address(inner))
    forms = {
        "IPv4-mapped": 0xFFFF << 32 | value,
        "IPv4-translated": 0xFFFF << 48 | value,
        "NAT64": 0x64FF9B << 96 | value,
        "6to4": 0x2002 << 112 | value << 80 | 1,
        "Teredo client": 0x20010000 << 96 | 0x08080808 << 64 | value ^ 0xFFFFFFFF,
        "Teredo server": 0x20010000 << 96 | value << 64 | 0x08080808 ^ 0xFFFFFFFF,
        "ISATAP": 0x2A001450 << 96 | 0x5EFE << 32 | value,
        "ISATAP, universal": 0x2A001450 << 96 | 0x02005EFE << 32 | value,
    }
    return {form: str(ipaddress.IPv6Address(number)) for form, number in forms.items()}


@pytest.mark.parametrize("kind", SPECIAL_V4)
def test_special_ipv4_addresses_in_every_form(kind: str) -> None:
    addresses, opened = SPECIAL_V4[kind]
    for address in addresses:
        for form, text in {"plain": address, **hidden(address)}.items():
            assert refusal_reason(text, private=False), (form, text)
            assert (refusal_reason(text, private=True) is None) is opened, (form, text)


@pytest.mark.parametrize("kind", SPECIAL_V6)
def test_special_ipv6_addresses(kind: str) -> None:
    addresses, opened = SPECIAL_V6[kind]
    for address in addresses:
        assert refusal_reason(address, private=False), address
        assert (refusal_reason(address, private=True) is None) is opened, address


def test_ordinary_addresses() -> None:
    for address in ORDINARY_V4:
        assert refusal_reason(address, private=False) is None, address
        for form, text in hidden(address).items():
            assert refusal_reason(text, private=False) is None, (form, text)
    for address in ORDINARY_V6:
        assert refusal_reason(address, private=False) is None, address


def test_what_the_standard_library_holds_for_special_is_refused() -> None:
    """Its tables are another reading of the same registries."""
    for value in range(0, 1 << 32, (1 << 20) + 77_777):
        address = ipaddress.IPv4Address(value)
        assert address.is_global or refusal_reason(str(address), private=False), address
    for value in range(0, 1 << 128, (1 << 117) + (7 << 90)):
        other = ipaddress.IPv6Address(value)
        assert other.is_global or refusal_reason(str(other), private=False), other


@pytest.mark.parametrize("text", ["", "www.example.org", "1.2.3", "0x7f.0.0.1", "127.1"])
def test_texts_that_are_not_addresses_are_refused(text: str) -> None:
    assert refusal_reason(text, private=True)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://ca.example/ca.cer", Url("http://ca.example/ca.cer", "http", "ca.example", 80)),
        ("HTTP://CA.Example.:80?a=b#part", Url("http://ca.example/?a=b", "http", "ca.example", 80)),
        ("https://ca.example:8443/x%20y", Url("https://ca.example:8443/x%20y", "https", "ca.example", 8443)),
        ("http://192.0.2.7:8080/", Url("http://192.0.2.7:8080/", "http", "192.0.2.7", 8080)),
        ("http://[2001:DB8:0::1]/a", Url("http://[2001:db8::1]/a", "http", "2001:db8::1", 80)),
        ("http://under_score.example/", Url("http://under_score.example/", "http", "under_score.example", 80)),
    ],
)
def test_urls_are_read_and_normalised(text: str, read: Url) -> None:
    assert read_url_untrusted(text) == read
    assert read_url_untrusted(read.text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ca.example/ca.cer",
        "//ca.example/ca.cer",
        "file:///etc/passwd",
        "ftp://ca.example/ca.cer",
        "gopher://ca.example/",
        "ldap:///cn=ca",
        "ldap://ca.example/cn=ca",
        "javascript:alert(1)",
        "http://",
        "http:///ca.cer",
        "http://user@ca.example/",
        "http://user:secret@ca.example/",
        "http://@ca.example/",
        "http://ca.example:0/",
        "http://ca.example:22/",
        "http://ca.example:25/",
        "http://ca.example:65536/",
        "http://ca.example:-1/",
        "http://ca.example:http/",
        "http://ca.example/a b",
        "http://ca.example/\r\nX: y",
        "http://ca.example\\@127.0.0.1/",
        "http://cä.example/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://1.2.3.4.5/",
        "http://[::1/",
        "http://[::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[ca.example]/",
        "http://ca..example/",
        "http://-ca.example/",
        "http://ca.example%00.org/",
        "http://" + "a" * 254 + "/",
        "http://ca.example/" + "a" * 2048,
    ],
)
def test_urls_that_are_not_followed(text: str) -> None:
    with pytest.raises(UrlRefused):
        read_url_untrusted(text)
