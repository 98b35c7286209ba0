"""Name constraints (RFC 5280 section 4.2.1.10), by type."""

from __future__ import annotations

import pytest

from scanner.trust.certificate_rules import constraint_problems
from scanner.trust.paths import constrained_names
from scanner.x509.name_constraints import (
    EVERYBODY,
    MAX_SUBTREES,
    MAX_TEXT,
    ConstrainedNames,
    NameConstraints,
    Violation,
)
from tests.helpers import pki
from tests.helpers.pki import name, network, sequence, tlv


def authority(**sides: object) -> NameConstraints:
    parsed = pki.root("CA", extra=[pki.name_constraints(**sides)]).parsed  # type: ignore[arg-type]
    parsed.load_constraints()
    assert parsed.flaws == ()
    assert parsed.name_constraints is not None
    return parsed.name_constraints


def words(found: Violation | None) -> str:
    return "" if found is None else found.name


def leaf(*san: str | bytes, subject: bytes | None = None) -> ConstrainedNames:
    issued = pki.certificate(subject if subject is not None else pki.name(), san=san, private=pki.key("leaf"))
    return constrained_names(issued.parsed)


@pytest.mark.parametrize(
    ("sides", "san", "allowed"),
    [
        ({"permitted": ["example.com"]}, "example.com", True),
        ({"permitted": ["example.com"]}, "A.EXAMPLE.com", True),
        ({"permitted": ["EXAMPLE.com"]}, "a.b.example.com", True),
        ({"permitted": ["example.com"]}, "*.example.com", True),
        ({"permitted": ["example.com"]}, "notexample.com", False),
        ({"permitted": ["a.example.com"]}, "*.example.com", False),
        ({"permitted": [".example.com"]}, "a.example.com", True),
        ({"permitted": [".example.com"]}, "example.com", False),
        ({"excluded": [tlv(0x82)]}, "anything.test", False),
        ({"excluded": ["example.com"]}, "example.com", False),
        ({"excluded": ["example.com"]}, "a.example.com", False),
        ({"excluded": ["a.example.com"]}, "*.example.com", False),
        ({"excluded": ["a.b.example.com"]}, "*.example.com", True),
        ({"excluded": ["example.com"]}, "example.org", True),
        ({"permitted": ["example.com"], "excluded": ["bad.example.com"]}, "good.example.com", True),
        ({"permitted": ["example.com"], "excluded": ["bad.example.com"]}, "x.bad.example.com", False),
        ({"permitted": ["example.com"]}, "a..example.com", False),
        ({"permitted": ["example.com"]}, "-\x1b.example.com", False),
        ({"permitted": [network("192.0.2.0/24")]}, "IP:192.0.2.77", True),
        ({"permitted": [network("192.0.2.0/24")]}, "IP:192.0.3.1", False),
        ({"permitted": [network("192.0.2.0/24")]}, "IP:2001:db8::1", False),
        ({"permitted": [network("192.0.2.0/24")]}, "example.com", True),
        ({"permitted": ["example.com"]}, "IP:192.0.2.1", True),
        ({"excluded": [network("2001:db8::/32")]}, "IP:2001:db8::1", False),
        ({"excluded": [network("0.0.0.0/0")]}, "IP:192.0.2.1", False),
        ({"permitted": ["email:example.com"]}, "email:a@example.com", True),
        ({"permitted": ["email:.example.com"]}, "email:a@b.example.com", True),
        ({"permitted": ["email:a@example.com"]}, "email:a@EXAMPLE.com", True),
        ({"permitted": ["email:a@example.com"]}, "email:b@example.com", False),
        ({"permitted": ["URI:example.com"]}, "URI:https://example.org/", False),
        ({"permitted": ["URI:example.com"]}, "URI:mailto:x", False),
    ],
)
def test_names_within_the_constraints_are_allowed(sides: dict[str, list[str | bytes]], san: str, allowed: bool) -> None:
    broken = authority(**sides).violation(leaf(san))
    assert (broken is None) is allowed, broken


