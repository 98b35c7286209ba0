"""Which names are of one registrable domain."""

from __future__ import annotations

import pytest

from scanner.fleet.correlate import domains as module
from scanner.fleet.correlate.domains import LOCAL, MAX_NAME, host_of, is_address, registrable
from scanner.public_suffixes import suffix_list


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("www.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("www.example.com.", "example.com"),
        # Names below a hosting company's domain are related as far as anybody can tell.
        ("one.github.io", "github.io"),
        # What no registry gave out belongs to one organisation, whatever stands before it.
        ("db1.corp", "corp"),
        ("www.paris.corp", "corp"),
        ("intranet", LOCAL),
        # Stand-ins for public domains
        ("a.one.test", "one.test"),
        ("a.two.example", "two.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("1.2.3.4.5", "5"),
        ("", LOCAL),
        ("..", LOCAL),
    ],
)
def test_registrable_domains(name: str, domain: str) -> None:
    assert registrable(name) == domain


def test_two_labels_decide_as_the_search_does() -> None:
    """For every suffix of the list, its exceptions and wildcards too, and names above and below it."""
    deep = module._ends_of_long_suffixes()
    assert deep, "the package shows its list, or each name is searched for"
    for rule in suffix_list()._publicsuffix:
        suffix = rule.lstrip("!").replace("*", "star")
        for name in (
            suffix,
            f"a.{suffix}",
            f"a.b.{suffix}",
            f"a.b.c.d.{suffix}",
            suffix.partition(".")[2] or "x.y.unlisted",
        ):
            assert registrable(name) == module._searched(name), name


@pytest.mark.parametrize(
    "name",
    [
        "A.b.Example.com",
        ".a.b.com",
        "a..b.c.com",
        "a.b.com..",
        "a.b.c.",
        "1.2.3.x",
        "ä.b.c.de",
        "a.b." + "c" * MAX_NAME,
    ],
    ids=range(8),
)
def test_odd_names_are_searched_for(name: str) -> None:
    assert registrable(name) == module._searched(name)


@pytest.mark.parametrize(("name", "answer"), [("10.0.0.1", True), ("::1", True), ("a1", False), ("a:b", False)])
def test_ip_literals(name: str, answer: bool) -> None:
    assert is_address(name) is answer


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://OCSP.Example.com/x", "ocsp.example.com"),
        ("http://[2001:db8::1]:80/", "2001:db8::1"),
        ("ldap:///cn=x", ""),
        ("http://[broken/", ""),
        ("nonsense", ""),
        (f"http://{chr(97) * MAX_NAME}b/", ""),
    ],
)
def test_host_of(url: str, host: str) -> None:
    assert host_of(url) == host
