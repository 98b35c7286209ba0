"""The tests that Go has for its verifier: what it refuses, we say that Go refuses; and PKITS, which comes with them.

PKITS is NIST's Path Validation Testing Program for RFC 5280. Where a mainstream client decides otherwise than it, the
reason stands below.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scanner.trust.policy_rules import PolicyInputs, first_without_policy
from scanner.x509 import der
from scanner.x509.certificate import Certificate
from scanner.x509.pem import certificates_in_pem
from scanner.x509.policies import ANY_POLICY
from tests.helpers import pki
from tests.helpers.go_source import constants, table, x509_tests
from tests.helpers.pki import Issued, tlv
from tests.helpers.suites import refused_by

FOLDER = x509_tests()

pytestmark = pytest.mark.skipif(FOLDER is None, reason="Go, which has its tests in its sources, is not installed")


@cache
def source(name: str) -> str:
    return "" if FOLDER is None else (FOLDER / name).read_text(encoding="utf-8")


# --- verify_test.go --------------------------------------------------------------------------------

#: Names of tests that are not asked, or of which we say something else, and why
VERIFY_DIFFERENT = {
    "TooManyDNS": "made by a function",
    "TooManyIPs": "made by a function",
    "IgnoreCNWithSANs": "its PrintableString holds an asterisk, for which the anchor is not read",
}


@cache
def verify_tests() -> dict[str, dict[str, Any]]:
    found = table(source("verify_test.go"), "var verifyTests = []verifyTest{") if FOLDER is not None else []
    # of other purposes than a server's we know nothing
    return {
        test.get("name", "without a name"): test
        for test in found
        if test.get("keyUsages", ["ExtKeyUsageServerAuth"]) == ["ExtKeyUsageServerAuth"]
    }


@pytest.mark.parametrize("label", [label for label in verify_tests() if label not in VERIFY_DIFFERENT])
def test_chains_that_go_verifies(label: str) -> None:
    test, texts = verify_tests()[label], constants(source("verify_test.go"))

    def certificates(names: Sequence[str]) -> list[bytes]:
        return [next(certificates_in_pem(texts[name].encode())) for name in names]

    (leaf,) = certificates([test["leaf"]])
    name = test.get("dnsName")
    at = float(test["currentTime"])
    sent, anchors = certificates(test.get("intermediates", [])), certificates(test["roots"])
    refusing = refused_by(leaf, sent, anchors, name=name, at=at)
    assert ("go" in refusing) is ("errorCallback" in test), refusing


def test_the_tests_of_chains_are_found() -> None:
    assert len(verify_tests()) > 20
    assert VERIFY_DIFFERENT.keys() <= verify_tests().keys()


# --- name_constraints_test.go ----------------------------------------------------------------------

PURPOSES = {"email": "1.3.6.1.5.5.7.3.4", "netscapeSGC": "2.16.840.1.113730.4.1", "msSGC": "1.3.6.1.4.1.311.10.3.3"}
PURPOSES |= {"any": "anyExtendedKeyUsage", "other": "2.4.1.2.3"}
UNKNOWN_TYPE = 9
_TYPE_9 = (
    "a GeneralName of a type that does not exist: OpenSSL does not load such a certificate, and no more of it is read"
)
CONSTRAINTS_DIFFERENT = {
    "28: unknown name types are unconstrained": _TYPE_9,
    "29: unknown name types allowed in constrained chain": _TYPE_9,
    "42: email canonicalization": "Go alone takes the backslashes out of a quoted mailbox; OpenSSL compares it as it is",
}


@cache
def constraint_tests() -> dict[str, dict[str, Any]]:
    opening = "var nameConstraintsTests = []nameConstraintsTest{"
    found = table(source("name_constraints_test.go"), opening) if FOLDER is not None else []
    wanted = (["ExtKeyUsageServerAuth"], ["ExtKeyUsageAny"])
    return {
        f"{place}: {test['name']}": test
        for place, test in enumerate(found)
        if test.get("requestedEKUs", wanted[0]) == wanted[0]
    }


def base(text: str) -> bytes:
    """Return a constraint as it is written in Go's table."""
    kind, _, value = text.partition(":")
    if kind == "ip":
        return pki.network(value)
    if kind == "unknown":
        return tlv(UNKNOWN_TYPE, b"\1")
    return tlv({"dns": 0x82, "email": 0x81, "uri": 0x86}[kind], value.encode())


