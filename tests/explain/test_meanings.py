"""The messages of every mainstream client lead to the causes that they stand for."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.clients.by_evidence import texts_of
from scanner.diagnosis.clients.endings import CLOSED, OK, RESET, alert_texts
from scanner.diagnosis.clients.texts import NAME_TEXTS, TEXTS
from scanner.diagnosis.rules.deviations import deviation_claims
from scanner.explain.meanings import interpret, meanings, search, similar_names
from scanner.explain.recognise import by_name
from scanner.model.evidence import Deviation, Negotiation
from tests.helpers.evidence import target

LONG_TRACE = (
    "Exception in thread \"main\" org.springframework.web.client.ResourceAccessException: I/O error on GET request\n"
    + "\tat org.example.Service.call(Service.java:42)\n" * 400
    + "Caused by: javax.net.ssl.SSLHandshakeException: PKIX path building failed: sun.security.provider.certpath."
    "SunCertPathBuilderException: unable to find valid certification path to requested target\n"
    + "\tat java.base/sun.security.ssl.Alert.createSSLException(Alert.java:130)\n" * 400
)  # fmt: skip

PASTED = {
    "curl: (35) OpenSSL/3.0.13: error:0A000410:SSL routines::sslv3 alert handshake failure": "no-shared-cipher",
    "curl: (60) SSL certificate problem: unable to get local issuer certificate": "intermediate-not-sent",
    "curl: (60) SSL: no alternative certificate subject name matches target host name 'www.example.org'": "name-not-in-san",
    "curl: (56) OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0": "client-certificate-required",
    "curl: (56) Recv failure: Connection reset by peer": "reset-after-hello",
    "*** Fatal error: Error in the certificate.": "intermediate-not-sent",
    "- Status: The certificate is NOT trusted. The certificate chain uses not yet valid certificate.\n"
    "*** PKI verification of server certificate failed...\n"
    "*** Fatal error: Error in the certificate.": "certificate-not-yet-valid",
    "CERTIFICATE_VERIFY_FAILED: unable to get local issuer certificate": "intermediate-not-sent",
    "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate "
    "in certificate chain (_ssl.c:1006)": "untrusted-root",
    "ERR_SSL_PROTOCOL_ERROR": "plaintext-on-tls-port",
    "NET::ERR_CERT_DATE_INVALID": "certificate-expired",
    "PKIX path building failed": "intermediate-not-sent",
    LONG_TRACE: "intermediate-not-sent",
    "x509: certificate signed by unknown authority": "intermediate-not-sent",
    "x509: certificate is valid for a.example, not b.example": "name-not-in-san",
    "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time "
    "2026-11-23T06:00:00Z is before 2026-12-01T00:00:00Z": "certificate-not-yet-valid",
    "Error: unable to verify the first certificate { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }": "intermediate-not-sent",
    "DEPTH_ZERO_SELF_SIGNED_CERT": "self-signed-leaf",
    "schannel: next InitializeSecurityContext failed: SEC_E_UNTRUSTED_ROOT (0x80090325)": "untrusted-root",
    "schannel: CertGetCertificateChain trust error CERT_TRUST_REVOCATION_STATUS_UNKNOWN 0x80092013": "revocation-blocked",
    "Error code: SEC_ERROR_UNKNOWN_ISSUER": "intermediate-not-sent",
    "MOZILLA_PKIX_ERROR_MITM_DETECTED": "known-middlebox",
    "SSL_ERROR_RX_RECORD_TOO_LONG": "plaintext-on-tls-port",
    "SSL_ERROR_NO_CYPHER_OVERLAP": "no-shared-cipher",
    "PR_END_OF_FILE_ERROR": "closed-during-handshake",
    "*** Status: The certificate is NOT trusted. The certificate chain uses expired certificate.": "certificate-expired",
    "error:0A00010B:SSL routines:ssl3_get_record:wrong version number": "plaintext-on-tls-port",
    "javax.net.ssl.SSLHandshakeException: No appropriate protocol (protocol is disabled or cipher suites are "
    "inappropriate)": "legacy-version-only",
    "java.security.cert.CertificateException: No subject alternative DNS name matching x found.": "name-not-in-san",
    "System.Security.Authentication.AuthenticationException: The remote certificate is invalid because of errors in the "
    "certificate chain: PartialChain": "intermediate-not-sent",
    "The remote certificate is invalid according to the validation procedure: RemoteCertificateNameMismatch": "name-not-in-san",
    "Your connection is not private": "intermediate-not-sent",
    "This site can't provide a secure connection. x.example sent an invalid response.": "plaintext-on-tls-port",
    "x.example uses an unsupported protocol. ERR_SSL_VERSION_OR_CIPHER_MISMATCH": "legacy-version-only",
    "SSL alert number 112": "sni-unrecognized",
    "javax.net.ssl.SSLHandshakeException: received handshake warning: unrecognized_name": "sni-unrecognized",
    "javax.net.ssl.SSLHandshakeException: received handshake warning: no_certificate": "malformed-handshake",
    "javax.net.ssl.SSLProtocolException: The certificate chain length (11) exceeds the maximum allowed length (10)":
        "too-many-certificates",
    "SSL error: unsafe legacy renegotiation disabled": "legacy-renegotiation",
    "Error in the push function. Safe renegotiation failed.": "legacy-renegotiation",
    "tls: server selected unadvertised ALPN protocol": "malformed-handshake",
    "sslv3 alert certificate unknown (SSL alert number 46)": "client-certificate-rejected",
    "400 No required SSL certificate was sent": "client-certificate-required-by-application",
    "NSURLErrorDomain Code=-1202": "untrusted-root",
    "invalid peer certificate: UnknownIssuer": "intermediate-not-sent",
    "Could not resolve host: www.example.org": "nxdomain",
    "getaddrinfo EAI_AGAIN www.example.org": "servfail",
    "您的连接不是私密连接": "intermediate-not-sent",
    "ERR_CERTIFICATE_TRANSPARENCY_REQUIRED": "no-scts",
    "X509_V_ERR_CERT_REVOKED": "revoked-ocsp-staple",
    "server does not support SSL, but SSL was required": "starttls-not-offered",
    "UNABLE_TO_GET_ISSUER_\nCERT_LOCALLY": "intermediate-not-sent",
    "UNABLE_TO_GET_ISS\nUER_CERT_LOCALLY": "intermediate-not-sent",
}  # fmt: skip


@pytest.mark.parametrize(("text", "likeliest"), PASTED.items(), ids=[text[:40] for text in PASTED])
def test_pasted_errors_lead_to_their_likeliest_code(text: str, likeliest: str) -> None:
    assert interpret(text).codes[0] == likeliest


# For these codes, two clients give a message that they give for everything.
@pytest.mark.parametrize("code", TEXTS)
def test_predicted_client_messages_lead_back_to_their_cause(code: str) -> None:
    """Every predicted client message can mean the code that it is predicted for."""
    for client, text in TEXTS[code].items():
        if text == OK or (code, client) in TOO_GENERAL:
            continue
        interpretation = interpret(text)
        cause = CODES[code].cause
        assert cause in {CODES[found].cause for found in interpretation.codes}, (client, text, interpretation.codes)


# (code, client) pairs where the client's message is about something else or too general
TOO_GENERAL = {
    ("path-length-exceeded", "chrome"),
    ("name-constraint-violated", "chrome"),
    ("no-certificate", "openssl"),
}


DEVIATIONS = (
    Deviation("no-renegotiation-info"),
    Deviation("wrong-renegotiation-info"),
    Deviation("extension", "ServerHello", 1),
    Deviation("extension", "ServerHello", 13),
    Deviation("extension", "ServerHello", 23),
    Deviation("extension", "EncryptedExtensions", 42),
    Deviation("extension", "Certificate", 1),
    Deviation("alpn", "ServerHello", name="x"),
    Deviation("scheme", "ServerKeyExchange", 0x0101),
    Deviation("no-key-exchange"),
    Deviation("share", "ServerKeyExchange", 0x001D, name="order"),
    Deviation("share", "ServerKeyExchange", 0x001D, name="form"),
    Deviation("long-message", "Certificate", size=200_000),
    Deviation("long-message", "CertificateRequest", size=65_537),
)


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda one: f"{one.kind}-{one.message}-{one.code}")
def test_predicted_messages_on_deviations_lead_back_to_their_code(deviation: Deviation) -> None:
    old = deviation.message in ("", "ServerKeyExchange") or (
        deviation.message == "ServerHello" and deviation.code != 23
    )
    (claim,) = deviation_claims(
        Negotiation(version=0x0303 if old else 0x0304, cipher=0xC02F, complete=True, deviations=(deviation,)), True
    )
    for client, text in (texts_of(claim.code, claim.evidence, target()) or {}).items():
        if text != OK and client not in ("chrome", "firefox"):  # which have one word for many
            assert claim.code in interpret(text).codes, (client, text)


@pytest.mark.parametrize("texts", [RESET, CLOSED, NAME_TEXTS])
def test_messages_about_closed_connections_have_meanings(texts: dict[str, str]) -> None:
    assert [text for text in texts.values() if text != "EOF" and not interpret(text).codes] == []


@pytest.mark.parametrize("alert", [0, 10, 20, 40, 42, 46, 47, 48, 50, 51, 70, 71, 80, 112, 116])
def test_alert_messages_of_every_client_are_understood(alert: int) -> None:
    expected = {meaning.id for meaning in meanings() if alert in meaning.alerts}
    for client, text in alert_texts(alert).items():
        found = {meaning.id for meaning in interpret(text).meanings}
        assert found & expected or client in ("chrome", "firefox"), (client, text, found)


def test_meanings_name_existing_codes_and_errors() -> None:
    """Codes and error names exist, and every code that clients report is the meaning of some entry."""
    assert len({meaning.id for meaning in meanings()}) == len(meanings())
    for meaning in meanings():
        assert set(meaning.codes) <= set(CODES), meaning.id
        assert (
            meaning.codes
            or "server" in f"{meaning.means}{meaning.tell}"
            or "TLS" in meaning.means
            or meaning.level == 0
        )
        assert len(set(meaning.codes)) == len(meaning.codes)
        for pattern in (*meaning.names, *meaning.other_names):
            assert any(fnmatchcase(name, pattern) for name in by_name()), pattern
        for text in (meaning.means, meaning.tell or "."):
            assert text.endswith((".", "?")) and text == " ".join(text.split())
    reached = {code for meaning in meanings() for code in meaning.codes}
    errors = {code.code for code in CODES.values() if code.severity == "error"}
    assert errors - reached == set()


def test_unknown_texts_have_no_meaning_but_suggestions() -> None:
    assert interpret("the quick brown fox").meanings == ()
    assert similar_names("the quick brown fox") == ()
    assert "certificate-expired" in similar_names("certificat-expird")
    assert similar_names("ERR_CERT_DATE_INVALD")[0] == "ERR_CERT_DATE_INVALID"


def test_search_needs_every_word() -> None:
    assert set(search("staple")) >= {"must-staple-missing", "staple-invalid"}
    assert search("nothing at all") == () == search("")