def test_a_uri_within_its_constraint_is_refused_by_who_does_not_understand_that_type() -> None:
    inside = leaf("URI:https://u@example.com:8443/x?y")
    broken = authority(permitted=["URI:example.com"]).violation(inside)
    assert broken is not None and broken.refused_by == ("chrome", "firefox")
    broken = authority(excluded=["URI:example.org"]).violation(inside)
    assert broken is not None and broken.refused_by == ("chrome", "firefox", "gnutls")
    outside = authority(permitted=["URI:example.org"]).violation(inside)
    assert outside is not None and outside.refused_by is not None
    assert set(EVERYBODY) - set(outside.refused_by) == {"gnutls"}


def test_an_empty_domain_holds_every_name_and_is_too_much_for_java() -> None:
    constraints = authority(permitted=[tlv(0x82)])
    assert constraints.violation(leaf("anything.test")) == Violation(
        "any dNSName, under an empty constraint", ("java",)
    )
    assert constraints.violation(leaf("IP:192.0.2.1", subject=name(O="x"))) is None


@pytest.mark.parametrize(
    ("sides", "san", "refusing"),
    [
        # to Go a domain holds what is under it too
        ({"permitted": ["email:example.com"]}, "email:a@b.example.com", set(EVERYBODY) - {"go"}),
        ({"excluded": ["email:example.com"]}, "email:a@b.example.com", {"go"}),
        ({"excluded": ["email:.example.com"]}, "email:a@b.example.com", set(EVERYBODY)),
        ({"excluded": ["email:.example.com"]}, "email:a@example.com", set()),
        ({"excluded": ["URI:example.com"]}, "URI:https://b.example.com/", {"go", "chrome", "firefox", "gnutls"}),
        (
            {"permitted": ["URI:example.com"]},
            "URI:https://b.example.com/",
            {"openssl", "curl", "python", "java", "chrome", "firefox"},
        ),
        # and it matches no URI without the name of a host
        ({"excluded": ["example.org"]}, "URI:https://192.0.2.1/", {"go"}),
        ({"excluded": ["example.org"]}, "URI:mailto:x", {"go"}),
        ({"excluded": ["URI:example.org"]}, "URI:mailto:x", set(EVERYBODY)),
    ],
)
def test_mailboxes_and_uris_for_each_client(sides: dict[str, list[str | bytes]], san: str, refusing: set[str]) -> None:
    broken = authority(**sides).violation(leaf(san))
    found = set() if broken is None else set(EVERYBODY if broken.refused_by is None else broken.refused_by)
    assert found == refusing


def test_types_that_are_not_understood_refuse_only_who_carries_them() -> None:
    registered = tlv(0x88, b"\x2a\x03")
    constraints = authority(excluded=[tlv(0x88, b"\x2a\x04")])
    assert constraints.violation(leaf("a.example")) == Violation(
        "any name, under a constraint of registered identifiers", ("gnutls",)
    )
    assert "registeredID" in words(constraints.violation(leaf("a.example", registered)))


def test_directory_names_are_compared_without_regard_to_spelling() -> None:
    base = tlv(0xA4, name(C="DE", O="Good  Company"))
    permitted, excluded = authority(permitted=[base]), authority(excluded=[base])
    inside = leaf("a.example", subject=name(C="DE", O="good company", CN="x"))
    outside = leaf("a.example", subject=name(C="DE", O="Bad Company"))
    assert permitted.violation(inside) is None and words(excluded.violation(inside)) == "directoryName"
    assert words(permitted.violation(outside)) == "directoryName"
    # whatever the name is, these two refuse it
    assert excluded.violation(outside) == Violation("the subject", ("firefox", "gnutls"))
    assert permitted.violation(leaf("a.example", subject=pki.sequence())) == Violation("the subject", ("firefox",))
    carried = leaf("a.example", tlv(0xA4, name(C="FR")))
    assert words(permitted.violation(carried)) == "directoryName"


def test_minimum_and_maximum_are_refused_where_they_apply() -> None:
    bounded = tlv(0x82, b"example.com") + tlv(0x80, b"\x01")
    parsed = pki.root("CA", extra=[pki.name_constraints(permitted=[bounded])]).parsed
    assert parsed.flaws == ("nameConstraints: a subtree with a minimum or maximum",)
    constraints = parsed.name_constraints
    assert constraints is not None
    broken = constraints.violation(leaf("a.example.com"))
    assert broken is not None and broken.refused_by == ("openssl", "curl", "python", "java")
    elsewhere = constraints.violation(leaf("IP:192.0.2.1"))
    assert elsewhere is not None and elsewhere.refused_by == ("java",)


