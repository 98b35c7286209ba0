"""What a whole flight contains that its hello did not allow: the code, who refuses, and how severe that is for the protocol."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scanner.diagnosis.rules.deviations import JAVA_HANDSHAKE_ALERTS, LONGEST, deviation_claims
from scanner.model.evidence import ClientAuthRequest, Deviation, Negotiation
from tests.helpers.evidence import answered, codes, diagnosed, evidence, proof, target

TLS12: dict[str, Any] = {"version": 0x0303, "cipher": 0xC02F, "group": 0x001D, "finished_valid": None}
ALL = ["Chrome", "Firefox", "GnuTLS", "Go", "Java", "OpenSSL"]
MALFORMED = "malformed-handshake"


def refusing(deviation: Deviation, *, old: bool = False, browsers: bool = True) -> list[str]:
    negotiation = Negotiation(version=0x0303 if old else 0x0304, cipher=0xC02F, complete=True, deviations=(deviation,))
    (claim,) = deviation_claims(negotiation, browsers)
    return sorted(claim.evidence["refused_by"])


def test_a_flight_without_renegotiation_info() -> None:
    diagnosis = diagnosed(answered(**TLS12, deviations=(Deviation("no-renegotiation-info"),)))
    assert (diagnosis.outcome, diagnosis.cause, codes(diagnosis)) == (
        "fail",
        "protocol-version",
        ["legacy-renegotiation"],
    )
    assert proof(diagnosis, "legacy-renegotiation") == {
        "version": "TLSv1.2",
        "refused_by": ["OpenSSL", "curl", "Python"],
    }
    assert {client for client, text in diagnosis.clients.items() if text == "ok"} == {
        "go",
        "java",
        "chrome",
        "firefox",
        "gnutls",
    }


@pytest.mark.parametrize("protocol", ["https", "smtp", "ldaps"])
def test_it_is_an_error_in_every_protocol(protocol: str) -> None:
    seen = answered(**TLS12, deviations=(Deviation("no-renegotiation-info"),))
    assert codes(diagnosed(evidence(seen, of=target(protocol=protocol)))) == ["legacy-renegotiation"]


@pytest.mark.parametrize(
    "deviation",
    [
        Deviation("wrong-renegotiation-info"),
        Deviation("no-key-exchange"),
        Deviation("share", "ServerKeyExchange", 0x001D, name="order"),
        Deviation("share", "ServerKeyExchange", None, name="form"),
        Deviation("scheme", "ServerKeyExchange", 0x0101),
        Deviation("scheme", "CertificateVerify", 0x0708),
    ],
    ids=lambda deviation: f"{deviation.kind}-{deviation.name}",
)
def test_what_everybody_refuses(deviation: Deviation) -> None:
    assert refusing(deviation, old=True) == ALL
    diagnosis = diagnosed(answered(**TLS12, deviations=(deviation,)))
    assert codes(diagnosis) == ["no-shared-signature-scheme" if deviation.kind == "scheme" else MALFORMED]
    assert "ok" not in {diagnosis.clients.get(client) for client in ("openssl", "go", "java", "chrome")}


@pytest.mark.parametrize(
    ("message", "code", "old", "clients"),
    [
        ("ServerHello", 1, True, ["Chrome", "Firefox", "GnuTLS", "Java", "OpenSSL"]),
        ("ServerHello", 13, True, ["Chrome", "GnuTLS", "Java", "OpenSSL"]),
        ("ServerHello", 28, True, ["Chrome"]),
        ("ServerHello", 15, True, ["Chrome", "Firefox", "GnuTLS"]),
        ("ServerHello", 16, True, ALL),
        ("EncryptedExtensions", 16, False, ALL),
        ("ServerHello", 22, True, ["Chrome", "Firefox"]),
        ("ServerHello", 27, True, ["Chrome", "GnuTLS", "OpenSSL"]),
        ("ServerHello", 13172, True, ["Chrome", "Firefox", "OpenSSL"]),
        ("ServerHello", 0x1234, True, ["Chrome", "Firefox"]),
        ("ServerHello", 23, False, ["Chrome", "Firefox", "GnuTLS", "Go", "OpenSSL"]),
        ("HelloRetryRequest", 41, False, ALL),
        ("EncryptedExtensions", 1, False, ["Chrome", "Firefox", "GnuTLS", "Java", "OpenSSL"]),
        ("EncryptedExtensions", 42, False, ["Chrome", "Firefox", "GnuTLS", "Go", "OpenSSL"]),
        ("EncryptedExtensions", 57, False, ["Chrome", "Firefox", "Go"]),
        ("EncryptedExtensions", 28, False, ["Chrome"]),
        ("EncryptedExtensions", 11, False, ["Chrome", "Firefox", "GnuTLS", "OpenSSL"]),
        ("Certificate", 0x1234, False, ["Chrome", "Firefox", "GnuTLS"]),
    ],
)
def test_who_refuses_an_extension(message: str, code: int, old: bool, clients: list[str]) -> None:
    assert refusing(Deviation("extension", message, code), old=old) == clients


def test_an_extension_is_named_with_its_message() -> None:
    offered = answered(deviations=(Deviation("extension", "EncryptedExtensions", 0xFF01),))
    assert (
        "its EncryptedExtensions has the extension renegotiation_info, which does not belong there"
        in (diagnosed(offered).diagnoses[0]["summary"])
    )
    other = answered(deviations=(Deviation("extension", "EncryptedExtensions", 1),))
    assert "max_fragment_length, which was not offered" in diagnosed(other).diagnoses[0]["summary"]
    unnamed = answered(deviations=(Deviation("extension", "Certificate", 0x1234),))
    assert proof(diagnosed(unnamed), MALFORMED)["extension"] == "0x1234"


def test_several_extensions_are_one_diagnosis() -> None:
    seen = answered(
        deviations=(Deviation("extension", "EncryptedExtensions", 1), Deviation("extension", "EncryptedExtensions", 42))
    )
    diagnosis = diagnosed(seen)
    assert codes(diagnosis) == [MALFORMED]
    assert [each["extension_code"] for each in proof(diagnosis, MALFORMED)["also"]] == [42]


@pytest.mark.parametrize(
    ("code", "expected"), [(0x1234, [f"{MALFORMED}."]), (15, [f"{MALFORMED}?"]), (1, [MALFORMED]), (13172, [MALFORMED])]
)
def test_what_only_browsers_refuse_is_no_error_of_other_protocols(code: int, expected: list[str]) -> None:
    seen = answered(**TLS12, deviations=(Deviation("extension", "ServerHello", code),))
    assert codes(diagnosed(seen)) == [MALFORMED]
    assert codes(diagnosed(evidence(seen, of=target(protocol="smtp")))) == expected


def test_an_alpn_name_that_was_not_offered() -> None:
    diagnosis = diagnosed(
        answered(alpn="spdy/3", deviations=(Deviation("alpn", "EncryptedExtensions", name="spdy/3"),))
    )
    assert codes(diagnosis) == [MALFORMED]
    assert "ALPN protocol 'spdy/3'" in diagnosis.diagnoses[0]["summary"]
    # whether clients that offer none would be sent one is not known
    assert set(diagnosis.clients) == {"curl", "chrome", "firefox"}


@pytest.mark.parametrize(
    ("message", "size", "clients"),
    [
        ("Certificate", 32_769, ["Java"]),
        ("Certificate", 102_400, ["Java"]),
        ("Certificate", 102_401, ["Chrome", "Java", "OpenSSL"]),
        ("Certificate", 200_000, ["Chrome", "Firefox", "GnuTLS", "Java", "OpenSSL"]),
        ("CertificateRequest", 40_000, ["Java"]),
        ("CertificateRequest", 65_537, ["Go", "Java"]),
    ],
)
def test_who_refuses_a_long_message(message: str, size: int, clients: list[str]) -> None:
    assert refusing(Deviation("long-message", message, size=size)) == clients


def test_words_on_a_long_message_follow_what_is_long() -> None:
    long = diagnosed(answered(deviations=(Deviation("long-message", "Certificate", size=40_000),)))
    assert codes(long) == ["oversized-message"]
    assert "Certificate of 40000 bytes" in long.diagnoses[0]["summary"]
    assert "nothing else" in long.diagnoses[0]["remedy"]
    request = ClientAuthRequest((b"0\0",) * 300)
    names = diagnosed(
        answered(client_auth=request, deviations=(Deviation("long-message", "CertificateRequest", size=40_000),))
    )
    assert "300 CA names" in names.diagnoses[0]["summary"] and "300 names" in names.diagnoses[0]["remedy"]
    assert proof(names, "oversized-message")["longest"] == min(most for most, _ in LONGEST.values())


def test_nothing_is_said_of_a_flight_that_was_not_whole() -> None:
    seen = Negotiation(version=0x0303, deviations=(Deviation("no-renegotiation-info"),))
    assert deviation_claims(seen, True) == ()


def test_a_flight_without_certificates_is_judged_too() -> None:
    seen = answered([], **TLS12, deviations=(Deviation("no-renegotiation-info"),))
    assert codes(diagnosed(seen)) == ["no-certificate", "legacy-renegotiation"]


# --- warnings ------------------------------------------------------------------------------------------


def warned(code: int, level: int = 1, **changes: Any) -> Any:
    return replace(answered(**TLS12, **changes), alert=(level, code))


def test_a_warning_about_the_name_is_refused_by_java_alone() -> None:
    diagnosis = diagnosed(warned(112))
    assert codes(diagnosis) == ["sni-unrecognized"]
    assert {client for client, text in diagnosis.clients.items() if text != "ok"} == {"java"}
    assert "warns" in diagnosis.diagnoses[0]["summary"] and "ServerAlias" in diagnosis.diagnoses[0]["remedy"]
    assert diagnosis.diagnoses[0]["confirm"].endswith(" -msg </dev/null")


@pytest.mark.parametrize("code", sorted(JAVA_HANDSHAKE_ALERTS - {112}))
def test_other_warnings_of_a_handshake(code: int) -> None:
    diagnosis = diagnosed(warned(code))
    assert codes(diagnosis) == [MALFORMED]
    assert diagnosis.clients["java"].startswith("javax.net.ssl.SSLHandshakeException: received handshake warning: ")
    assert (diagnosis.clients["openssl"] == "ok") is (code != 100)


@pytest.mark.parametrize("code", [0, 10, 20, 80, 90, 255])
def test_warnings_that_nobody_minds(code: int) -> None:
    assert codes(diagnosed(warned(code))) == []
