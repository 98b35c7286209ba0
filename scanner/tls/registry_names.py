"""Names of the code points of TLS as in the IANA registries, and codes by name; an unknown one is a number in hexadecimal.

Code points are integers everywhere else, and get names only where a person reads them. Reserved GREASE values (RFC 8701)
are named "GREASE".
"""

from __future__ import annotations

from functools import cache
from typing import Final

import orjson
from msgspec import Struct

from scanner.shipped import shipped

GREASE: Final = "GREASE"

# "TLSv1.3" rather than "TLS 1.3": one word, as OpenSSL, curl and Python print it
VERSIONS: Final = {
    0x0002: "SSLv2",
    0x0300: "SSLv3",
    0x0301: "TLSv1.0",
    0x0302: "TLSv1.1",
    0x0303: "TLSv1.2",
    0x0304: "TLSv1.3",
}

# RFC 8446 section 6, RFC 5246 section 7.2, and the older and later ones of the registry "TLS Alerts"
ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",  # TLS 1.0 (RFC 2246); reserved since TLS 1.1
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",  # SSL 3.0 (RFC 6101)
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    52: "too_many_cids_requested",  # RFC 9147
    60: "export_restriction",  # TLS 1.0 (RFC 2246); reserved since TLS 1.1
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",  # RFC 7507
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",  # RFC 6066
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",  # RFC 6066
    115: "unknown_psk_identity",
    116: "certificate_required",
    117: "general_error",  # the revision of TLS 1.3
    120: "no_application_protocol",  # RFC 7301
    121: "ech_required",
}

# registry "TLS Supported Groups"
GROUPS: Final = {
    **dict(
        enumerate(
            (
                "sect163k1", "sect163r1", "sect163r2", "sect193r1", "sect193r2", "sect233k1", "sect233r1", "sect239k1",
                "sect283k1", "sect283r1", "sect409k1", "sect409r1", "sect571k1", "sect571r1", "secp160k1", "secp160r1",
                "secp160r2", "secp192k1", "secp192r1", "secp224k1", "secp224r1", "secp256k1", "secp256r1", "secp384r1",
                "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "x25519", "x448",
                "brainpoolP256r1tls13", "brainpoolP384r1tls13", "brainpoolP512r1tls13", "GC256A", "GC256B", "GC256C",
                "GC256D", "GC512A", "GC512B", "GC512C", "curveSM2",
            ),
            start=1,
        )
    ),
    0x0100: "ffdhe2048",
    0x0101: "ffdhe3072",
    0x0102: "ffdhe4096",
    0x0103: "ffdhe6144",
    0x0104: "ffdhe8192",
    0x0200: "MLKEM512",
    0x0201: "MLKEM768",
    0x0202: "MLKEM1024",
    0x11EB: "SecP256r1MLKEM768",
    0x11EC: "X25519MLKEM768",
    0x11ED: "SecP384r1MLKEM1024",
    0x11EE: "curveSM2MLKEM768",
    0x4138: "CECPQ2",  # an experiment of 2019, never registered
    0x6399: "X25519Kyber768Draft00",
    0x639A: "SecP256r1Kyber768Draft00",
    0xFE30: "X25519Kyber512Draft00",  # private use, as one large content network deployed it
    0xFE31: "X25519Kyber768Draft00",
    0xFF01: "arbitrary_explicit_prime_curves",
    0xFF02: "arbitrary_explicit_char2_curves",
}  # fmt: skip

