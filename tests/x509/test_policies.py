"""Reading the extensions of certificate policies (RFC 5280)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scanner.x509 import der, policies
from scanner.x509.policies import ANY_POLICY, MAX_POLICIES, PolicyConstraints
from tests.helpers.pki import integer, octets, oid, sequence, tlv

ONE, TWO = der.encoded_oid("1.2.3.4"), der.encoded_oid("1.2.3.5")


def test_policies_are_in_their_order_without_qualifiers() -> None:
    qualified = sequence(oid("1.2.3.5"), sequence(sequence(oid("1.3.6.1.5.5.7.2.1"), tlv(0x16, b"http://cps.example"))))
    value = sequence(qualified, sequence(oid("1.2.3.4")), sequence(oid("2.5.29.32.0")))
    assert policies.certificate_policies_untrusted(value) == (TWO, ONE, ANY_POLICY)
    assert policies.certificate_policies_untrusted(sequence()) == ()


def test_of_too_many_policies_nothing_follows() -> None:
    value = sequence(*(sequence(oid(f"1.2.3.{number}")) for number in range(MAX_POLICIES + 5)))
    found = policies.certificate_policies_untrusted(value)
    assert len(found) == MAX_POLICIES + 1 and found[-1] == ANY_POLICY
    mapped = sequence(*[sequence(oid("1.2.3.4"), oid("1.2.3.5"))] * (MAX_POLICIES + 5))
    assert len(policies.policy_mappings_untrusted(mapped)) == MAX_POLICIES


def test_mappings_are_pairs() -> None:
    value = sequence(sequence(oid("1.2.3.4"), oid("1.2.3.5")), sequence(oid("1.2.3.5"), oid("1.2.3.4")))
    assert policies.policy_mappings_untrusted(value) == ((ONE, TWO), (TWO, ONE))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (sequence(), PolicyConstraints()),
        (sequence(tlv(0x80, b"\0")), PolicyConstraints(0)),
        (sequence(tlv(0x81, b"\3")), PolicyConstraints(None, 3)),
        (sequence(tlv(0x80, b"\1"), tlv(0x81, b"\1\0")), PolicyConstraints(1, 256)),
        (sequence(tlv(0x80, b"\xff")), PolicyConstraints(-1)),
    ],
)
def test_policy_constraints(value: bytes, expected: PolicyConstraints) -> None:
    assert policies.policy_constraints_untrusted(value) == expected


def test_inhibit_any_policy() -> None:
    assert policies.inhibit_any_untrusted(integer(0)) == 0
    assert policies.inhibit_any_untrusted(integer(1 << 40)) == 1 << 40


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        (policies.certificate_policies_untrusted, b"\x05\0"),
        (policies.certificate_policies_untrusted, sequence(oid("1.2.3.4"))),
        (policies.certificate_policies_untrusted, sequence(sequence(octets(b"x")))),
        (policies.certificate_policies_untrusted, sequence() + b"\0"),
        (policies.policy_mappings_untrusted, sequence(sequence(oid("1.2.3.4")))),
        (policies.policy_constraints_untrusted, sequence(tlv(0x82, b"\0"))),
        (policies.policy_constraints_untrusted, sequence(tlv(0x80, b""))),
        (policies.inhibit_any_untrusted, octets(b"\0")),
        (policies.inhibit_any_untrusted, b"\x02\0"),
        (policies.inhibit_any_untrusted, b""),
    ],
)
def test_what_is_malformed_is_an_error(reader: Callable[[bytes], object], value: bytes) -> None:
    with pytest.raises(der.DerError):
        reader(value)