def carried(text: str) -> bytes:
    """Return a name as it is written in Go's table."""
    kind, _, value = text.partition(":")
    if kind == "ip":
        return pki.general_name(f"IP:{value}")
    if kind == "invalidip":
        return tlv(0x87, bytes.fromhex(value))
    if kind == "unknown":
        return tlv(UNKNOWN_TYPE, b"\1")
    return tlv({"dns": 0x82, "email": 0x81, "uri": 0x86}[kind], value.encode())


def extensions_of(spec: Any) -> dict[str, Any]:
    spec = spec or {}
    sides = {
        "permitted": [base(text) for text in spec.get("ok", [])],
        "excluded": [base(text) for text in spec.get("bad", [])],
    }
    found: dict[str, Any] = {"not_before": 1000.0, "not_after": 2000.0}
    if any(sides.values()):
        found["extra"] = [pki.name_constraints(**sides, critical=False)]
    if spec.get("ekus"):
        found["purposes"] = [PURPOSES.get(text, text) for text in spec["ekus"]]
    return found


@pytest.mark.parametrize("label", [label for label in constraint_tests() if label not in CONSTRAINTS_DIFFERENT])
def test_names_that_go_allows(label: str) -> None:
    test = constraint_tests()[label]
    roots = [pki.root("Root", **extensions_of(spec)) for spec in test["roots"]]
    above, sent = roots[-1], list[Issued]()
    for level, specs in enumerate(test.get("intermediates", [])):
        made = [
            pki.authority(
                f"Level {level}", above, private=pki.key(f"level {level}"), serial=place + 1, **extensions_of(spec)
            )
            for place, spec in enumerate(specs)
        ]
        sent += made
        above = made[-1]
    spec = test.get("leaf") or {}
    subject = pki.name(OU="Leaf", **({"CN": spec["cn"]} if spec.get("cn") else {}))
    names = [carried(text) for text in spec.get("sans", [])]
    purposes = extensions_of({"ekus": spec.get("ekus", [])})
    leaf = pki.certificate(
        subject, issuer=above, san=names or None, without=() if "purposes" in purposes else ("eku",), **purposes
    )
    refusing = refused_by(leaf.der, [item.der for item in sent], [item.der for item in roots], name=None, at=1500.0)
    assert ("go" in refusing) is bool(test.get("expectedError")), refusing


def test_the_tests_of_constraints_are_found() -> None:
    assert len(constraint_tests()) > 60


# --- policies: TestPoliciesValid -------------------------------------------------------------------

PREFIX = "1.2.840.113554.4.1.72585.2"


@cache
def policy_tests() -> list[tuple[dict[str, Any], bool | None]]:
    """Return the tests of policies, those in the loop over ``useAny`` with both values of it."""
    if FOLDER is None:
        return []
    text = source("verify_test.go")
    found: list[tuple[dict[str, Any], bool | None]] = [(test, None) for test in table(text, "tests := []testCase{")]
    for extra in table(text, "extraTests := []testCase{"):
        found += [(extra, False), (extra, True)]
    return found


