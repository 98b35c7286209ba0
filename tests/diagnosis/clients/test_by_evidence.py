"""Texts that depend on the evidence: alerts, what each client offers, and who of them refuses."""

from __future__ import annotations

import ssl

import pytest

from scanner.diagnosis.clients.by_evidence import _OFFERED, texts_of
from scanner.diagnosis.clients.endings import CLIENTS, OK, alert_texts
from scanner.tls.registry_names import SUITES, cipher_suite
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


def test_pythons_list_of_suites() -> None:
    """The list that this Python offers by default, against the table."""
    context = ssl.create_default_context()
    real = {entry["id"] & 0xFFFF for entry in context.get_ciphers()}
    asked = real | set(SUITES)
    known = {code for code in asked if cipher_suite(code).kx in ("ECDHE", "DHE", "RSA", "TLS13")}
    assert {code for code in known if _OFFERED["python"](code)} - real == set()
    assert real - {code for code in known if _OFFERED["python"](code)} == set()


def test_a_java_exception_for_each_kind_of_alert() -> None:
    assert alert_texts(40)["java"].startswith("javax.net.ssl.SSLHandshakeException: ")
    assert alert_texts(80)["java"] == "javax.net.ssl.SSLException: Received fatal alert: internal_error"
    assert alert_texts(10)["java"].startswith("javax.net.ssl.SSLProtocolException: ")


@pytest.mark.parametrize(
    ("name", "refused_by"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", set()),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", {"python"}),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", {"python", "chrome", "firefox"}),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", {"python", "go", "java"}),
        ("TLS_RSA_WITH_AES_256_CCM", {"openssl", "curl", "python", "go", "java", "chrome", "firefox"}),
        ("TLS_RSA_WITH_CAMELLIA_128_CBC_SHA", set(CLIENTS)),
    ],
)
def test_clients_accept_the_suites_that_they_offer(name: str, refused_by: set[str]) -> None:
    code = next(code for code in SUITES if cipher_suite(code).name == name)
    assert refusing("no-shared-cipher", cipher_code=code, failure="alert", alert_code=40) - {"gnutls"} == refused_by - {
        "gnutls"
    }


def test_each_client_has_its_shortest_prime() -> None:
    """OpenSSL at level 2 wants 2048 bits, the others that still know Diffie-Hellman 1024."""
    code = next(code for code in SUITES if cipher_suite(code).name == "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256")
    assert refusing("no-shared-cipher", cipher_code=code, dh_bits=2048, failure="alert", alert_code=40) == {
        "go",
        "chrome",
        "firefox",
    }
    short = texts_of("no-shared-cipher", {"cipher_code": code, "dh_bits": 1024, "alert_code": 40}, target())
    assert short is not None
    assert short["openssl"] == "SSL routines::dh key too small"
    assert short["java"] == OK


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
    assert refusing("weak-key", key="dsa:2048", dsa_bits=2048, refused_by=["Go", "Java"]) == {"go", "java"}


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
