"""x509-limbo's server cases: our verdict is the suite's, but where mainstream clients decide otherwise, each with the reason.

The suite describes RFC 5280 and CA/Browser Forum profiles, which ask more of a CA than clients ask of a certificate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import TrustStore
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate
from scanner.x509.pem import certificates_in_pem
from tests.helpers.go_verify import GO, SECONDS, ask_go, go_case
from tests.helpers.pki import NOW
from tests.helpers.suites import refused_by

DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "x509-limbo.json"
SUITE = Path(os.environ.get("TLSWEEP_LIMBO", DEFAULT))

_NOBODY = "no mainstream client refuses this: OpenSSL, Go and browsers were made to cope with it"
_REVOCATION = "revocation is judged elsewhere"
_ONLY_SAN = "a common name beside a subjectAltName is looked at by nobody"
_GO_NAMES = "Go refuses critical constraints of names other than DNS names, addresses, mailboxes and URIs"
_DSA = "OpenSSL, Java and GnuTLS take DSA keys of CAs; that Go and browsers do not is reported beside the verdict"
_SELF_ISSUED_LENGTH = "Go, Firefox and GnuTLS count self-issued CAs (path-length-over-self-issued in tests/clients)"
_SELF_ISSUED_NAMES = "Firefox applies constraints to self-issued CAs (nc-over-self-issued in tests/clients)"
_DEPTH = "clients are given no such small limit on depth"

DIFFERENT = {
    "crl::revoked-certificate-with-crl": _REVOCATION,
    "crl::crlnumber-missing": _REVOCATION,
    "crl::crlnumber-critical": _REVOCATION,
    "crl::issuer-missing-crlsign": _REVOCATION,
    "pathlen::validation-ignores-pathlen-in-leaf": "OpenSSL refuses a leaf whose only usage is keyCertSign",
    "rfc5280::ca-as-leaf": "OpenSSL refuses a leaf whose only usage is keyCertSign",
    "pathlen::self-issued-certs-pathlen": _SELF_ISSUED_LENGTH,
    "rfc5280::nc::permitted-self-issued": _SELF_ISSUED_NAMES,
    "pathlen::max-chain-depth-0-exhausted": _DEPTH,
    "pathlen::max-chain-depth-1-exhausted": _DEPTH,
    "rfc5280::aki::leaf-missing-aki": _NOBODY,
    "rfc5280::aki::intermediate-missing-aki": _NOBODY,
    "rfc5280::aki::cross-signed-root-missing-aki": _NOBODY,
    "rfc5280::ski::root-missing-ski": _NOBODY,
    "rfc5280::ski::intermediate-missing-ski": _NOBODY,
    "webpki::aki::root-with-aki-missing-keyidentifier": _NOBODY,
    "webpki::aki::root-with-aki-all-fields": _NOBODY,
    "webpki::aki::root-with-aki-ski-mismatch": _NOBODY,
    "rfc5280::nc::permitted-dns-match-noncritical": "clients apply constraints whether critical or not",
    "rfc5280::nc::invalid-dnsname-leading-period": "OpenSSL, Go and GnuTLS take a leading period as 'subdomains only'",
    "rfc5280::nc::not-allowed-in-ee-noncritical": _NOBODY,
    "rfc5280::nc::not-allowed-in-ee-critical": _NOBODY,
    "rfc5280::pc::ica-noncritical-pc": _NOBODY,
    "rfc5280::nc::permitted-dn-match": _GO_NAMES,
    "rfc5280::nc::nc-forbids-othername-noop": _GO_NAMES,
    "rfc5280::san::underscore-dns": "clients match names with underscores, which hosts have",
    "rfc5280::serial::too-long": _NOBODY,
    "rfc5280::serial::zero": _NOBODY,
    "rfc5280::root-non-critical-basic-constraints": _NOBODY,
    "rfc5280::leaf-ku-keycertsign": _NOBODY,
    "webpki::cn::ipv4-hex-mismatch": _ONLY_SAN,
    "webpki::cn::ipv4-leading-zeros-mismatch": _ONLY_SAN,
    "webpki::cn::ipv6-uppercase-mismatch": _ONLY_SAN,
    "webpki::cn::ipv6-uncompressed-mismatch": _ONLY_SAN,
    "webpki::cn::ipv6-non-rfc5952-mismatch": _ONLY_SAN,
    "webpki::cn::punycode-not-in-san": _ONLY_SAN,
    "webpki::cn::utf8-vs-punycode-mismatch": _ONLY_SAN,
    "webpki::cn::not-in-san": _ONLY_SAN,
    "webpki::cn::case-mismatch": _ONLY_SAN,
    "webpki::eku::ee-anyeku": "serverAuth is there beside it",
    "webpki::eku::ee-critical-eku": _NOBODY,
    "webpki::eku::ee-without-eku": _NOBODY,
    "webpki::eku::root-has-eku": _NOBODY,
    "webpki::san::public-suffix-multi-label-wildcard-san": "only Chrome knows public suffixes; no list of them is shipped",
    "webpki::san::public-suffix-private-namespace-wildcard-san": "as above, and Chrome leaves private suffixes alone",
    "webpki::san::san-critical-with-nonempty-subject": _NOBODY,
    "webpki::forbidden-dsa-root": _DSA,
    "webpki::forbidden-rsa-not-divisible-by-8-in-root": _NOBODY,
    "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf": _NOBODY,
    "webpki::ee-basicconstraints-ca": _NOBODY,
}

pytestmark = pytest.mark.skipif(
    not SUITE.is_file(), reason=f"x509-limbo is not at {SUITE}; TLSWEEP_LIMBO may name the file"
)


def _cases() -> dict[str, dict[str, Any]]:
    if not SUITE.is_file():
        return {}
    found = json.loads(SUITE.read_text(encoding="utf-8"))["testcases"]
    return {case["id"]: case for case in found if case["validation_kind"] == "SERVER"}


CASES = _cases()


def _der(pem: str) -> bytes:
    return next(certificates_in_pem(pem.encode()))


@pytest.mark.parametrize("identity", CASES)
def test_verdicts_are_the_suite_s_apart_from_known_differences(identity: str) -> None:
    case = CASES[identity]
    store = TrustStore("limbo", [Certificate.parse_untrusted(_der(pem)) for pem in case["trusted_certs"]])
    verifier = ChainVerifier([store], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    at = datetime.fromisoformat(case["validation_time"]).timestamp() if case["validation_time"] else NOW
    name = (case["expected_peer_name"] or {}).get("value")
    chain = tuple(_der(pem) for pem in (case["peer_certificate"], *case["untrusted_intermediates"]))
    verdict = verifier.verify(chain, name=name, at=at)
    assert verifier._builder.budget.left > -5_000, "more than the last signature beyond the bound"
    accepted = verdict.trusted and (verdict.name is None or verdict.name.matches)
    expected = case["expected_result"] == "SUCCESS"
    if identity in DIFFERENT:
        assert accepted != expected, "agrees now: take it off the list"
    else:
        assert accepted == expected, verdict.stores["limbo"].problems
    assert verdict.stores["limbo"].trusted is (not verdict.stores["limbo"].problems)


# --- what clients themselves say of the suite -------------------------------------------------------

OPENSSL = shutil.which("openssl")
_TOO_LONG = "a search that our limits end: what the client says is not predicted"
_NOT_DSA = "a key that TLS has no use for; only the chain is verified here"
_NOT_READ = "constraints of 55 kB, which are not read: that is a warning"
_LAST_SECOND = "to OpenSSL a certificate ends with the second before the one that it names"
#: Cases of which a finding says something else of a client than the client does, and why
NOT_OPENSSL = {
    "pathological::pathological-chain-distinct-subject-distinct-key": _TOO_LONG,
    "pathological::pathological-chain-same-subject-distinct-key": _TOO_LONG,
    "pathological::pathological-chain-distinct-subject-same-key": _TOO_LONG,
    "pathological::nc-dos-1": _NOT_READ,
    "pathological::nc-dos-2": _NOT_READ,
    "rfc5280::validity::notafter-exact": _LAST_SECOND,
    "rfc5280::validity::notafter-fractional": _LAST_SECOND,
    "webpki::forbidden-dsa-leaf": _NOT_DSA,
}
NOT_GO = {label: why for label, why in NOT_OPENSSL.items() if why in (_TOO_LONG, _NOT_DSA)}


def _moment(case: dict[str, Any]) -> float:
    return datetime.fromisoformat(case["validation_time"]).timestamp() if case["validation_time"] else NOW


@cache
def _refused_by(identity: str) -> frozenset[str]:
    """Return the clients that a finding on this case says refuse it."""
    case = CASES[identity]
    sent, anchors = [[_der(pem) for pem in case[entry]] for entry in ("untrusted_intermediates", "trusted_certs")]
    name = (case["expected_peer_name"] or {}).get("value")
    return frozenset(refused_by(_der(case["peer_certificate"]), sent, anchors, name=name, at=_moment(case)))


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("identity", CASES)
def test_openssl_refuses_what_findings_say(identity: str, tmp_path: Path) -> None:
    case = CASES[identity]
    for name, entry in (("roots", "trusted_certs"), ("others", "untrusted_intermediates")):
        (tmp_path / name).write_text("\n".join(case[entry]))
    (tmp_path / "leaf").write_text(case["peer_certificate"])
    command = [str(OPENSSL), "verify", "-auth_level", "2", "-partial_chain", "-purpose", "sslserver"]
    command += ["-attime", str(int(_moment(case))), "-CAfile", str(tmp_path / "roots"), "-no-CApath", "-no-CAstore"]
    if case["untrusted_intermediates"]:
        command += ["-untrusted", str(tmp_path / "others")]
    peer = case["expected_peer_name"]
    if peer is not None:
        command += ["-verify_ip" if peer["kind"] == "IP" else "-verify_hostname", peer["value"]]
    refused = subprocess.run([*command, str(tmp_path / "leaf")], capture_output=True, check=False).returncode != 0
    assert (("openssl" in _refused_by(identity)) is refused) is (identity not in NOT_OPENSSL)


@pytest.fixture(scope="module")
def go_answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cases = [
        go_case(
            identity,
            case["peer_certificate"],
            case["untrusted_intermediates"],
            case["trusted_certs"],
            _moment(case),
            (case["expected_peer_name"] or {}).get("value", ""),
        )
        for identity, case in CASES.items()
    ]
    return ask_go(cases, tmp_path_factory.mktemp("go"))


@pytest.mark.timeout(SECONDS)  # the first of these compiles the program
@pytest.mark.skipif(GO is None, reason="Go is not installed")
@pytest.mark.parametrize("identity", CASES)
def test_go_refuses_what_findings_say(identity: str, go_answers: dict[str, str]) -> None:
    refused = go_answers[identity] != "ok"
    agrees = ("go" in _refused_by(identity)) is refused
    assert agrees is (identity not in NOT_GO), go_answers[identity]


def test_the_list_of_differences_names_cases_that_exist() -> None:
    assert {*DIFFERENT, *NOT_OPENSSL, *NOT_GO} <= set(CASES)
