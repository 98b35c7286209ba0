"""RFC 9525 as browsers, Go and OpenSSL agree on it."""

from __future__ import annotations

import pytest

from scanner.trust import hostname
from scanner.trust.hostname import NEAREST_EXAMINED, NEAREST_SHOWN, entry_for, match_name, matched, nearest_names
from tests.helpers import pki

MATCHES = [
    ("www.example.com", ["www.example.com"]),
    ("WWW.Example.COM", ["www.example.com"]),
    ("www.example.com", ["WWW.EXAMPLE.com"]),
    ("www.example.com.", ["www.example.com"]),
    ("www.example.com", ["*.example.com"]),
    ("www.example.com", ["*.EXAMPLE.com"]),
    ("xn--bcher-kva.example.com", ["*.example.com"]),
    ("xn--bcher-kva.example", ["xn--bcher-kva.example"]),
    ("foo_bar.example.com", ["foo_bar.example.com"]),
    ("localhost", ["localhost"]),
    ("192.0.2.1", ["IP:192.0.2.1"]),
    ("2001:db8::1", ["IP:2001:db8::1"]),
    ("2001:DB8:0::1", ["IP:2001:db8::1"]),
]
MISMATCHES = [
    ("www.example.com", ["example.com"], "name-not-in-san"),
    ("www.example.com", ["w*.example.com"], "name-not-in-san"),
    ("www.example.com", ["*w.example.com"], "name-not-in-san"),
    ("www.example.com", ["www.*.com"], "name-not-in-san"),
    ("www.example.com", ["*.*.com"], "name-not-in-san"),
    ("www.example.com", ["*"], "name-not-in-san"),
    ("example.com", ["*.com"], "name-not-in-san"),
    ("www.example.com", ["www.example.com."], "name-not-in-san"),
    ("www.example.com", [" www.example.com"], "name-not-in-san"),
    ("www.example.com", ["www.example.com\0.evil.example"], "name-not-in-san"),
    ("a.b.example.com", ["*.example.com"], "wildcard-depth"),
    ("a.b.c.example.com", ["*.example.com"], "wildcard-depth"),
    ("example.com", ["*.example.com"], "wildcard-depth"),
    ("notexample.com", ["*.example.com"], "name-not-in-san"),
    (".example.com", ["*.example.com"], "wildcard-depth"),
    ("192.0.2.1", ["192.0.2.1"], "name-not-in-san"),
    ("192.0.2.1", ["IP:192.0.2.2"], "name-not-in-san"),
    ("::ffff:192.0.2.1", ["IP:192.0.2.1"], "name-not-in-san"),
    ("192.0.2.1", ["*.0.2.1"], "name-not-in-san"),
]


@pytest.mark.parametrize(("wanted", "san"), MATCHES)
def test_names_match_label_by_label(wanted: str, san: list[str]) -> None:
    verdict = match_name(pki.certificate(san=san).parsed, wanted)
    assert verdict.matches and verdict.code is None
    assert verdict.matched_by is not None


@pytest.mark.parametrize(("wanted", "san", "code"), MISMATCHES)
def test_names_that_do_not_match_have_a_code(wanted: str, san: list[str], code: str) -> None:
    verdict = match_name(pki.certificate(san=san).parsed, wanted)
    assert not verdict.matches
    assert verdict.code == code
    assert verdict.names == 1


@pytest.mark.parametrize(
    ("common_name", "wanted"), [("a.example", "a.example"), ("192.0.2.1", "192.0.2.1"), ("*.b.example", "x.b.example")]
)
def test_a_matching_common_name_without_a_san_is_reported(common_name: str, wanted: str) -> None:
    verdict = match_name(pki.certificate(common_name, without=["san"]).parsed, wanted)
    assert (verdict.matches, verdict.code, verdict.common_name) == (False, "common-name-only", common_name)


def test_common_name_counts_for_nothing_beside_a_san() -> None:
    verdict = match_name(pki.certificate("a.example", san=["b.example"]).parsed, "a.example")
    assert verdict.code == "name-not-in-san"


def test_nearest_shows_the_slip_and_the_neighbours_first() -> None:
    names = ("zzz.test", "mail.example.com", "wwww.example.com", "example.org", "www.exmaple.com")
    assert nearest_names(names, "www.example.com")[:2] == ("wwww.example.com", "mail.example.com")
    assert nearest_names((), "x") == ()


