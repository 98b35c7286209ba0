"""Names of code points: spelled as the registries do, and never a failure for the unknown."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.tls import offers
from scanner.tls import registry_names as names
from scanner.tls.registry_names import (
    GREASE,
    GROUPS,
    SCHEMES,
    SUITES,
    alert_name,
    cipher_name,
    cipher_suite,
    group_name,
    is_grease,
    scheme_name,
    version_name,
)


def test_names_are_those_of_the_registries() -> None:
    assert cipher_name(0x1301) == "TLS_AES_128_GCM_SHA256"
    assert cipher_name(0xC02F) == "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
    assert cipher_name(0x00FF) == "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"
    assert cipher_name(0x5600) == "TLS_FALLBACK_SCSV"
    assert group_name(0x001D) == "x25519"
    assert group_name(0x0017) == "secp256r1"
    assert group_name(0x0019) == "secp521r1"
    assert group_name(0x001C) == "brainpoolP512r1"
    assert group_name(0x0029) == "curveSM2"
    assert group_name(0x11EC) == "X25519MLKEM768"
    assert scheme_name(0x0403) == "ecdsa_secp256r1_sha256"
    assert scheme_name(0x0804) == "rsa_pss_rsae_sha256"
    assert scheme_name(0x091C) == "slhdsa_shake_256f"


@pytest.mark.parametrize(
    ("code", "name"),
    [(0x0002, "SSLv2"), (0x0300, "SSLv3"), (0x0301, "TLSv1.0"), (0x0302, "TLSv1.1"), (0x0303, "TLSv1.2"),
     (0x0304, "TLSv1.3"), (0x7F1C, "TLSv1.3-draft28"), (0x0305, "0x0305"), (0x7F00, "0x7f00"), (0x3A3A, GREASE)],
)  # fmt: skip
def test_version_names(code: int, name: str) -> None:
    assert version_name(code) == name


@pytest.mark.parametrize(
    ("code", "name"),
    [(0, "close_notify"), (40, "handshake_failure"), (41, "no_certificate"), (60, "export_restriction"),
     (70, "protocol_version"), (112, "unrecognized_name"), (116, "certificate_required"), (121, "ech_required"),
     (255, "0xff"), (1, "0x01")],
)  # fmt: skip
def test_alert_names(code: int, name: str) -> None:
    assert alert_name(code) == name


def test_unknown_code_points_are_hexadecimal() -> None:
    assert cipher_name(0x1A2B) == group_name(0x1A2B) == scheme_name(0x1A2B) == "0x1a2b"
    unknown = cipher_suite(0x1A2B)
    assert (unknown.name, unknown.kx, unknown.weak, unknown.openssl) == ("0x1a2b", "unknown", None, None)


def test_the_sixteen_grease_values() -> None:
    reserved = [code for code in range(0x10000) if is_grease(code)]
    assert reserved == [0x0A0A + 0x1010 * i for i in range(16)]
    assert cipher_name(0xFAFA) == group_name(0x0A0A) == scheme_name(0x5A5A) == cipher_suite(0x1A1A).name == GREASE
    assert not any(code in table for code in reserved for table in (SUITES, GROUPS, SCHEMES))


@pytest.mark.parametrize(
    ("code", "kx", "auth", "cipher", "mac", "weak", "forward_secret"),
    [
        (0x1303, "TLS13", "any", "CHACHA20_POLY1305", "AEAD", None, True),
        (0x1304, "TLS13", "any", "AES_128_CCM", "AEAD", None, True),
        (0xC02B, "ECDHE", "ECDSA", "AES_128_GCM", "AEAD", None, True),
        (0x009E, "DHE", "RSA", "AES_128_GCM", "AEAD", None, True),
        (0x009C, "RSA", "RSA", "AES_128_GCM", "AEAD", None, False),
        (0xC027, "ECDHE", "RSA", "AES_128_CBC", "SHA256", None, True),
        (0xC0A3, "DHE", "RSA", "AES_256_CCM_8", "AEAD", None, True),
        (0x000A, "RSA", "RSA", "3DES_EDE_CBC", "SHA1", "3DES", False),
        (0x0009, "RSA", "RSA", "DES_CBC", "SHA1", "DES", False),
        (0x0005, "RSA", "RSA", "RC4_128", "SHA1", "RC4", False),
        (0x0003, "RSA", "RSA", "RC4_40", "MD5", "EXPORT", False),
        (0x0007, "RSA", "RSA", "IDEA_CBC", "SHA1", "IDEA", False),
        (0x0034, "DHE", "anon", "AES_128_CBC", "SHA1", "anon", True),
        (0xC015, "ECDHE", "anon", "NULL", "SHA1", "NULL", True),
        (0xC006, "ECDHE", "ECDSA", "NULL", "SHA1", "NULL", True),
        (0xC037, "ECDHE", "PSK", "AES_128_CBC", "SHA256", None, True),
        (0xC031, "ECDH", "RSA", "AES_128_GCM", "AEAD", None, False),
        (0x0000, "NULL", "NULL", "NULL", "NULL", "NULL", False),
    ],
)
def test_parts_of_cipher_suites(
    code: int, kx: str, auth: str, cipher: str, mac: str, weak: str | None, forward_secret: bool
) -> None:
    suite = cipher_suite(code)
    assert (suite.kx, suite.auth, suite.cipher, suite.mac, suite.weak) == (kx, auth, cipher, mac, weak)
    assert suite.forward_secret is forward_secret
    assert suite.code == code


def test_every_code_point_that_is_offered_has_a_name() -> None:
    assert not [code for code in offers.ALL_SUITES if code not in SUITES]
    assert not [code for code in offers.ALL_GROUPS if code not in GROUPS]
    assert not [code for code in offers.MODERN.schemes if code not in SCHEMES]
    assert all(cipher_suite(code).weak for code in offers.BROKEN)
    assert not any(cipher_suite(code).weak for code in (*offers.MODERN_SUITES, *offers.RETIRED) if code != 0x0096)


def test_names_are_distinct_and_without_spaces() -> None:
    names = [entry[0] for entry in SUITES.values()]
    assert len(set(names)) == len(names)
    assert all(" " not in name and name.isascii() for name in names)


def test_openssl_names_agree_with_openssl_itself() -> None:
    """What `openssl ciphers -V` prints is the reference for the names its users know."""
    command = ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the openssl command is not installed")
    seen = 0
    for line in listed.splitlines():
        code_text, _, standard, _, openssl, *_ = line.split()
        high, low = (int(part, 16) for part in code_text.split(","))
        suite = cipher_suite(high << 8 | low)
        assert (suite.name, suite.openssl) == (standard, openssl)
        seen += 1
    assert seen > 30


@given(st.integers(0, 0xFFFF))
def test_every_code_point_has_a_name(code: int) -> None:
    for name in (cipher_name, group_name, scheme_name, version_name):
        assert name(code)
    assert alert_name(code & 0xFF)
    assert cipher_suite(code).name == cipher_name(code)


@pytest.mark.parametrize(
    ("name_of", "code_of", "table"),
    [
        (names.cipher_name, names.cipher_code, SUITES),
        (names.group_name, names.group_code, names.GROUPS),
        (names.scheme_name, names.scheme_code, names.SCHEMES),
        (names.version_name, names.version_code, {**names.VERSIONS, 0x7F17: "draft 23", 0x7F1C: "draft 28"}),
    ],
)
def test_names_lead_back_to_their_codes(name_of: Any, code_of: Any, table: Any) -> None:
    """Back to the code, but where several share a name; and the unknown, which is its own code, too."""
    shared = {code for code in table if code_of(name_of(code)) != code}
    assert shared <= {0xFE31}
    assert code_of(name_of(0xF00F)) == 0xF00F
    assert code_of("nonsense") is code_of(names.GREASE) is code_of("0x123") is code_of("0xzzzz") is None


def test_drafts_that_do_not_exist_have_no_code() -> None:
    assert names.version_code("TLSv1.3-draft99") is names.version_code("TLSv1.3-draft") is None
