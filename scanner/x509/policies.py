"""Reads the extensions of certificate policies (RFC 5280 sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14).

Each reader takes the content of extnValue and raises only ``DerError``. Policies are the content bytes of their OIDs.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from scanner.x509 import der
from scanner.x509.extensions import OIDS

CERTIFICATE_POLICIES: Final = OIDS["certificatePolicies"]
POLICY_MAPPINGS: Final = OIDS["policyMappings"]
POLICY_CONSTRAINTS: Final = OIDS["policyConstraints"]
INHIBIT_ANY_POLICY: Final = OIDS["inhibitAnyPolicy"]
ANY_POLICY: Final = der.encoded_oid("2.5.29.32.0")

# id-qt-cps and id-qt-unotice (RFC 5280 section 4.2.1.4)
_QUALIFIERS: Final = frozenset({der.encoded_oid("1.3.6.1.5.5.7.2.1"), der.encoded_oid("1.3.6.1.5.5.7.2.2")})
# Policies and mappings read of one certificate: those of bridge CAs have some thirty.
MAX_POLICIES: Final = 1024
_REQUIRE_EXPLICIT: Final = 0x80
_INHIBIT_MAPPING: Final = 0x81


class PolicyConstraints(Struct, frozen=True):
    """policyConstraints: after how many certificates a policy is required, and mappings are inhibited."""

    require_explicit: int | None = None
    inhibit_mapping: int | None = None


def certificate_policies_untrusted(value: bytes) -> tuple[bytes, ...]:
    """Read certificatePolicies: the policies in their order, without their qualifiers.

    Of more than ``MAX_POLICIES`` the last one is anyPolicy, so that nothing follows from those that were not read.
    """
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "certificatePolicies")
    found: list[bytes] = []
    while start < stop:
        if len(found) == MAX_POLICIES:
            return (*dict.fromkeys(found), ANY_POLICY)
        at, end = der.expect_untrusted(value, start, stop, der.SEQUENCE, "certificatePolicies")
        oid_start, oid_stop = der.expect_untrusted(value, at, end, der.OID, "certificatePolicies")
        found.append(value[oid_start:oid_stop])
        start = end
    return tuple(found)


def has_unknown_qualifier(value: bytes) -> bool:
    """Return whether certificatePolicies has a qualifier that is neither a CPS pointer nor a user notice."""
    try:
        start, stop = der.whole_untrusted(value, der.SEQUENCE, "certificatePolicies")
        for _, at, end in der.children_untrusted(value, start, stop)[:MAX_POLICIES]:
            _, oid_stop = der.expect_untrusted(value, at, end, der.OID, "certificatePolicies")
            for _, first, last in der.children_untrusted(value, oid_stop, end):
                for _, low, high in der.children_untrusted(value, first, last):
                    oid_start, oid_end = der.expect_untrusted(value, low, high, der.OID, "certificatePolicies")
                    if value[oid_start:oid_end] not in _QUALIFIERS:
                        return True
    except der.DerError:
        pass  # said by ``certificate_policies_untrusted``
    return False


def policy_mappings_untrusted(value: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Read policyMappings: (issuerDomainPolicy, subjectDomainPolicy) each, at most ``MAX_POLICIES``."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "policyMappings")
    found: list[tuple[bytes, bytes]] = []
    while start < stop and len(found) < MAX_POLICIES:
        at, end = der.expect_untrusted(value, start, stop, der.SEQUENCE, "policyMappings")
        issuer_start, issuer_stop = der.expect_untrusted(value, at, end, der.OID, "policyMappings")
        subject_start, subject_stop = der.expect_untrusted(value, issuer_stop, end, der.OID, "policyMappings")
        found.append((value[issuer_start:issuer_stop], value[subject_start:subject_stop]))
        start = end
    return tuple(found)


def policy_constraints_untrusted(value: bytes) -> PolicyConstraints:
    """Read policyConstraints."""
    start, stop = der.whole_untrusted(value, der.SEQUENCE, "policyConstraints")
    fields: dict[int, int] = {}
    for tag, at, end in der.children_untrusted(value, start, stop):
        if tag not in (_REQUIRE_EXPLICIT, _INHIBIT_MAPPING):
            raise der.DerError(f"policyConstraints: tag 0x{tag:02x}")
        fields[tag] = _skip_untrusted(value, at, end)
    return PolicyConstraints(fields.get(_REQUIRE_EXPLICIT), fields.get(_INHIBIT_MAPPING))


def inhibit_any_untrusted(value: bytes) -> int:
    """Read inhibitAnyPolicy: after how many certificates anyPolicy means no policy."""
    start, stop = der.whole_untrusted(value, der.INTEGER, "inhibitAnyPolicy")
    return _skip_untrusted(value, start, stop)


def _skip_untrusted(value: bytes, start: int, stop: int) -> int:
    if start == stop:
        raise der.DerError("a number of certificates without a byte")
    return int.from_bytes(value[start:stop], "big", signed=True)
