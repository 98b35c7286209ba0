"""Certificate policies (RFC 5280 section 6.1), which Go, Java, Chrome and GnuTLS process and OpenSSL and Firefox do not.

Policies matter to TLS in one case only: some certificate of the path demands one (requireExplicitPolicy), and none is
valid for the whole path. No client asks for a policy of its own, so the valid_policy_tree of the RFC, whose size is a
product, need not be built: it is enough to know which policies are expected of the next certificate. Where that set is
empty, the tree is NULL.

A list of policies that is malformed or has one policy twice is refused by Go and Chrome wherever it is. All of this
was seen with the versions that ``docs/clients.md`` names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.trust.verdicts import Problem
from scanner.x509 import der
from scanner.x509.certificate import Certificate
from scanner.x509.policies import (
    ANY_POLICY,
    CERTIFICATE_POLICIES,
    INHIBIT_ANY_POLICY,
    POLICY_CONSTRAINTS,
    POLICY_MAPPINGS,
    PolicyConstraints,
    certificate_policies_untrusted,
    has_unknown_qualifier,
    inhibit_any_untrusted,
    policy_constraints_untrusted,
    policy_mappings_untrusted,
)

# Extensions that may leave a path without a valid policy
DEMANDING: Final = (POLICY_CONSTRAINTS, POLICY_MAPPINGS)
_PROCESSING: Final = ("go", "java", "chrome")
# A CA's list of policies has up to a hundred bytes, and one list serves all its certificates.
_LISTS: Final = 1024
_LONGEST_LIST: Final = 512
# Chrome keeps numbers of certificates in a byte, Java in 31 bits.
_CHROME_MOST: Final = 0xFF
_JAVA_MOST: Final = 0x7FFFFFFF
_MAPS_ANY: Final = "it maps a policy from or to anyPolicy"
_DOTTED: Final = "2.5.29.32"
_NO_CONSTRAINTS: Final = PolicyConstraints()
_EVERY_POLICY: Final[tuple[bytes, ...]] = (ANY_POLICY,)
_NO_POLICIES: Final[tuple[bytes, ...]] = ()
_NO_MAPPINGS: Final[tuple[tuple[bytes, bytes], ...]] = ()

_T = TypeVar("_T")


def is_demanding(certificate: Certificate) -> bool:
    """Return whether a path through this certificate must be checked with ``policy_problem``."""
    listed = certificate.extensions
    return POLICY_CONSTRAINTS in listed or POLICY_MAPPINGS in listed


def list_problems(certificate: Certificate) -> list[Problem]:
    """Return what is wrong with the policy extensions of one certificate, wherever it is."""
    listed = certificate.extensions
    problems = []
    for oid, flaw_of in _FLAWS:
        if oid in listed:
            reason, clients = flaw_of(listed[oid][1])
            if clients:
                problems.append(_malformed(certificate, reason, clients))
    if CERTIFICATE_POLICIES in certificate.critical and has_unknown_qualifier(listed[CERTIFICATE_POLICIES][1]):
        evidence = {"subject": certificate.subject, "extensions": [_DOTTED], "refused_by": ["java", "chrome"]}
        problems.append(Problem("unknown-critical-extension", certificate.sha256, evidence))
    return problems


def policy_problem(path: Sequence[Certificate]) -> Problem | None:
    """Return ``policy-not-satisfied`` where policies are demanded and none is valid for ``path`` (leaf first, anchor last)."""
    below, anchor = path[:-1], path[-1]
    broken = first_without_policy(below)
    if broken is not None:
        return _unsatisfied(*broken, _PROCESSING)
    # Chrome looks at mappings even where no policy is left that they could map.
    for certificate in below[1:]:
        if any(
            ANY_POLICY in pair for pair in _read(certificate, POLICY_MAPPINGS, policy_mappings_untrusted, _NO_MAPPINGS)
        ):
            return _unsatisfied(certificate, _MAPS_ANY, ("chrome",))
    demands = _demands_of(anchor)
    if demands is not None and (broken := first_without_policy(below, demands)) is not None:
        return _unsatisfied(*broken, ("chrome",))
    return None


def _demands_of(anchor: Certificate) -> PolicyInputs | None:
    """Return what an anchor demands of the path below it; ``None`` if it has no policy extensions at all."""
    if not any(oid in anchor.extensions for oid in _POLICY_EXTENSIONS):
        return None
    policies = set(_read(anchor, CERTIFICATE_POLICIES, certificate_policies_untrusted, _EVERY_POLICY))
    policies = _mapped(policies, _read(anchor, POLICY_MAPPINGS, policy_mappings_untrusted, _NO_MAPPINGS), allowed=True)
    constraints = _read(anchor, POLICY_CONSTRAINTS, policy_constraints_untrusted, _NO_CONSTRAINTS)
    inhibit_any = _read(anchor, INHIBIT_ANY_POLICY, inhibit_any_untrusted, None)
    return PolicyInputs(frozenset(policies), constraints.require_explicit, constraints.inhibit_mapping, inhibit_any)


def steps_to_check(path: Sequence[Certificate]) -> int:
    """Return the cost of ``policy_problem``, in steps of ``scanner.trust.step_budget``."""
    sizes = [
        len(value)
        for certificate in path
        for oid in _POLICY_EXTENSIONS
        if (value := certificate.extension(oid)) is not None
    ]
    return 8 * len(path) + sum(sizes) // 4


# --- one path ------------------------------------------------------------------------------------

_POLICY_EXTENSIONS: Final = (CERTIFICATE_POLICIES, POLICY_MAPPINGS, POLICY_CONSTRAINTS, INHIBIT_ANY_POLICY)


class PolicyInputs(Struct, frozen=True):
    """What holds before the first certificate of a path: valid policies, and after how many certificates more is demanded.

    They are inputs (c) to (f) of RFC 5280 section 6.1.1. No TLS client sets any; Chrome takes them from the anchor.
    """

    policies: frozenset[bytes] = frozenset({ANY_POLICY})
    explicit: int | None = None
    inhibit_mapping: int | None = None
    inhibit_any: int | None = None


_DEFAULTS: Final = PolicyInputs()


def first_without_policy(
    path: Sequence[Certificate], given: PolicyInputs = _DEFAULTS
) -> tuple[Certificate, str] | None:
    """Return the certificate at which no valid policy is left though one is demanded, and why.

    ``path`` is the leaf first, and without the trust anchor.
    """
    expected = set(given.policies)
    many = len(path) + 1
    explicit, mapping, inhibit_any = [
        _lower(many, after) for after in (given.explicit, given.inhibit_mapping, given.inhibit_any)
    ]
    last_with_policies = path[-1]
    for place, certificate in enumerate(reversed(path)):
        is_leaf = place == len(path) - 1
        if expected:
            counts = inhibit_any > 0 or (not is_leaf and certificate.self_issued)
            expected = _expected_after(certificate, expected, any_counts=counts)
            if not expected:
                last_with_policies = certificate
        constraints = _read(certificate, POLICY_CONSTRAINTS, policy_constraints_untrusted, _NO_CONSTRAINTS)
        if is_leaf:
            explicit = 0 if constraints.require_explicit == 0 else max(0, explicit - 1)
        if explicit == 0 and not expected:
            return last_with_policies, "a policy is demanded, and no policy is valid for all certificates of the path"
        if is_leaf:
            break
        mappings = _read(certificate, POLICY_MAPPINGS, policy_mappings_untrusted, _NO_MAPPINGS)
        if expected and mapping > 0 and any(ANY_POLICY in pair for pair in mappings):
            return certificate, _MAPS_ANY
        expected = _mapped(expected, mappings, allowed=mapping > 0)
        if not certificate.self_issued:
            explicit, mapping, inhibit_any = max(0, explicit - 1), max(0, mapping - 1), max(0, inhibit_any - 1)
        explicit = _lower(explicit, constraints.require_explicit)
        mapping = _lower(mapping, constraints.inhibit_mapping)
        inhibit_any = _lower(inhibit_any, _read(certificate, INHIBIT_ANY_POLICY, inhibit_any_untrusted, None))
    return None


def _expected_after(certificate: Certificate, expected: set[bytes], *, any_counts: bool) -> set[bytes]:
    """Return the policies that are valid down to ``certificate``, of those ``expected`` of it."""
    policies = _read(certificate, CERTIFICATE_POLICIES, certificate_policies_untrusted, _NO_POLICIES)
    valid = {policy for policy in policies if policy != ANY_POLICY and (policy in expected or ANY_POLICY in expected)}
    if any_counts and ANY_POLICY in policies:
        valid |= expected
    return valid


def _mapped(valid: set[bytes], mappings: Sequence[tuple[bytes, bytes]], *, allowed: bool) -> set[bytes]:
    """Return the policies that are expected of the next certificate."""
    if not mappings or not valid:
        return valid
    issuing = {issuer for issuer, _ in mappings}
    expected = valid - issuing
    if allowed:
        expected |= {subject for issuer, subject in mappings if issuer in valid or ANY_POLICY in valid}
    return expected


def _lower(count: int, other: int | None) -> int:
    return count if other is None or other < 0 else min(count, other)


def _read(certificate: Certificate, oid: bytes, reader: Callable[[bytes], _T], absent: _T) -> _T:
    value = certificate.extension(oid)
    try:
        return absent if value is None else reader(value)
    except der.DerError:
        return absent


def _unsatisfied(certificate: Certificate, reason: str, clients: Sequence[str]) -> Problem:
    evidence: dict[str, Any] = {"subject": certificate.subject, "reason": reason, "refused_by": list(clients)}
    return Problem("policy-not-satisfied", certificate.sha256, evidence)


# --- one certificate -------------------------------------------------------------------------------

_Flaw = tuple[str, tuple[str, ...]]
_SOUND: Final[_Flaw] = ("", ())


@bounded_memo(_LISTS, _LONGEST_LIST)
def _list_flaw(value: bytes) -> _Flaw:
    try:
        policies = certificate_policies_untrusted(value)
    except der.DerError as error:
        return str(error), ("go", "chrome")
    if not policies:
        return "certificatePolicies lists no policy", ("chrome",)
    if len(set(policies)) < len(policies):
        twice = max(policies, key=Counter(policies).__getitem__)
        return f"certificatePolicies lists the policy {der.oid_untrusted(twice)} twice", ("go", "chrome")
    return _SOUND


def _constraints_flaw(value: bytes) -> _Flaw:
    try:
        constraints = policy_constraints_untrusted(value)
    except der.DerError as error:
        return str(error), ("go", "chrome")
    numbers = [item for item in (constraints.require_explicit, constraints.inhibit_mapping) if item is not None]
    if not numbers:
        return "policyConstraints demands nothing", ("chrome",)
    return _number_flaw("policyConstraints", numbers)


def _inhibit_flaw(value: bytes) -> _Flaw:
    try:
        skip = inhibit_any_untrusted(value)
    except der.DerError as error:
        return str(error), ("go", "chrome")
    reason, clients = _number_flaw("inhibitAnyPolicy", [skip])
    return reason, tuple([client for client in clients if client != "java"])


def _mappings_flaw(value: bytes) -> _Flaw:
    try:
        mappings = policy_mappings_untrusted(value)
    except der.DerError as error:
        return str(error), ("go", "chrome")
    return _SOUND if mappings else ("policyMappings maps nothing", ("chrome",))


def _number_flaw(where: str, numbers: Sequence[int]) -> _Flaw:
    if min(numbers) < 0:
        return f"{where}: a negative number of certificates", ("chrome",)
    if max(numbers) > _JAVA_MOST:
        return f"{where}: a number of certificates of more than 31 bits", ("java", "chrome")
    if max(numbers) > _CHROME_MOST:
        return f"{where}: a number of certificates of more than a byte", ("chrome",)
    return _SOUND


_FLAWS: Final = (
    (CERTIFICATE_POLICIES, _list_flaw),
    (POLICY_CONSTRAINTS, _constraints_flaw),
    (INHIBIT_ANY_POLICY, _inhibit_flaw),
    (POLICY_MAPPINGS, _mappings_flaw),
)


def _malformed(certificate: Certificate, reason: str, clients: Sequence[str]) -> Problem:
    evidence: dict[str, Any] = {
        "subject": certificate.subject,
        "reason": reason,
        "mistake": reason,
        "refused_by": list(clients),
    }
    return Problem("policy-not-satisfied", certificate.sha256, evidence)