# registry "TLS SignatureScheme"; pairs of TLS 1.2 (RFC 5246 section 7.4.1.4.1) without a name there follow its manner
SCHEMES: Final = {
    0x0101: "rsa_md5",
    0x0102: "dsa_md5",
    0x0103: "ecdsa_md5",
    0x0201: "rsa_pkcs1_sha1",
    0x0202: "dsa_sha1",
    0x0203: "ecdsa_sha1",
    0x0301: "rsa_pkcs1_sha224",
    0x0302: "dsa_sha224",
    0x0303: "ecdsa_sha224",
    0x0401: "rsa_pkcs1_sha256",
    0x0402: "dsa_sha256",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0420: "rsa_pkcs1_sha256_legacy",
    0x0501: "rsa_pkcs1_sha384",
    0x0502: "dsa_sha384",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0520: "rsa_pkcs1_sha384_legacy",
    0x0601: "rsa_pkcs1_sha512",
    0x0602: "dsa_sha512",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0620: "rsa_pkcs1_sha512_legacy",
    0x0704: "eccsi_sha256",
    0x0705: "iso_ibs1",
    0x0706: "iso_ibs2",
    0x0707: "iso_chinese_ibs",
    0x0708: "sm2sig_sm3",
    0x0709: "gostr34102012_256a",
    0x070A: "gostr34102012_256b",
    0x070B: "gostr34102012_256c",
    0x070C: "gostr34102012_256d",
    0x070D: "gostr34102012_512a",
    0x070E: "gostr34102012_512b",
    0x070F: "gostr34102012_512c",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0809: "rsa_pss_pss_sha256",
    0x080A: "rsa_pss_pss_sha384",
    0x080B: "rsa_pss_pss_sha512",
    0x081A: "ecdsa_brainpoolP256r1tls13_sha256",
    0x081B: "ecdsa_brainpoolP384r1tls13_sha384",
    0x081C: "ecdsa_brainpoolP512r1tls13_sha512",
    0x0840: "gostr34102012_256",
    0x0841: "gostr34102012_512",
    0x0904: "mldsa44",
    0x0905: "mldsa65",
    0x0906: "mldsa87",
    **dict(
        enumerate(
            (
                "slhdsa_sha2_128s", "slhdsa_sha2_128f", "slhdsa_sha2_192s", "slhdsa_sha2_192f", "slhdsa_sha2_256s",
                "slhdsa_sha2_256f", "slhdsa_shake_128s", "slhdsa_shake_128f", "slhdsa_shake_192s", "slhdsa_shake_192f",
                "slhdsa_shake_256s", "slhdsa_shake_256f",
            ),
            start=0x0911,
        )
    ),
}  # fmt: skip

# Cipher suites by code point, made by ``scripts/build_tls_names.py``: (IANA name, OpenSSL name or "", key exchange,
# authentication, cipher, MAC), see ``Suite``. Names that begin with ``OLD_TLS_`` were never in the registry.
SUITES: Final[dict[int, tuple[str, str, str, str, str, str]]] = {
    int(code, 16): tuple(fields) for code, fields in orjson.loads(shipped("cipher-suites.json")).items()
}

FORWARD_SECRET_EXCHANGES: Final = frozenset({"ECDHE", "DHE", "TLS13", "CECPQ1", "ECCPWD", "IBSDH", "SRP"})


class Suite(Struct, frozen=True):
    """The parts of a cipher suite.

    ``kx`` is the key exchange: "TLS13" where the suite does not name it (RFC 8446 appendix B.4), "ECDHE", "DHE", "RSA",
    "ECDH", "DH", "PSK", "SRP", ...; ``auth`` is what authenticates the server: "any" for TLS 1.3, "RSA", "ECDSA", "DSS",
    "PSK", "anon" for nothing. ``mac`` is "AEAD" where the cipher includes it. A signalling value (RFC 5746, RFC 7507) has
    "SCSV" in every field, a code point that is not in the table "unknown".
    ``weak`` names a part that is broken beyond dispute ("NULL", "anon", "EXPORT", "RC4", "RC2", "DES", "3DES", "IDEA"), or
    is None. A lack of forward secrecy does not count as that.
    """

    code: int
    name: str
    openssl: str | None
    kx: str
    auth: str
    cipher: str
    mac: str
    weak: str | None
    forward_secret: bool


