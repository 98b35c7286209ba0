"""Cases of flights that come whole and that some clients refuse, and of ``--enumerate``."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.diagnosis.clients.endings import CLIENTS
from scanner.diagnosis.rules.negotiation import bare_flight_claims
from scanner.model.evidence import ClientAuthRequest, Failure, Negotiation, Stage
from tests.helpers import pki
from tests.helpers.evidence import (
    alerted,
    answered,
    at,
    codes,
    diagnosed,
    evidence,
    failed,
    issuing,
    proof,
    root,
    target,
)

RSA_KX: dict[str, Any] = {
    "version": 0x0303,
    "cipher": 0x009C,
    "group": None,
    "signature_scheme": None,
    "signature_valid": None,
}
SHA1: dict[str, Any] = {"version": 0x0303, "cipher": 0xC02F, "signature_scheme": 0x0201}
ED25519 = pki.certificate("www.example.org", issuer=issuing(), private=pki.key("ed", "ed25519"))
ML_DSA = pki.certificate("www.example.org", issuer=issuing(), private=pki.key("quantum", "mldsa:65"))
UNKNOWN_KEY = pki.certificate(
    "www.example.org",
    issuer=issuing(),
    public_key=pki.sequence(pki.sequence(pki.oid("1.2.3.4")), pki.bit_string(b"key")),
)
P521 = pki.certificate("www.example.org", issuer=issuing(), private=pki.key("p", "ec:P-521"))


def test_a_healthy_flight_says_nothing() -> None:
    diagnosis = diagnosed(answered())
    assert (diagnosis.outcome, diagnosis.stage, diagnosis.cause) == ("ok", Stage.DONE, None)
    assert (diagnosis.diagnoses, diagnosis.clients, diagnosis.error) == ([], {}, None)


def test_a_request_for_a_client_certificate_is_no_fault() -> None:
    """A CertificateRequest in a whole flight is noted in the endpoint and never makes an error by itself."""
    assert codes(diagnosed(answered(client_auth=ClientAuthRequest((b"0\x00",), (0x0403,))))) == []


def test_rsa_key_transport_alone() -> None:
    """Chrome takes it; Go (since 1.22) and Python get an alert: an error, with who is affected."""
    diagnosis = diagnosed(evidence(at(answered(**RSA_KX), forward_secret=alerted(40))))
    assert codes(diagnosis) == ["no-shared-cipher"]
    clients = diagnosis.clients
    assert (clients["chrome"], clients["openssl"], clients["gnutls"]) == ("ok", "ok", "ok")
    assert clients["go"] == "remote error: tls: handshake failure"
    assert "HANDSHAKE_FAILURE" in clients["python"] and clients["java"] != "ok"


def test_rsa_key_transport_preferred_but_not_alone() -> None:
    """A server that prefers it and can do better: nothing to say."""
    seen = at(answered(**RSA_KX), forward_secret=answered(version=0x0303, cipher=0xC02F))
    assert codes(diagnosed(evidence(seen))) == []


def test_a_short_diffie_hellman_group() -> None:
    """768 bits: every client that has such suites at all refuses."""
    diagnosis = diagnosed(answered(version=0x0303, cipher=0x009E, group=None, dh_bits=768))
    assert codes(diagnosis) == ["no-shared-group"]
    assert diagnosis.clients["openssl"] == "SSL routines::dh key too small"


@pytest.mark.parametrize(
    ("certificate", "refusing"),
    [
        (ED25519, {"chrome", "firefox"}),
        (P521, {"chrome"}),
        (ML_DSA, set(CLIENTS)),
        (UNKNOWN_KEY, set(CLIENTS)),
    ],
)
def test_a_key_that_browsers_do_not_take(certificate: pki.Issued, refusing: set[str]) -> None:
    """The only certificate has a key of a rare kind: libraries go on, browsers do not."""
    sent = (certificate, issuing())
    seen = at(answered(sent, signature_scheme=0x0807), browser_schemes=alerted(40))
    diagnosis = diagnosed(evidence(seen))
    assert codes(diagnosis) == ["no-shared-signature-scheme"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == refusing


def test_a_second_certificate_for_browsers() -> None:
    """Asked with a browser's schemes, the server shows an ordinary certificate: nobody is shut out."""
    seen = at(answered((ED25519, issuing()), signature_scheme=0x0807), browser_schemes=answered())
    assert codes(diagnosed(evidence(seen))) == []


def test_ed25519_between_mail_servers() -> None:
    """Browsers do not speak SMTP, and everybody who does takes Ed25519."""
    mail = target("www.example.org", protocol="smtp", port=25)
    assert codes(diagnosed(evidence(answered((ED25519, issuing()), signature_scheme=0x0807), of=mail))) == []


def test_sha1_alone() -> None:
    """Signs with SHA-1, and refuses a hello without it."""
    diagnosis = diagnosed(evidence(at(answered(**SHA1), no_sha1=alerted(40))))
    assert codes(diagnosis) == ["no-shared-signature-scheme"]
    assert proof(diagnosis, "no-shared-signature-scheme")["scheme"] == "rsa_pkcs1_sha1"
    assert diagnosis.clients["openssl"] != "ok" and diagnosis.clients["firefox"] == "ok"


def test_sha1_preferred_but_not_alone() -> None:
    assert codes(diagnosed(evidence(at(answered(**SHA1), no_sha1=answered())))) == []


