"""Texts that depend on the evidence: alerts, what each client offers, and who of them refuses."""

from __future__ import annotations

import pytest

from scanner.diagnosis.clients.by_evidence import texts_of
from scanner.diagnosis.clients.endings import CLIENTS, OK, alert_texts
from tests.helpers.evidence import target


def refusing(code: str, **facts: object) -> set[str]:
    """The clients that refuse, as far as they are known."""
    texts = texts_of(code, facts, target())
    assert texts is not None
    return {client for client, text in texts.items() if text != OK}


@pytest.mark.parametrize("code", range(256))
def test_every_alert_has_texts(code: int) -> None:
    texts = alert_texts(code)
    assert set(texts) >= set(CLIENTS) - {"firefox"}


def test_a_java_exception_for_each_kind_of_alert() -> None:
    assert alert_texts(40)["java"].startswith("javax.net.ssl.SSLHandshakeException: ")
    assert alert_texts(80)["java"] == "javax.net.ssl.SSLException: Received fatal alert: internal_error"
    assert alert_texts(10)["java"].startswith("javax.net.ssl.SSLProtocolException: ")


def test_only_clients_that_refuse_have_a_text() -> None:
    assert refusing("malformed-certificate", refused_by=["Go"]) == {"go"}
    assert refusing("too-many-certificates", refused_by=["Firefox", "Java"], detail="x") == {"firefox", "java"}
    assert refusing("too-costly-to-judge", refused_by=["Go", "Java"]) == {"go", "java"}
    compared = {"comparisons": 2_000_000, "refused_by": ["OpenSSL", "curl", "Python", "GnuTLS"]}
    assert refusing("too-costly-to-judge", **compared) == {"openssl", "curl", "python", "node", "gnutls"}
    assert refusing("unsupported-algorithm", signature="ed25519", refused_by=["Chrome"]) == {"chrome"}
    assert "java" not in refusing("intermediate-expired", anchor=True)
    assert "java" in refusing("issuer-not-a-ca", anchor=True)
    assert "java" not in refusing("weak-signature", signature="sha1WithRSAEncryption", refused_by=["OpenSSL", "Go"])
    assert refusing("weak-key", key="rsa:1024", refused_by=["OpenSSL"]) == {"openssl", "curl", "python", "node"}
    assert refusing("weak-key", key="dsa:2048", dsa_bits=2048, refused_by=["Go", "Java"]) == {"go"}


def test_of_an_algorithm_that_is_not_checked_here_only_refusals_are_predicted() -> None:
    facts = {"signature": "SM2-with-SM3", "reason": "tlsweep cannot verify it", "refused_by": ["Go", "GnuTLS"]}
    assert texts_of("unsupported-algorithm", facts, target()).keys() == {"go", "gnutls"}  # type: ignore[union-attr]
    ml_dsa = texts_of("unsupported-algorithm", {"signature": "ml-dsa-65", "refused_by": ["Go"]}, target())
    assert ml_dsa is not None and ml_dsa["java"] == OK


def test_purposes_of_a_certificate_have_their_texts() -> None:
    anything = {"extended_key_usage": ["anyExtendedKeyUsage"]}
    assert refusing("not-for-server-auth", leaf=True, **anything) == {"openssl", "curl", "python", "node", "firefox"}
    gated = {"extended_key_usage": ["2.16.840.1.113730.4.1"]}
    assert refusing("not-for-server-auth", leaf=True, **gated) == {"go", "chrome", "firefox", "gnutls"}
    assert refusing("not-for-server-auth", leaf=True, refused_by=["Firefox"]) == {"firefox"}


CLIENT_CODES = ("client-certificate-required", "client-certificate-rejected")


@pytest.mark.parametrize("code", CLIENT_CODES)
def test_a_certificate_refused_after_the_handshake_is_read_with_the_first_answer(code: str) -> None:
    texts = texts_of(code, {"failure": "alert", "alert_code": 116, "version_code": 0x0304}, target())
    assert texts is not None
    assert texts["curl"] == "(56) OpenSSL SSL_read: SSL routines::tlsv13 alert certificate required"
    assert (texts["chrome"], texts["firefox"]) == (
        "ERR_BAD_SSL_CLIENT_AUTH_CERT",
        "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT",
    )
    assert texts["go"] == "remote error: tls: certificate required"


@pytest.mark.parametrize("code", CLIENT_CODES)
def test_a_certificate_refused_in_the_handshake_ends_it(code: str) -> None:
    facts = {"failure": "alert", "alert_code": 40, "version_code": 0x0303}
    texts = texts_of(code, facts, target())
    assert texts is not None and texts["curl"].startswith("(35) ")
    # the same alert to a hello would be another error
    assert (texts["chrome"], texts["firefox"]) == ("ERR_BAD_SSL_CLIENT_AUTH_CERT", "SSL_ERROR_HANDSHAKE_FAILURE_ALERT")
    closed = texts_of(code, {"failure": "closed", "version_code": 0x0303}, target())
    assert closed is not None and closed["go"] == "EOF"


def test_what_is_refused_behind_tls_is_no_matter_of_tls() -> None:
    code = "client-certificate-required-by-application"
    assert texts_of(code, {"status": 400}, target()) == dict.fromkeys(CLIENTS, OK)
    hung_up = texts_of(code, {"failure": "closed"}, target())
    assert hung_up is not None
    assert (hung_up["curl"], hung_up["openssl"]) == ("(52) Empty reply from server", OK)
    assert "firefox" not in hung_up


def texts(code: str, **facts: object) -> dict[str, str]:
    found = texts_of(code, facts, target())
    assert found is not None
    return dict(found)


def test_java_names_an_anchor_that_may_not_sign() -> None:
    said = texts("wrong-key-usage", anchor=True, subject="CN=Root", missing="keyCertSign")
    assert said["java"].endswith(
        'TrustAnchor with subject "{subject}" does not have keyCertSign bit set in KeyUsage extension'
    )