@pytest.mark.parametrize("number", range(len(policy_tests())))
def test_policies_that_go_finds(number: int) -> None:
    test, use_any = policy_tests()[number]
    assert FOLDER is not None
    path = []
    for word in test["chain"]:
        if word == "intermediate" and use_any is not None:
            word = "intermediate_mapped_any" if use_any else "intermediate_mapped"
        (data,) = certificates_in_pem((FOLDER / "testdata" / f"policy_{word}.pem").read_bytes())
        path.append(Certificate.parse_untrusted(data))
    policies = [der.encoded_oid(f"{PREFIX}.{word.removeprefix('testOID')}") for word in test.get("policies", [])]
    given = PolicyInputs(
        frozenset(policies or [ANY_POLICY]),
        *(
            0 if test.get(name) == "true" else None
            for name in ("requireExplicitPolicy", "inhibitPolicyMapping", "inhibitAnyPolicy")
        ),
    )
    words = {"true": True, "false": False, "useAny": bool(use_any)}
    words["!useAny"] = not use_any
    narrowed = use_any is True and test["valid"] in ("useAny", "!useAny")  # by the policies that it starts with
    if len(path) > 1 and not narrowed:
        found = first_without_policy(path[:-1], given)
        assert (found is None) is words[test["valid"]], found


# --- PKITS -----------------------------------------------------------------------------------------

PKITS_POLICIES = {f"NIST-test-policy-{n}": der.encoded_oid(f"2.16.840.1.101.3.2.1.48.{n}") for n in range(1, 10)}
PKITS_AT = 1_600_000_000.0  # all are valid from 2010 to 2030
# Sections whose tests are about revocation lists, which are judged elsewhere
PKITS_REVOCATION = ("4.4.", "4.5.", "4.7.4", "4.7.5", "4.14.", "4.15.")
_DSA = (
    "keys of DSA, which neither OpenSSL (at its security level 2) nor any browser takes, and TLS 1.3 has no scheme for"
)
PKITS_DIFFERENT = {
    "4.1.5 Valid DSA Parameter Inheritance Test5": _DSA,
}
#: Where the set of policies that a client starts with matters: all TLS clients start with anyPolicy.
_NARROWED = {"4.10.13 Valid Policy Mapping Test13 (Subpart 3)"}


@cache
def pkits() -> dict[str, dict[str, Any]]:
    if FOLDER is None:
        return {}
    found = json.loads((FOLDER / "testdata" / "nist-pkits" / "vectors.json").read_text(encoding="utf-8"))
    return {test["Name"]: test for test in found if not test["Name"].startswith(PKITS_REVOCATION)}


def pkits_inputs(test: dict[str, Any]) -> PolicyInputs:
    return PolicyInputs(
        frozenset(PKITS_POLICIES.get(name, ANY_POLICY) for name in test["InitialPolicySet"]),
        *(
            0 if test[f"Initial{name}"] else None
            for name in ("ExplicitPolicy", "PolicyMappingInhibit", "AnyPolicyInhibit")
        ),
    )


def pkits_path(test: dict[str, Any]) -> list[bytes]:
    """Return the certificates of a test, leaf first, anchor last."""
    assert FOLDER is not None
    folder: Path = FOLDER / "testdata" / "nist-pkits" / "certs"
    return [(folder / name).read_bytes() for name in reversed(test["CertPath"])]


@pytest.mark.parametrize("label", [label for label, test in pkits().items() if pkits_inputs(test) == PolicyInputs()])
def test_pkits(label: str) -> None:
    test = pkits()[label]
    leaf, *sent, anchor = pkits_path(test)
    refusing = refused_by(leaf, sent, [anchor], name=None, at=PKITS_AT)
    if label in PKITS_DIFFERENT:
        assert ("java" not in refusing) is not test["ShouldValidate"], "agrees now: take it off the list"
    else:
        assert ("java" not in refusing) is test["ShouldValidate"], refusing


@pytest.mark.parametrize(
    "label", [label for label in pkits() if label.startswith(("4.8.", "4.9.", "4.10.", "4.11.", "4.12."))]
)
def test_pkits_with_the_inputs_that_no_tls_client_sets(label: str) -> None:
    test = pkits()[label]
    path = [Certificate.parse_untrusted(data) for data in pkits_path(test)[:-1]]
    found = first_without_policy(path, pkits_inputs(test))
    assert (found is None) is (test["ShouldValidate"] or label in _NARROWED), found