def test_a_service_that_refuses_the_protocols_of_the_web_is_noted() -> None:
    """A row of any protocol: what completed the handshake without ALPN counts, and ALPN alone is noted."""
    seen = at(answered(offer="no-alpn"), modern=alerted(120))
    diagnosis = diagnosed(evidence(seen, of=target(protocol="tls")))
    assert codes(diagnosis) == ["no-shared-alpn."]
    assert (diagnosis.outcome, diagnosis.clients) == ("ok", {})
    assert proof(diagnosis, "no-shared-alpn") == {
        "offered": ["h2", "http/1.1"],
        "tried": {"modern": "no_application_protocol"},
    }


def test_server_that_needs_sni_is_noted() -> None:
    diagnosis = diagnosed(evidence(at(answered(), no_sni=alerted(112, sni=None))))
    assert codes(diagnosis) == ["sni-required."]
    assert diagnosis.outcome == "ok"


@pytest.mark.parametrize(
    ("version", "cipher", "expected"),
    [
        (0x0303, 0xC018, []),  # the refusal of the modern hello says it
        (0x0301, 0x0034, ["no-shared-cipher"]),
        (0x0303, 0xC02F, ["no-certificate"]),
        (0x0304, 0x1301, ["no-certificate"]),
        (0x0303, None, ["no-certificate"]),
    ],
)
def test_only_anonymous_suites_go_without_a_certificate(version: int, cipher: int | None, expected: list[str]) -> None:
    negotiation = Negotiation(version=version, cipher=cipher, complete=True)
    assert [claim.code for claim in bare_flight_claims(negotiation)] == expected


def test_no_certificate_and_a_wrong_key() -> None:
    """A flight without a certificate; one that is signed by another key; a Finished that does not verify."""
    assert codes(diagnosed(answered(()))) == ["no-certificate"]
    mismatch = diagnosed(answered(signature_valid=False))
    assert codes(mismatch) == ["key-mismatch"]
    assert (mismatch.cause, mismatch.stage) == ("server-misconfiguration", Stage.CERTIFICATE)
    assert codes(diagnosed(answered(finished_valid=False))) == ["malformed-handshake"]


@pytest.mark.parametrize("place", [1, 2])
def test_a_leaf_that_is_not_first_is_misplaced(place: int) -> None:
    """Its key signs the handshake. The chain is judged with it first; clients take the first for the server's."""
    upper = pki.authority("Upper", root())
    lower = pki.authority("Lower", upper)
    own = pki.certificate("www.example.org", issuer=lower)
    sent = [lower, upper]
    sent.insert(place, own)
    diagnosis = diagnosed(answered(sent, leaf_position=place))
    assert codes(diagnosis) == ["chain-misordered"]
    assert (diagnosis.cause, diagnosis.stage) == ("server-misconfiguration", Stage.CERTIFICATE)
    facts = proof(diagnosis, "chain-misordered")
    assert (facts["leaf_position"], facts["misplaced"], facts["in_its_place"]) == (
        place,
        "CN=www.example.org",
        "CN=Lower",
    )
    assert facts["sent"] == [each.parsed.subject for each in sent]
    assert facts["should_be"] == ["CN=www.example.org", "CN=Lower", "CN=Upper"]
    assert diagnosis.clients["python"].endswith("unsuitable certificate purpose")
    assert "ok" not in diagnosis.clients.values()


def test_extras_have_the_places_at_which_they_were_sent() -> None:
    own, other = pki.certificate("www.example.org", issuer=issuing()), pki.certificate("Other", issuer=root(), ca=True)
    diagnosis = diagnosed(answered([issuing(), other, own], leaf_position=2))
    assert codes(diagnosis) == ["chain-misordered", "chain-has-extras?"]
    assert [extra["position"] for extra in proof(diagnosis, "chain-has-extras")["extras"]] == [1]


def test_a_place_beyond_the_certificates_is_none() -> None:
    """Recorded evidence may be anybody's."""
    assert codes(diagnosed(answered(leaf_position=9))) != ["chain-misordered"]
    assert codes(diagnosed(answered(leaf_position=-1))) != ["chain-misordered"]


def test_enumerated_weaknesses_are_claimed() -> None:
    """What a server accepts beyond need: old versions and weak suites warn, TLS 1.3 alone is a note."""
    accepted = {0x0304: (0x1301,), 0x0303: (0xC02F, 0x009C, 0x000A), 0x0301: (0x000A,), 0x0300: ()}
    diagnosis = diagnosed(evidence(at(answered(), accepted=accepted)))
    assert codes(diagnosis) == ["legacy-version-enabled?", "weak-cipher-enabled?"]
    assert proof(diagnosis, "legacy-version-enabled")["versions"] == ["TLSv1.0"]
    assert proof(diagnosis, "weak-cipher-enabled")["weaknesses"] == {
        "3DES": ["TLS_RSA_WITH_3DES_EDE_CBC_SHA"],
        "no forward secrecy": ["TLS_RSA_WITH_AES_128_GCM_SHA256"],
    }
    assert diagnosis.clients == {}
    only = diagnosed(evidence(at(answered(), accepted={0x0304: (0x1301, 0x1302), 0x0303: ()})))
    assert (codes(only), only.outcome) == (["modern-version-only."], "ok")


def test_a_failed_probe_has_nothing_negotiated() -> None:
    assert codes(diagnosed(failed(Failure.RESET))) == ["reset-after-hello"]