def test_of_thousands_of_names_only_the_first_ones_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = pki.certificate(san=[f"host{number}.example{number % 7}.test" for number in range(10_000)]).parsed
    compared: list[str] = []
    likeness = hostname._likeness

    def counted(name: str, wanted: str, labels: list[str]) -> tuple[int, int]:
        compared.append(name)
        return likeness(name, wanted, labels)

    monkeypatch.setattr(hostname, "_likeness", counted)
    verdict = match_name(certificate, "host5.example9.test")
    assert len(compared) == NEAREST_EXAMINED
    assert not verdict.matches
    assert verdict.names == 10_000
    assert len(verdict.nearest) == NEAREST_SHOWN


def test_a_name_of_enormous_length_is_shown_cut() -> None:
    verdict = match_name(pki.certificate(san=["a" * 100_000]).parsed, "a.example")
    assert len(verdict.nearest[0]) < 300


def test_entry_for_finds_exact_names_and_wildcards() -> None:
    presented = ("www.example.com", "*.example.com", "*.com", "UPPER.example.net")
    for name, entry in (
        ("www.example.com", "www.example.com"),
        ("WWW.example.com.", "www.example.com"),
        ("other.example.com", "*.example.com"),
        ("example.com", None),
        ("upper.example.net", None),
        (".example.com", None),
        ("", None),
    ):
        assert entry_for(presented, name) == entry
    certificate = pki.certificate("www.example.com", san=["www.example.com", "*.example.com"]).parsed
    assert match_name(certificate, "x.example.com") == matched(certificate, "*.example.com")


EVERYBODY = {"openssl", "curl", "python", "node", "go", "java", "chrome", "firefox", "gnutls"}


@pytest.mark.parametrize(
    ("wanted", "san", "accepting"),
    [
        ("abc.example.com", "a*.example.com", {"openssl", "node", "java"}),
        ("abc.example.com", "*bc.example.com", {"openssl", "node", "java", "gnutls"}),
        ("abc.example.com", "a*c.example.com", {"node", "java"}),
        ("xn--abc.example.com", "xn--*.example.com", {"java"}),
        ("shop.com", "*.com", {"go", "java"}),
        ("shop.com", "s*.com", {"java"}),
        ("abc.example.com", "a*b*.example.com", {"java"}),
        ("192.0.2.1", "IP:::ffff:192.0.2.1", {"go", "java"}),
    ],
)
def test_names_that_only_some_clients_match(wanted: str, san: str, accepting: set[str]) -> None:
    verdict = match_name(pki.certificate("x", san=["other.example", san]).parsed, wanted)
    assert not verdict.matches and verdict.code == "name-not-in-san" and verdict.reason
    assert EVERYBODY - set(verdict.refused_by) == accepting


@pytest.mark.parametrize(
    ("wanted", "san"),
    [
        ("abc.example.com", "b*.example.com"),
        ("abc.example.com", "ab*bc.example.com"),
        ("a.b.example.com", "a*.example.com"),
        ("abc.example.org", "a*.example.com"),
        ("a.b.com", "*.com"),
        ("a.b.example.com", "a.*.example.com"),
        ("a.b.example.com", "*.*.example.com"),
        ("intranet", "*"),
        (".example.com", "*.*.com"),
        ("192.0.2.1", "IP:::ffff:192.0.2.2"),
    ],
)
def test_names_that_no_client_matches(wanted: str, san: str) -> None:
    verdict = match_name(pki.certificate("x", san=[san]).parsed, wanted)
    assert not verdict.matches and verdict.refused_by == ()


@pytest.mark.parametrize(
    ("wanted", "san", "refusing"),
    [
        ("shop.co.uk", "*.co.uk", ("chrome",)),
        ("shop.github.io", "*.github.io", ()),
        ("a.shop.co.uk", "*.shop.co.uk", ()),
        ("a_b.example.com", "*.example.com", ("openssl", "python")),
        ("a.e_f.example.com", "*.e_f.example.com", ("openssl", "python")),
        ("a_b.co.uk", "*.co.uk", ("openssl", "python", "chrome")),
        ("a_b.example.com", "a_b.example.com", ()),
    ],
)
def test_wildcards_that_match_for_most_clients(wanted: str, san: str, refusing: tuple[str, ...]) -> None:
    verdict = match_name(pki.certificate("x", san=[san]).parsed, wanted)
    assert verdict.matches and verdict.matched_by == san
    assert verdict.refused_by == refusing and (verdict.code is not None) is bool(refusing)


def test_thousands_of_odd_wildcards_are_compared_in_linear_time() -> None:
    names = ["*" * 60 + f".{number}.example" for number in range(NEAREST_EXAMINED + 10)]
    verdict = match_name(pki.certificate("x", san=[*names]).parsed, "a" * 60 + ".9999999.example")
    assert not verdict.matches and verdict.refused_by == ()