def is_grease(code: int) -> bool:
    """Return whether a 16-bit code point is one of the sixteen reserved by RFC 8701: 0x0A0A, 0x1A1A, ... 0xFAFA."""
    return code & 0x0F0F == 0x0A0A and code >> 8 == code & 0xFF


def cipher_name(code: int) -> str:
    """Return the IANA name of a cipher suite, or its code as "0x1a2b"."""
    entry = SUITES.get(code)
    return entry[0] if entry is not None else _unnamed(code)


def group_name(code: int) -> str:
    """Return the IANA name of a group of supported_groups (RFC 8446 section 4.2.7), or its code as "0x1a2b"."""
    return GROUPS.get(code) or _unnamed(code)


def scheme_name(code: int) -> str:
    """Return the IANA name of a signature scheme (RFC 8446 section 4.2.3), or its code as "0x1a2b"."""
    return SCHEMES.get(code) or _unnamed(code)


def version_name(code: int) -> str:
    """Return a protocol version as "TLSv1.3"; drafts of TLS 1.3 as "TLSv1.3-draft28"; else its code as "0x1a2b"."""
    if 0x7F00 < code <= 0x7F1C:
        return f"TLSv1.3-draft{code & 0xFF}"
    return VERSIONS.get(code) or _unnamed(code)


def cipher_code(name: str) -> int | None:
    """Return the code of a name of ``cipher_name``, or None."""
    return _codes("cipher").get(name, _code_as_text(name))


def group_code(name: str) -> int | None:
    """Return the code of a name of ``group_name``, the lowest of several, or None."""
    return _codes("group").get(name, _code_as_text(name))


def scheme_code(name: str) -> int | None:
    """Return the code of a name of ``scheme_name``, or None."""
    return _codes("scheme").get(name, _code_as_text(name))


def version_code(name: str) -> int | None:
    """Return the code of a name of ``version_name``, or None."""
    draft = name.removeprefix("TLSv1.3-draft")
    if draft != name and draft.isascii() and draft.isdigit() and int(draft[:3]) <= 28:
        return 0x7F00 + int(draft)
    return _codes("version").get(name, _code_as_text(name))


@cache
def _codes(kind: str) -> dict[str, int]:
    named: dict[str, dict[int, str]] = {
        "cipher": {code: entry[0] for code, entry in SUITES.items()},
        "group": GROUPS,
        "scheme": SCHEMES,
        "version": VERSIONS,
    }
    codes: dict[str, int] = {}
    for code, name in named[kind].items():
        codes.setdefault(name, code)
    return codes


def _code_as_text(name: str) -> int | None:
    try:
        return int(name, 16) if name.startswith("0x") and len(name) == 6 else None
    except ValueError:
        return None


def alert_name(code: int) -> str:
    """Return the name of an AlertDescription (RFC 8446 section 6), or its code as "0x7b"."""
    return ALERTS.get(code) or f"0x{code:02x}"


@cache  # at most one entry for each of 65,536 code points
def cipher_suite(code: int) -> Suite:
    """Return the parts of a suite by its code point, "unknown" for those that are not in the table."""
    entry = SUITES.get(code)
    if entry is None:
        return Suite(code, _unnamed(code), None, "unknown", "unknown", "unknown", "unknown", None, False)
    name, openssl, kx, auth, cipher, mac = entry
    weak = _weakness(name, auth, cipher)
    return Suite(code, name, openssl or None, kx, auth, cipher, mac, weak, kx in FORWARD_SECRET_EXCHANGES)


def _weakness(name: str, auth: str, cipher: str) -> str | None:
    if cipher == "NULL":
        return "NULL"
    if auth == "anon":
        return "anon"
    if "_EXPORT" in name:
        return "EXPORT"
    return next((name for name in ("RC4", "RC2", "DES", "3DES", "IDEA") if cipher.startswith(name)), None)


def _unnamed(code: int) -> str:
    return GREASE if is_grease(code) else f"0x{code:04x}"