@pytest.mark.parametrize(
    "value",
    [
        sequence(),
        sequence(tlv(0xA0)),
        sequence(tlv(0xA2)),
        sequence(tlv(0xA0, tlv(0x04))),
        sequence(tlv(0xA0, sequence(tlv(0x82, b"*.example.com")))),
        sequence(tlv(0xA0, sequence(tlv(0x82, b"\xff")))),
        sequence(tlv(0xA0, sequence(tlv(0x87, b"\1\2\3\4")))),
        sequence(tlv(0xA0, sequence(tlv(0x82, b"example.com.")))),
        sequence(tlv(0xA0, sequence(tlv(0x82, b"example.com"), tlv(0x80, b"\0")))),
        sequence(tlv(0xA0, sequence(tlv(0x87, bytes([192, 0, 2, 0, 255, 0, 255, 0]))))),
    ],
)
def test_malformed_constraints_are_flaws(value: bytes) -> None:
    parsed = pki.root("CA", extra=[pki.extension("2.5.29.30", value)]).parsed
    assert any("nameConstraints" in flaw for flaw in parsed.flaws)


class CountedDomains(set[str]):
    """Counts how often it is looked into."""

    looked = 0

    def __contains__(self, item: object) -> bool:
        self.looked += 1
        return super().__contains__(item)


def test_lookups_do_not_grow_with_the_product_of_names_and_constraints() -> None:
    domains = authority(excluded=[f"x{number}.test" for number in range(2000)])
    counted = domains.excluded.domains = CountedDomains(domains.excluded.domains)
    assert domains.violation(leaf(*[f"y{number}.test" for number in range(2000)])) is None
    assert counted.looked <= 3 * 2000


def test_adjoining_and_nested_networks_are_one_interval() -> None:
    constraints = authority(
        excluded=[
            network(text) for text in ("10.0.1.0/24", "10.0.0.0/8", "10.2.3.4/32", "192.0.2.0/25", "2001:db8::/32")
        ]
    )
    for inside in ("10.0.0.0", "10.255.255.255", "10.2.3.4", "192.0.2.0", "192.0.2.127", "2001:db8::"):
        assert constraints.violation(leaf(f"IP:{inside}")) == Violation(f"iPAddress {inside}")
    for outside in ("9.255.255.255", "11.0.0.0", "192.0.2.128", "192.0.1.255", "2001:db9::", "::"):
        assert constraints.violation(leaf(f"IP:{outside}")) is None


def test_one_name_a_thousand_times_is_read_once() -> None:
    carried = tlv(0xA4, name(CN="same"))
    assert len(leaf("a.example", *[carried] * 1000).directories) == 1


def test_texts_longer_than_any_host_name_are_refused_under_a_constraint_of_their_type() -> None:
    dots = "URI:https://" + "." * MAX_TEXT + "/"
    assert "longer" in words(authority(excluded=["URI:example.com"]).violation(leaf(dots)))
    assert authority(excluded=["example.com"]).violation(leaf(dots)) is None


def test_long_constraints_are_read_when_they_are_asked_for() -> None:
    many = [f"x{number}.test" for number in range(100)]
    parsed = pki.root("CA", extra=[pki.name_constraints(excluded=many)]).parsed
    assert parsed.name_constraints is not None and parsed.name_constraints.count == 0
    parsed.load_constraints()
    assert parsed.name_constraints.count == 100
    broken = pki.root("CA", extra=[pki.name_constraints(excluded=[*many, tlv(0x82, b"\xff")])]).parsed
    assert not broken.flaws
    broken.load_constraints()
    assert broken.name_constraints is None
    assert list(broken.flaws) == ["nameConstraints: a dNSName that is not ASCII"]


def test_more_subtrees_than_are_read_are_reported() -> None:
    parsed = pki.root(
        "CA", extra=[pki.name_constraints(permitted=[f"x{n}.test" for n in range(MAX_SUBTREES + 5)])]
    ).parsed
    parsed.load_constraints()
    assert parsed.name_constraints is not None
    assert (parsed.name_constraints.cut, parsed.name_constraints.count) == (True, MAX_SUBTREES)
    below = pki.certificate("x9.test", issuer=pki.root("CA")).parsed
    (problem,) = constraint_problems(parsed, below, lambda authority, lower: Violation("not asked"))
    assert problem.code == "too-costly-to-judge"
