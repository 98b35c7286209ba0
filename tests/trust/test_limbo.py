"""x509-limbo's server cases: our verdict is the suite's, but where mainstream clients decide otherwise, each with the reason.

The suite describes RFC 5280 and CA/Browser Forum profiles, which ask more of a CA than clients ask of a certificate.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import TrustStore
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate
from scanner.x509.pem import certificates_in_pem
from tests.helpers.pki import NOW

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


OPENSSL = shutil.which("openssl")
# Where others decide and OpenSSL does not know better, and where nobody is asked about limits or revocation.
_NOT_OPENSSL = frozenset({_GO_NAMES, _REVOCATION, _DEPTH, _SELF_ISSUED_LENGTH, _SELF_ISSUED_NAMES})


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("identity", [each for each, reason in DIFFERENT.items() if reason not in _NOT_OPENSSL])
def test_openssl_agrees_where_we_differ_from_the_suite(identity: str, tmp_path: Path) -> None:
    """The reasons above are not only words."""
    assert OPENSSL is not None
    case = CASES[identity]
    for name, entry in (("roots", "trusted_certs"), ("others", "untrusted_intermediates")):
        (tmp_path / name).write_text("\n".join(case[entry]))
    (tmp_path / "leaf").write_text(case["peer_certificate"])
    at = datetime.fromisoformat(case["validation_time"]).timestamp() if case["validation_time"] else NOW
    command = [OPENSSL, "verify", "-partial_chain", "-purpose", "sslserver", "-attime", str(int(at))]
    command += ["-CAfile", str(tmp_path / "roots"), "-no-CApath", "-no-CAstore"]
    if case["untrusted_intermediates"]:
        command += ["-untrusted", str(tmp_path / "others")]
    peer = case["expected_peer_name"]
    if peer is not None:
        command += ["-verify_ip" if peer["kind"] == "IP" else "-verify_hostname", peer["value"]]
    accepted = subprocess.run([*command, str(tmp_path / "leaf")], capture_output=True, check=False).returncode == 0
    assert accepted != (case["expected_result"] == "SUCCESS")


def test_the_list_of_differences_names_cases_that_exist() -> None:
    assert set(DIFFERENT) <= set(CASES)
