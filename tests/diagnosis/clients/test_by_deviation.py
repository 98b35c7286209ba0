"""Texts on what a whole flight contains are of those who refuse it; ``tests/clients/test_deviations.py`` compares them with clients."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.diagnosis.clients.by_deviation import malformed_texts, oversized_texts, unoffered_scheme_texts
from scanner.diagnosis.clients.endings import CLIENTS, OK, by_release
from tests.helpers.evidence import target

ALL = ["OpenSSL", "Go", "Java", "Chrome", "Firefox", "GnuTLS"]


def malformed(kind: str, *, refused_by: list[str] = ALL, **facts: Any) -> dict[str, str]:
    return dict(malformed_texts({"deviation": kind, "refused_by": refused_by, **facts}, target()))


def test_who_does_not_refuse_accepts() -> None:
    texts = malformed("extension", refused_by=["OpenSSL"], message="ServerHello", extension_code=1, version_code=0x0303)
    assert {client for client, text in texts.items() if text != OK} == {"openssl", "curl", "python", "node"}
    assert set(texts) == set(CLIENTS)


@pytest.mark.parametrize(
    ("message", "code", "version", "reason"),
    [
        ("ServerHello", 1, 0x0303, "unsolicited extension"),
        ("ServerHello", 13, 0x0303, "bad extension"),
        ("ServerHello", 23, 0x0304, "bad extension"),
        ("ServerHello", 41, 0x0304, "unsolicited extension"),
        ("EncryptedExtensions", 1, 0x0304, "unsolicited extension"),
        ("EncryptedExtensions", 42, 0x0304, "unsolicited extension"),
        ("EncryptedExtensions", 0xFF01, 0x0304, "bad extension"),
        ("Certificate", 5, 0x0304, "unsolicited extension"),
        ("Certificate", 1, 0x0304, "bad extension"),
    ],
)
def test_openssl_tells_what_it_did_not_offer_from_what_does_not_belong_there(
    message: str, code: int, version: int, reason: str
) -> None:
    texts = malformed("extension", message=message, extension_code=code, version_code=version)
    assert texts["openssl"] == f"SSL routines::{reason}"


@pytest.mark.parametrize("code", [19, 20, 27, 0xFE0D])
def test_what_only_the_newest_openssl_knows_is_not_predicted(code: int) -> None:
    texts = malformed("extension", message="ServerHello", extension_code=code, version_code=0x0303)
    assert not {"openssl", "curl", "python", "node"} & set(texts)


def test_a_scheme_that_was_not_offered() -> None:
    sha1 = {"signed_with": "rsa_pkcs1_sha1", "scheme_code": 0x0201, "refused_by": ["Chrome", "Go", "OpenSSL"]}
    texts = unoffered_scheme_texts(sha1, target())
    assert {client for client, text in texts.items() if text == OK} == {"firefox", "gnutls"}
    assert by_release(texts["java"])[1:] == ("Java 25", OK)
    md5 = {"signed_with": "rsa_pkcs1_md5", "scheme_code": 0x0101, "refused_by": ALL}
    assert OK not in unoffered_scheme_texts(md5, target()).values()


def test_java_says_the_size_of_a_long_message() -> None:
    texts = oversized_texts({"message": "CertificateRequest", "size": 34_272, "refused_by": ["Java"]}, target())
    assert texts["java"].endswith("The size of the handshake message (34272) exceeds the maximum allowed size (32768)")
    assert {client for client, text in texts.items() if text != OK} == {"java"}
    everybody = oversized_texts({"message": "Certificate", "size": 240_000, "refused_by": ALL}, target())
    assert {client for client in CLIENTS if client not in everybody} == {"go"}  # which takes as much
