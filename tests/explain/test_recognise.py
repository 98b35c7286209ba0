"""Names, numbers, alerts and statuses are recognised in pasted texts, including hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.explain.recognise import MAX_TEXT, alphanumerics, by_name, recognise, sanitise


def named(text: str) -> list[str]:
    return [known.name for known in recognise(sanitise(text)).errors]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("curl: (60) SSL certificate problem", "CURLE_PEER_FAILED_VERIFICATION"),
        ("cURL error 35: error", "CURLE_SSL_CONNECT_ERROR"),
        ("The command 'curl -f https://x/' failed with exit code 7", "CURLE_COULDNT_CONNECT"),
        ("error:0A00010B:SSL routines:ssl3_get_record:wrong version number", "SSL_R_WRONG_VERSION_NUMBER"),
        ("error:1408F10B:SSL routines:ssl3_get_record:wrong version number", "SSL_R_WRONG_VERSION_NUMBER"),
        ("SSL routines::dh key too small", "SSL_R_DH_KEY_TOO_SMALL"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "SSL_R_WRONG_VERSION_NUMBER"),
        ("code: 'ERR_SSL_WRONG_VERSION_NUMBER'", "SSL_R_WRONG_VERSION_NUMBER"),
        ("Verify return code: 21 (unable to verify the first certificate)", "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE"),
        ("verify error:num=10:certificate has expired", "X509_V_ERR_CERT_HAS_EXPIRED"),
        ("SEC_E_UNTRUSTED_ROOT", "SEC_E_UNTRUSTED_ROOT"),
        ("failed with 0x80090325", "SEC_E_UNTRUSTED_ROOT"),
        ("hr = -2146893019", "SEC_E_UNTRUSTED_ROOT"),
        ("0x800B0109", "CERT_E_UNTRUSTEDROOT"),
        ("NSS error -8179", "SEC_ERROR_UNKNOWN_ISSUER"),
        ("Error code: sec_error_unknown_issuer", "SEC_ERROR_UNKNOWN_ISSUER"),
        ("SSL error code 1, net_error -202", "ERR_CERT_AUTHORITY_INVALID"),
        ("NSURLErrorDomain Code=-1202 \"The certificate\"", "NSURLErrorServerCertificateUntrusted"),
        ("CFNetwork SSLHandshake failed (-9807)", "errSSLXCertChainInvalid"),
        ("gnutls_handshake() failed: -110", "GNUTLS_E_PREMATURE_TERMINATION"),
        ("Connection refused (os error 111)", "ECONNREFUSED"),
        ("SocketException (10061)", "WSAECONNREFUSED"),
        ("connect ECONNREFUSED 127.0.0.1:443", "ECONNREFUSED"),
        ("\x1b[31mERR_CERT_DATE_INVALID\x1b[0m", "ERR_CERT_DATE_INVALID"),
        ("60", "CURLE_PEER_FAILED_VERIFICATION"),
        ("-9814", "errSSLCertExpired"),
    ],
)  # fmt: skip
def test_errors_are_recognised(text: str, name: str) -> None:
    assert name in named(text)


@pytest.mark.parametrize(
    ("text", "alert"),
    [
        ("SSL alert number 40", 40),
        ("error:0A000410:SSL routines::sslv3 alert handshake failure", 40),
        ("ssl/tls alert handshake failure", 40),
        ("ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", 40),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version", 70),
        ("SSL routines::tlsv1 unrecognized name", 112),
        ("Received fatal alert: certificate_required", 116),
        ("*** Received alert [112]: The server name sent was not recognized", 112),
        ("remote error: tls: protocol version not supported", 70),
        ("received fatal alert: HandshakeFailure", 40),
        ("TLSv1.3 (IN), TLS alert, certificate required (628):", 116),
        ("The TLS protocol defined fatal alert code is 48.", 48),
        ("40", 40),
    ],
)
def test_alerts_are_recognised(text: str, alert: int) -> None:
    assert alert in recognise(sanitise(text)).alerts


def test_an_alert_about_a_certificate_is_not_about_the_servers() -> None:
    """ "certificate expired" as an alert is about the other side's certificate."""
    found = recognise(sanitise("error:0A000415:SSL routines::sslv3 alert certificate expired"))
    assert found.alerts == (45,)
    assert "certificateexpired" not in found.rest


def test_http_statuses_are_recognised() -> None:
    assert recognise("HTTP/1.1 400 Bad Request").statuses == (400,)
    assert recognise("nginx 495 SSL Certificate Error").statuses == (495,)
    assert recognise("took 400 ms").statuses == ()


def test_line_breaks_do_not_matter() -> None:
    assert alphanumerics("CERTIFICATE_VERIFY_\n  FAILED") == alphanumerics("certificate verify failed")


def test_every_group_of_errors_is_known() -> None:
    """Every group of errors is present."""
    groups = {known.group for known in by_name().values()}
    assert groups >= {
        "openssl",
        "openssl-verify",
        "curl",
        "chrome",
        "nss",
        "gnutls",
        "windows",
        "node",
        "dotnet",
        "apple",
    }
    assert len(by_name()) > 1200


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_recognised(text: str) -> None:
    cleaned = sanitise(text)
    assert not any(ord(character) < 32 and character != "\n" for character in cleaned)
    recognise(cleaned)


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]0;" + "a" * 300_000,
        "SSL routines:" * 30_000,
        "curl " + "exit " * 60_000,
        "alert(" * 60_000,
        "gnutls " * 50_000,
        "\ufdfa" * 100_000,
        "-" * 300_000,
        "1" * 300_000,
        "ERR_SSL_" + "A" * 300_000,
    ],
)
def test_long_texts_are_truncated(text: str) -> None:
    cleaned = sanitise(text)
    assert len(cleaned) <= MAX_TEXT + 1
    recognise(cleaned)
